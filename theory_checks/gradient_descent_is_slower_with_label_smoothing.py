"""At its best step gradient descent contracts by (k - 1)/(k + 1), k of the whole Hessian: slower with smoothing 0.05
and 0.1 (K = 4, d = 6, n = 3, decays 0.005).

Theme: label smoothing

Source: Guo et al. 2024, convergence of gradient descent: with decays on W and H, at these sizes, the order is the
opposite

Evidence: numeric. k is the ratio of extreme eigenvalues of the dense Hessian at the minimiser, off the rotations. From
the minimiser plus noise off the kernel, gradient descent runs until the gradient is 1e-7 of its first norm, and the
last ratio of norms is compared with the formula.

At larger decays and smoothings the order may be the opposite (K c = 0.3, alpha = 0.5).

False twin: k of the loss part alone, K p.
"""

import torch

from theory_checks.verdict import DIGITS, Verdict, deviation, step
from ufm.model.losses import LabelSmoothing
from ufm.model.problem import Problem
from ufm.solve.hessian import dense_hessian
from ufm.theory.prediction import predict, predicted_point

SMOOTHINGS = (0.0, 0.05, 0.1)
DISTANCE, LAST, MOST_STEPS = 1e-2, 1e-7, 20_000


def check() -> Verdict:
    """The whole Hessian."""
    return _verdict(of_loss=False)


def refuted() -> Verdict:
    """The loss part."""
    return _verdict(of_loss=True)


def _verdict(*, of_loss: bool) -> Verdict:
    findings, conditions = [], []
    for alpha in SMOOTHINGS:
        problem = Problem(LabelSmoothing(alpha), K=4, d=6, n=3, decay_W=5e-3, decay_H=5e-3)
        prediction = predict(problem)
        point = predicted_point(problem, prediction)[None]
        eigenvalues, vectors = torch.linalg.eigh(dense_hessian(problem, point)[0])
        kept = eigenvalues > 1e-10 * eigenvalues[-1]
        least, largest = float(eigenvalues[kept][0]), float(eigenvalues[-1])
        condition = problem.K * float(prediction.p_y or 0) if of_loss else largest / least
        measured = _contraction(problem, point, vectors[:, kept], 2 / (largest + least))
        conditions.append(condition)
        text = f"alpha = {alpha}: k = {condition:.4f}, contraction {measured:.8f}, against (k - 1)/(k + 1)"
        # At the end the quadratic model errs by the distance to the minimiser, 1e-9; rounding of the gradient, 1e-17 of
        # 1e-10, and the faster modes that are left are of order 1e-7.
        findings.append(deviation(text, abs(measured - (condition - 1) / (condition + 1)), 1e-6))
    findings.append(step("k rises with smoothing", sorted(conditions) == conditions))
    return Verdict.of("numeric", findings, margin_is=DIGITS, sizes="K = 4, d = 6, n = 3, decays 0.005", starts=3)


def _contraction(problem: Problem, point: torch.Tensor, vectors: torch.Tensor, size: float) -> float:
    """The geometric mean of the last two ratios of gradient norms (the two slowest modes alternate in sign)."""
    noise = torch.randn(problem.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = point + DISTANCE * (vectors @ (vectors.mT @ noise))[None]
    norms: list[float] = []
    while not norms or (norms[-1] > LAST * norms[0] and len(norms) < MOST_STEPS):
        gradient = problem.value_and_gradient(x)[1]
        norms.append(float(gradient.norm()))
        x = x - size * gradient
    return (norms[-1] / norms[-3]) ** 0.5
