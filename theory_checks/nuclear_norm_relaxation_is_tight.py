"""d = K - 1, four problems: the model's minimum is that of its convex relaxation, and primal and dual values bracket
the closed form.

Source: Zhu et al. 2021, Theorem 3.1 (proof); Zhou et al. 2022 (squared error)

Evidence: certificate. Cross entropy and label smoothing by cvxpy from both sides, each point made feasible and
evaluated anew (`theory_checks/softmax_relaxation.py`); squared error by its explicit dual point. The relaxation bounds
every d from below, the prediction is attained at d = K - 1: the dual value and the model's value at the predicted point
agree.

False twin: the prediction for n = 1 at n = 2.
"""

import dataclasses

import numpy as np

from theory_checks.verdict import DIGITS, Finding, Verdict, deviation
from ufm.certificate import certify
from ufm.losses import CrossEntropy, LabelSmoothing, SquaredError
from ufm.prediction import predict, predicted_point
from ufm.problem import Problem


def check() -> Verdict:
    """The prediction at n = 2."""
    return _verdict(2)


def refuted() -> Verdict:
    """The prediction at n = 1."""
    return _verdict(1)


def _verdict(predicted_n: int) -> Verdict:
    problems = {
        "cross entropy": Problem(CrossEntropy(), K=4, d=3, n=2, decay_W=5e-3, decay_H=1e-3),
        "label smoothing": Problem(LabelSmoothing(0.1), K=4, d=3, n=2, decay_W=5e-3, decay_H=1e-3),
        "cross entropy, K = 6": Problem(CrossEntropy(), K=6, d=5, n=2, decay_W=1e-2, decay_H=4e-3),
    }
    findings = [finding for name, problem in problems.items() for finding in _bracketed(name, problem, predicted_n)]
    squared = Problem(SquaredError(), K=4, d=3, n=2, decay_W=5e-3, decay_H=1e-3)
    predicted = predict(dataclasses.replace(squared, n=predicted_n))
    point = predicted_point(squared, predict(squared))
    bound = certify(squared, point[None])
    gap = abs(float(bound.lower_bound[0]) / predicted.value - 1)
    # Value and dual value are sums of about 100 terms in double precision.
    findings.append(deviation("squared error: prediction against the dual value, relative", gap, 1e-12))
    return Verdict.of("certificate", findings, margin_is=DIGITS, sizes="K = 4, 6, d = K - 1, n = 2, free bias")


def _bracketed(name: str, problem: Problem, predicted_n: int) -> list[Finding]:
    from theory_checks.softmax_relaxation import ALLOWED, bracket

    alpha = problem.loss.alpha if isinstance(problem.loss, LabelSmoothing) else 0.0
    y = np.kron((1 - alpha) * np.eye(problem.K) + alpha / problem.K, np.ones((problem.n, 1)))
    found = bracket(y, float(problem.decay_W * problem.decay_H) ** 0.5, free_bias=True)
    predicted = predict(dataclasses.replace(problem, n=predicted_n)).value
    return [
        deviation(f"{name}: [{found.lower:.10f}, {found.upper:.10f}], relative width", found.gap, ALLOWED),
        deviation(f"{name}: prediction {predicted:.10f} off the bracket", found.misses(predicted), ALLOWED),
    ]
