"""d = K - 1, four problems: the model's minimum is that of its convex relaxation, and primal and dual values bracket
the closed form.

Theme: minimisers

Source: Zhu et al. 2021, Theorem 3.1 (proof); Zhou et al. 2022 (squared error)

Evidence: certificate. Cross entropy and label smoothing by cvxpy from both sides, each point made feasible and
evaluated anew (`theory_checks/softmax_relaxation.py`); squared error by its explicit dual point. The relaxation bounds
every d from below; the model's lowest value from 12 random starts at d = K - 1 lies in the bracket, as does the closed
form.

False twin: d = K - 2, where the model cannot reach the relaxation.
"""

import dataclasses

import numpy as np

from theory_checks.random_starts import starts_at_scales
from theory_checks.verdict import DIGITS, Finding, Verdict, deviation
from ufm.model.losses import CrossEntropy, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.solve.minimise import minimise
from ufm.theory.certificate import certify
from ufm.theory.prediction import predict, predicted_point

STARTS = 12


def check() -> Verdict:
    """d = K - 1."""
    return _verdict(1)


def refuted() -> Verdict:
    """d = K - 2."""
    return _verdict(2)


def _verdict(fewer: int) -> Verdict:
    """With d = K - `fewer`."""
    problems = [
        Problem(CrossEntropy(), K=4, d=4 - fewer, n=2, decay_W=5e-3, decay_H=1e-3),
        Problem(LabelSmoothing(0.1), K=4, d=4 - fewer, n=2, decay_W=5e-3, decay_H=1e-3),
        Problem(CrossEntropy(), K=6, d=6 - fewer, n=2, decay_W=1e-2, decay_H=4e-3),
    ]
    findings = [finding for problem in problems for finding in _bracketed(problem)]
    squared = Problem(SquaredError(), K=4, d=4 - fewer, n=2, decay_W=5e-3, decay_H=1e-3)
    fits = dataclasses.replace(squared, d=squared.K)
    bound = float(certify(fits, predicted_point(fits, predict(fits))[None]).lower_bound[0])
    # Value and dual value are sums of about 100 terms in double precision.
    findings += [
        deviation(
            "squared error: closed form against the dual value, relative", abs(predict(fits).value / bound - 1), 1e-12
        ),
        deviation("squared error: lowest value found against it, relative", abs(_lowest(squared) / bound - 1), 1e-12),
    ]
    return Verdict.of(
        "certificate", findings, margin_is=DIGITS, sizes=f"K = 4, 6, d = K - {fewer}, n = 2, free bias", starts=STARTS
    )


def _bracketed(problem: Problem) -> list[Finding]:
    from theory_checks.softmax_relaxation import ALLOWED, bracket

    alpha = problem.loss.alpha if isinstance(problem.loss, LabelSmoothing) else 0.0
    y = np.kron((1 - alpha) * np.eye(problem.K) + alpha / problem.K, np.ones((problem.n, 1)))
    found = bracket(y, float(problem.decay_W * problem.decay_H) ** 0.5, free_bias=True)
    closed, lowest = predict(dataclasses.replace(problem, d=problem.K)).value, _lowest(problem)
    name = f"{problem.loss}, K = {problem.K}"
    return [
        deviation(f"{name}: [{found.lower:.10f}, {found.upper:.10f}], relative width", found.gap, ALLOWED),
        deviation(f"{name}: closed form {closed:.10f} off the bracket", found.misses(closed), ALLOWED),
        deviation(f"{name}: lowest value found {lowest:.10f} off the bracket", found.misses(lowest), ALLOWED),
    ]


def _lowest(problem: Problem) -> float:
    ends = minimise(problem, starts_at_scales(problem.size, STARTS), tolerance=1e-9)
    return float(ends.value.min())
