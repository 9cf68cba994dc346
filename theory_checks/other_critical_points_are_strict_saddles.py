"""Cross entropy and label smoothing, K = 4, d = 3, 4, 5: every critical point found that is not a minimiser has the
predicted negative curvature.

Theme: critical points

Source: Zhu et al. 2021, Theorem 3.2; Zhou et al. 2022 (all losses, label smoothing), global landscape

Evidence: numeric, critical points from 64 Levenberg-Marquardt starts for each loss and d = K - 1, K, K + 1. At each the
curvature along the rank-one direction of `negative_curvature_direction`, at its best proportions, is compared with
(decay_W + decay_H)/2 - ((decay_W - decay_H)^2/4 + |G|^2)^(1/2), and its sign with zero.

False twin: focal loss with gamma = 3, K = 20 and c between c_low and the Maxwell point, where zero is a local minimum.
"""

import torch

from theory_checks.verdict import Finding, Verdict, cross_check, positive, step
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing
from ufm.model.problem import Problem
from ufm.solve.critical_points import classify
from ufm.solve.newton import find_critical_points
from ufm.theory.prediction import predict
from ufm.tolerances import SAME_VALUE
from ufm.verify.verify import saddle_starts

STARTS = 64
PROBLEMS = [
    Problem(loss, K=4, d=d, n=2, decay_W=5e-3, decay_H=1e-3)
    for loss in (CrossEntropy(), LabelSmoothing(0.1))
    for d in (3, 4, 5)
]


def check() -> Verdict:
    """The two losses with a global landscape."""
    return Verdict.of(
        "numeric",
        [finding for problem in PROBLEMS for finding in _search(problem)],
        margin_is="smallest |negative curvature|",
        sizes="K = 4, n = 2, d = 3, 4, 5, free bias, decays 0.005, 0.001",
        starts=STARTS * len(PROBLEMS),
    )


def refuted() -> Verdict:
    """Focal loss where zero is a local minimum above the ETF."""
    decay = 0.06318
    problem = Problem(Focal(3.0), K=20, d=20, n=1, decay_W=decay, decay_H=decay)
    zero = torch.zeros(1, problem.size, dtype=torch.float64)
    return Verdict.of(
        "numeric", _strict(problem, zero), margin_is="smallest |negative curvature|", sizes="K = 20, d = 20"
    )


def _search(problem: Problem) -> list[Finding]:
    ends = find_critical_points(problem, saddle_starts(problem, 0, STARTS, torch.device("cpu")))
    found = step(
        f"{type(problem.loss).__name__}, d = {problem.d}: {int(ends.is_converged.sum())} of {STARTS} converged",
        ends.is_converged.all(),
    )
    return [found, *_strict(problem, ends.x[ends.is_converged])]


def _strict(problem: Problem, points: torch.Tensor) -> list[Finding]:
    """The curvature at those points that are not the minimiser."""
    kinds = classify(problem, points)
    others = kinds.value > predict(problem).value + SAME_VALUE
    norm = torch.linalg.matrix_norm(problem.logit_gradient(points), 2)
    lW, lH = problem.decay_W, problem.decay_H
    predicted = (lW + lH) / 2 - ((lW - lH) ** 2 / 4 + norm.square()).sqrt()
    has_direction = others & kinds.is_rank_one
    text = f"{int(others.sum())} other critical points, {int(has_direction.sum())} with the rank-one direction"
    worst = float((kinds.curvature - predicted)[has_direction].abs().max()) if has_direction.any() else float("nan")
    return [
        step(text, others.any() and (has_direction == others).all()),
        cross_check("curvature against the formula", worst, 1e-12),
        positive("smallest |negative curvature|", float(-kinds.curvature[others].max()) if others.any() else 0.0),
    ]
