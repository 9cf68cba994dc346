"""The global minimiser that theory predicts for the plain model with classes of equal size.

On the simplex ray Z = a (I - 11'/K) (x) 1_n' the model is one-dimensional (Zhu et al. 2021; Zhou et al. 2022): minimise
over the logit margin a >= 0

    F(a) = phi(a) + (K - 1) c a ,   c = sqrt(n decay_W decay_H) ,   phi(a) = the loss of a sample with margin a,

because the least penalty of factors with product Z is sqrt(decay_W decay_H) times the nuclear norm of Z. Cross entropy
and label smoothing have a closed form, focal loss a scalar equation. Squared error has a closed form for every bias
decay, with an extra component along 11'/K when the bias is decayed or absent (Zhou et al. 2022 on MSE; Tirer and Bruna
2022), and a rescaled or reweighted squared error is the plain one in other units.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import finite, instance, integer, not_negative, takes
from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.model import Point
from ufm.model.problem import Problem
from ufm.model.target import NoPrediction, Target
from ufm.simplex import simplex_basis
from ufm.theory.chance import slope_allowed, slope_reached
from ufm.theory.partial_collapse import benign_bound
from ufm.theory.roots import root
from ufm.tolerances import NEAR_THRESHOLD

LARGEST_GAMMA = 20.0
"""The largest gamma for which the landscape with a free bias is derived beyond (K - 1) c = 1."""


@dataclass(frozen=True)
class Prediction:
    """A collapsed point: h_{k,i} = sqrt(decay_W / (n decay_H)) w_k and mean logits a (I - 11'/K) + a' 11'/K + bias.

    Attributes:
        margin: a >= 0, the difference of a sample's label logit and any other, without the bias.
        common: a' >= 0, zero except for squared error with a decayed or absent bias.
        bias: the value of every b_k (0 where a free constant is undetermined).
        value: the objective.
        loss: the mean training loss, the objective without its three decay terms.
        p_y: softmax probability of the label; None for squared error.
        norm_w, norm_h: |w_k|, |h_{k,i}|.
        zero_threshold: the c at and above which zero is the predicted minimiser.
        c: sqrt(n decay_W decay_H) of this problem.
        is_proved_global: False where the point is only known to be the best on the simplex ray.
    """

    margin: float
    common: float
    bias: float
    value: float
    loss: float
    p_y: float | None
    norm_w: float
    norm_h: float
    zero_threshold: float
    c: float
    is_proved_global: bool

    @property
    def is_zero(self) -> bool:
        """Whether the predicted minimiser is the zero solution, W = H = 0."""
        return self.margin == 0 and self.common == 0


class Ray(NamedTuple):
    """A softmax loss on the simplex ray, where a sample's label leads all other classes by the margin a.

    Attributes:
        loss: phi(a).
        slope: -phi'(a).
        steepest: the a >= 0 at which that is largest.
    """

    loss: Callable[[float], float]
    slope: Callable[[float], float]
    steepest: float


class Theory(NamedTuple):
    """The known results about a loss.

    Attributes:
        minimiser: the model's predicted minimum.
        ray: of a softmax loss for K classes.
        across: the gradient that a sample's logits have across its class and another of equal logits, where that is the
            same at every point.
    """

    minimiser: Callable[[Problem, Any], Prediction]
    ray: Callable[[Any, int], Ray] | None = None
    across: Callable[[Any], float] | None = None


def theory_of(loss: Loss) -> Theory | None:
    """The known results about a loss of exactly this class (a subclass is another function); None if there are none."""
    return THEORIES.get(type(loss))


def ray_of(loss: Loss, K: int) -> Ray | None:
    """The loss on the simplex ray; None where that is not known."""
    theory = theory_of(loss)
    return theory.ray(loss, K) if theory and theory.ray else None


@takes(problem=instance(Problem))
def predict(problem: Problem) -> Prediction:
    """Predict the minimiser of `problem` from theory; it is proved to be global where `is_proved_global` is true.

    Raises:
        NoPrediction: if theory knows none for this loss.
        ValueError: if d is too small for the predicted geometry (rank K - 1, or K when `common` > 0).
    """
    check(problem.is_balanced, "sizes", problem.sizes, "equal class sizes (see `ufm.theory.imbalance`)")
    check(not problem.is_mixed, "problem", "parameters that differ by start", "one problem: predict each on its own")
    allowed = "such that c = sqrt(n decay_W decay_H) is in [1e-307, 1e303]"
    check(1e-307 <= _strength(problem) <= 1e303, "decay-W, decay-H", f"{problem.decay_W}, {problem.decay_H}", allowed)
    K, theory = problem.K, theory_of(problem.loss)
    if theory is None:
        raise NoPrediction(f"no prediction is known for the loss {problem.loss}.", {})
    prediction = theory.minimiser(problem, problem.loss)
    if not prediction.is_zero:
        least = K if prediction.common > 0 else K - 1
        check(problem.d >= least, "dim", problem.d, f">= {least} for the predicted minimiser to fit (classes = {K})")
    return prediction


@takes(problem=instance(Problem))
def balanced_target(problem: Problem) -> Target:
    """The prediction of `predict` as a `Target`, with which end points are compared.

    Raises:
        ValueError: as `predict`.
    """
    found = predict(problem)
    notes = []
    if not found.is_proved_global:
        notes.append("the prediction is the best point on the simplex ray, which is not proved to be global here.")
    if abs(found.c - found.zero_threshold) < NEAR_THRESHOLD * found.zero_threshold:  # which underflows to 0
        near = f"the decays are within {NEAR_THRESHOLD:.1%} of the threshold of the zero solution"
        notes.append(f"{near}; end points are inexact there.")
    return Target(
        value=found.value,
        point=predicted_point(problem, found),
        margin=found.margin,
        is_proved_global=found.is_proved_global,
        facts=dataclasses.asdict(found),
        notes=tuple(notes),
    )


@takes(problem=instance(Problem))
def phase_boundaries(problem: Problem) -> tuple[float, float, float]:
    """The c from which zero is a local minimiser, that from which it is best, and that up to which the ETF exists.

    On the simplex ray, like the prediction. All three agree for convex losses and where focal loss turns to zero
    continuously (few classes); between them, zero and the ETF coexist.

    Raises:
        ValueError: as `predict`.
    """
    threshold, K, ray = predict(problem).zero_threshold, problem.K, ray_of(problem.loss, problem.K)
    if ray is None or ray.steepest == 0:
        return threshold, threshold, threshold
    return ray.slope(0.0) / (K - 1), threshold, ray.slope(ray.steepest) / (K - 1)


@takes(problem=instance(Problem), prediction=instance(Prediction))
def predicted_point(problem: Problem, prediction: Prediction) -> Float[Tensor, " P"]:
    """One point with the predicted geometry (all others are its rotations in feature space), float64."""
    K, d = problem.K, problem.d
    across = simplex_basis(K)
    ratio = math.sqrt(problem.n) * math.sqrt(problem.decay_H) / math.sqrt(problem.decay_W)
    columns = torch.cat(
        [math.sqrt(prediction.margin) * across, across.new_full((K, 1), math.sqrt(prediction.common / K))], 1
    )
    width = K if prediction.common > 0 else K - 1
    W = torch.zeros(K, d, dtype=torch.float64)
    W[:, : min(width, d)] = math.sqrt(ratio) * columns[:, : min(width, d)]
    H = (W / ratio)[problem.labels()]
    return problem.pack(Point(W, H, torch.full((K,), prediction.bias, dtype=torch.float64)))


@takes(a=finite, K=integer(2))
def cross_entropy_of_margin(a: float, K: int) -> float:
    """log(1 + (K - 1) exp(-a))."""
    return math.log1p((K - 1) * math.exp(-a))


@takes(a=finite, K=integer(2), gamma=not_negative)
def focal_of_margin(a: float, K: int, gamma: float) -> float:
    """(1 - p)^gamma (-log p) at p = 1 / (1 + (K - 1) exp(-a))."""
    odds = (K - 1) * math.exp(-a)
    return (odds / (1 + odds)) ** gamma * math.log1p(odds)


@takes(a=finite, K=integer(2), gamma=not_negative)
def focal_slope(a: float, K: int, gamma: float) -> float:
    """S = -d/da `focal_of_margin` = (1 - p)^gamma (1 - p - gamma p log p)."""
    odds = (K - 1) * math.exp(-a)
    p, q = 1 / (1 + odds), odds / (1 + odds)
    return q**gamma * (q + gamma * p * math.log1p(odds))


@takes(a=finite, K=integer(2), gamma=not_negative)
def focal_curvature_sign(a: float, K: int, gamma: float) -> float:
    """A number q(p) with the sign of -dS/da; it changes sign once, below p = 1/2, and is positive above.

    r = q / (1 - p) = 1 + 2 g + g log p - g^2 p log p / (1 - p) rises: r' = g / p + g^2 (p - 1 - log p) / (1 - p)^2 > 0;
    it starts at -infinity and r(1/2) = 1 + 2 g - g log 2 + g^2 log 2 > 0 (g = gamma > 0).
    """
    odds = (K - 1) * math.exp(-a)
    p, q = 1 / (1 + odds), odds / (1 + odds)
    return gamma * (gamma * p - q) * math.log1p(odds) + (2 * gamma + 1) * q


@takes(problem=instance(Problem), gamma=not_negative)
def focal_benign_bound(problem: Problem, gamma: float) -> float:
    """The c below which, for d >= K - 1, every critical point of focal loss is a global minimiser or a strict saddle.

    Source: `theory_checks/focal_landscape_is_benign_at_small_decays.py`, and `..._up_to_partial_collapse.py` for a free
    bias beyond (K - 1) c = 1; where S(0) <= 1, `theory_checks/focal_zero_is_alone_above_its_threshold.py` besides.
    """
    K, at_zero, top = problem.K, focal_slope(0.0, problem.K, gamma), steepest_focal(problem.K, gamma)
    if not problem.has_bias:
        return math.inf if top == 0 else at_zero / math.sqrt(K * (K - 1))
    if not problem.has_free_bias:
        return 1 / math.sqrt(K * (K - 1))
    if at_zero <= 1:
        return math.inf
    if gamma > LARGEST_GAMMA:
        return 1 / (K - 1)
    return benign_bound(lambda a: focal_slope(a, K, gamma), lambda a: focal_relative_fall(a, K, gamma), top, K)


@takes(problem=instance(Problem), gamma=not_negative)
def focal_slope_allowed(problem: Problem, gamma: float) -> float:
    """What `slope_reached` must be below for every critical point to be a global minimiser or a strict saddle.

    Classes may have any sizes; d >= K - 1. Source: `ufm.theory.chance`.
    """
    K = problem.K
    return slope_allowed(problem, lambda a: focal_slope(a, K, gamma), lambda a: focal_curvature_sign(a, K, gamma))


@takes(problem=instance(Problem), gamma=not_negative)
def focal_zero_is_alone(problem: Problem, gamma: float) -> bool:
    """Whether a free bias leaves no local minimum but zero from (K - 1) c = S(0) > 1 on, for d >= K - 1.

    Source: conditions (i) and (ii) of `theory_checks/focal_zero_is_the_minimum_above_its_threshold.py`.
    """
    K, at_zero = problem.K, focal_slope(0.0, problem.K, gamma)
    is_covered = problem.has_free_bias and at_zero > 1 and gamma <= LARGEST_GAMMA
    if not is_covered or steepest_focal(K, gamma) > 0 or (K - gamma) * math.log(K) > 2 * (K - 1):
        return False
    highest = focal_slope(root(lambda a: focal_curvature_sign(a, K, gamma), -100.0, 0.0), K, gamma)
    return focal_slope(-2 * highest * math.log(at_zero), K, gamma) >= at_zero


@takes(a=finite, K=integer(2), gamma=not_negative)
def focal_relative_fall(a: float, K: int, gamma: float) -> float:
    """-S'/S: p q / (1 - p + gamma p (-log p)), q of `focal_curvature_sign`."""
    odds = (K - 1) * math.exp(-a)
    p, rest = 1 / (1 + odds), odds / (1 + odds)
    return p * focal_curvature_sign(a, K, gamma) / (rest + gamma * p * math.log1p(odds))


def _strength(problem: Problem) -> float:
    """c = sqrt(n decay_W decay_H), free of underflow."""
    return math.sqrt(problem.n) * math.sqrt(problem.decay_W) * math.sqrt(problem.decay_H)


def _norms(problem: Problem, a: float, common: float) -> tuple[float, float]:
    """|w_k| and |h| of the balanced factors (decay_W W'W = decay_H H'H) of the predicted logits."""
    size = a * (problem.K - 1) / problem.K + common / problem.K
    ratio = math.sqrt(problem.n) * math.sqrt(problem.decay_H) / math.sqrt(problem.decay_W)
    return math.sqrt(ratio) * math.sqrt(size), math.sqrt(size) / math.sqrt(ratio)


def _on_ray(problem: Problem, a: float, loss: float, threshold: float, *, proved: bool) -> Prediction:
    """The prediction for a softmax loss with margin a."""
    c, K = _strength(problem), problem.K
    norm_w, norm_h = _norms(problem, a, 0.0)
    p_y = 1 / (1 + (K - 1) * math.exp(-a))
    value = loss + c * (K - 1) * a
    return Prediction(a, 0.0, 0.0, value, loss, p_y, norm_w, norm_h, threshold, c, proved)


def _cross_entropy(problem: Problem, loss: CrossEntropy) -> Prediction:
    """Off-class probability c + alpha/K at the minimiser (Zhu et al. 2021; Guo et al. 2024 for alpha > 0)."""
    K, alpha = problem.K, float(loss.smoothing)
    threshold = (1 - alpha) / K
    off_class = _strength(problem) + alpha / K
    is_zero = _strength(problem) >= threshold
    a = 0.0 if is_zero else math.log1p(max(0.0, (1 - alpha) - K * _strength(problem)) / off_class)  # 1 - alpha is exact
    return _on_ray(problem, a, _ray_of_cross_entropy(loss, K).loss(a), threshold, proved=True)


def _ray_of_cross_entropy(loss: CrossEntropy, K: int) -> Ray:
    """Convex, so steepest at zero; smoothing adds a straight line."""
    linear = float(loss.smoothing) * (K - 1) / K
    return Ray(
        lambda a: cross_entropy_of_margin(a, K) + linear * a,
        lambda a: focal_slope(a, K, 0.0) - linear,
        0.0,
    )


def _focal(problem: Problem, loss: Focal) -> Prediction:
    """The largest root of S(a) = (K - 1) c, unless zero is lower.

    S rises to one maximum and then falls, so from there on a root is unique. Where S falls from a = 0 on, zero takes
    over continuously at c = S(0)/(K - 1); otherwise at the c where both values agree (Maxwell point). With a bias the
    best point on the ray is proved global if (K - 1) c <= 1 or S(0) <= 1; the reason is a supporting line of
    `focal_of_margin` of slope -(K - 1) c over all real a, whose slope tends to -1 at -infinity. Beyond, it is proved
    where the landscape is (`focal_benign_bound`, `focal_slope_allowed`): the ETF, or zero where (K - 1) c >= S(0), lies
    where the loss is convex then.
    """
    K, c, gamma = problem.K, _strength(problem), float(loss.gamma)
    top = steepest_focal(K, gamma)
    at_zero = focal_of_margin(0.0, K, gamma)
    threshold = focal_slope(0.0, K, gamma) / (K - 1)
    if top > 0:
        maxwell = _root_beyond(lambda a: focal_of_margin(a, K, gamma) + a * focal_slope(a, K, gamma) - at_zero, top)
        threshold = focal_slope(maxwell, K, gamma) / (K - 1)
    a = _root_beyond(lambda a: focal_slope(a, K, gamma) - (K - 1) * c, top) if c < threshold else 0.0
    proved = not problem.has_bias or (K - 1) * c <= 1 or focal_slope(0.0, K, gamma) <= 1
    proved = proved or c < focal_benign_bound(problem, gamma) or (a == 0 and focal_zero_is_alone(problem, gamma))
    proved = proved or slope_reached(problem) < focal_slope_allowed(problem, gamma)
    return _on_ray(problem, a, focal_of_margin(a, K, gamma), threshold, proved=proved)


def _ray_of_focal(loss: Focal, K: int) -> Ray:
    gamma = float(loss.gamma)
    return Ray(lambda a: focal_of_margin(a, K, gamma), lambda a: focal_slope(a, K, gamma), steepest_focal(K, gamma))


def steepest_focal(K: int, gamma: float) -> float:
    """The margin where `focal_slope` is largest on a >= 0."""
    if focal_curvature_sign(0.0, K, gamma) >= 0:
        return 0.0
    return root(lambda a: focal_curvature_sign(a, K, gamma), 0.0, math.log(K - 1))


def _squared_error(problem: Problem, loss: SquaredError) -> Prediction:
    """The plain 1/2 |z - e_y|^2 in the units z = r z': c' = c / (k r), decay_b' = decay_b / k, f = k r^2 f'.

    Singular values of the logits: a = 1 - K c' on the simplex directions and a' = 1 - K c' (1 + decay_b') / decay_b' on
    11'/K (a without bias, none with a free one), both cut at zero.
    """
    K, r, k = problem.K, float(loss.rescale), loss.weight(problem.K)
    c = _strength(problem)
    missed = K * c / (k * r)
    # lb / (1 + lb): 0 for a free bias, 1 for none.
    decay_b = None if problem.decay_b is None else float(problem.decay_b)
    kept = 1.0 if decay_b is None else 1 / (1 + k / decay_b) if decay_b > 0 else 0.0
    a = max(0.0, 1 - missed)
    common = max(0.0, 1 - missed / kept) if kept > 0 else 0.0
    bias = (1 - common) * (1 - kept) / K
    unit = k * r * r

    def value(size: float, weight: float) -> float:
        """Of one singular direction: k r^2 (weight (1 - size)^2 / (2 K) + c' size), without c', which may underflow."""
        return K * c * c / (2 * k * weight) + r * c * size if size > 0 else unit * weight / (2 * K)

    unit_root, missed_root = math.sqrt(k) * r, K * c / math.sqrt(k)  # missed in these units, free of underflow
    residuals = (K - 1) * min(unit_root, missed_root) ** 2 + min(kept * unit_root, missed_root) ** 2
    norm_w, norm_h = _norms(problem, r * a, r * common)
    return Prediction(
        r * a,
        r * common,
        r * bias,
        (K - 1) * value(a, 1.0) + value(common, kept),
        residuals / (2 * K),
        None,
        norm_w,
        norm_h,
        k * r / K,
        c,
        is_proved_global=True,
    )


def _root_beyond(function: Callable[[float], float], low: float) -> float:
    """The root above `low` of a function that is positive there (up to rounding) and negative far out."""
    if function(low) <= 0:
        return low
    step = 1.0
    while function(low + step) > 0:
        step *= 2
    return root(function, low, low + step)


THEORIES: dict[type[Loss], Theory] = {
    CrossEntropy: Theory(_cross_entropy, _ray_of_cross_entropy, lambda loss: 1.0 - float(loss.smoothing)),
    LabelSmoothing: Theory(_cross_entropy, _ray_of_cross_entropy, lambda loss: 1.0 - float(loss.smoothing)),
    Focal: Theory(_focal, _ray_of_focal),
    SquaredError: Theory(_squared_error),
}
"""The losses with a known minimum; a new one is a `Theory` and its line here."""
