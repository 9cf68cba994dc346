"""K = 5, n = 2, decays 0.005 and 0.002: d = K - 1 is enough. From each of 12 random starts the losses (gamma = 2, alpha
= 0.1) reach the predicted minimum, as for d = K and K + 4.

Theme: minimisers

Source: Zhou et al. 2022 (all losses), role of the feature dimension (the landscape theorem asks for d > K)

Evidence: numeric, 12 starts at three scales for each loss and d. Derived for cross entropy and label smoothing at d = K
- 1 and every K: a critical point has rank W <= K - 1; at full rank G G' = s^2 times a projector, so |G|_2 = s and the
dual certificate holds; below full rank there is a null vector and `negative_curvature_direction` applies. For focal
loss the sentence is false with more classes: `focal_has_spurious_minima`.

False twin: d = K - 2.
"""

from theory_checks.random_starts import all_converged, starts_at_scales
from theory_checks.verdict import DIGITS, Finding, Verdict, deviation
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.solve.minimise import minimise
from ufm.theory.prediction import predict

K, STARTS = 5, 12
LOSSES: tuple[Loss, ...] = (CrossEntropy(), LabelSmoothing(0.1), Focal(2.0), SquaredError())


def check() -> Verdict:
    """d = K - 1, K, K + 4."""
    return _verdict((K - 1, K, K + 4))


def refuted() -> Verdict:
    """d = K - 2."""
    return _verdict((K - 2,))


def _verdict(dimensions: tuple[int, ...]) -> Verdict:
    return Verdict.of(
        "numeric",
        [finding for loss in LOSSES for d in dimensions for finding in _reaches(loss, d)],
        margin_is=DIGITS,
        sizes=f"K = {K}, n = 2, d = {', '.join(map(str, dimensions))}, free bias, decays 0.005, 0.002",
        starts=STARTS * len(LOSSES) * len(dimensions),
    )


def _reaches(loss: Loss, d: int) -> list[Finding]:
    problem = Problem(loss, K=K, d=d, n=2, decay_W=5e-3, decay_H=2e-3)
    predicted = predict(Problem(loss, K=K, d=K, n=2, decay_W=5e-3, decay_H=2e-3)).value  # does not depend on d
    ends = minimise(problem, starts_at_scales(problem.size, STARTS), tolerance=1e-9)
    worst = float((ends.value - predicted).abs().max())
    # |gradient|^2 / (2 least curvature) = 1e-18 / 1e-4, and rounding of a sum of about 100 terms of order one.
    return [all_converged(ends), deviation(f"{type(loss).__name__}, d = {d}: |f - predicted|", worst, 1e-13)]
