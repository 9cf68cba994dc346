"""A rigorous enclosure of the simplex ETF's logit margin a, in ball arithmetic.

The formulas are those of `ufm.theory.prediction`: closed forms for cross entropy, label smoothing and squared error;
for focal loss the interval Newton operator on S(a) = (K - 1) c, S = -phi', which proves exactly one root in the box,
and S' < 0 there, so the root is a strict minimum along the ray; its value is compared with zero's in balls. The ray is
no subspace that a symmetry fixes, so the full model's gradient at the ETF of every margin in the ball is held against 0
(`ufm.proof.ball_model.is_stationary`). The model is the one whose decays and loss parameters are exactly the doubles
given.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from flint import arb, ctx

from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.proof.ball_model import BallModel, Balls, is_stationary
from ufm.theory.prediction import predict

Ball = Any
BOX = 1e-12
PRECISION = 128


@dataclass(frozen=True)
class MarginEnclosure:
    """The margin of the simplex ETF.

    Attributes:
        text: the ball, midpoint and radius in decimal.
        radius: of the ball.
        margin: its midpoint, rounded.
        is_below_zero: whether the ETF's value is proved to lie below the one of W = H = 0.
        precision: bits.
    """

    text: str
    radius: float
    margin: float
    is_below_zero: bool
    precision: int


def enclose_margin(problem: Problem, precision: int = PRECISION, near: float | None = None) -> MarginEnclosure | None:
    """Prove where the margin lies; None where nothing could be proved (or the ETF does not exist).

    Args:
        problem: the model.
        precision: bits.
        near: focal loss only: the number in whose neighbourhood a root is to be proved, by default the prediction.
    """
    with ctx.workprec(precision):
        found = _on_the_ray(problem, near)
        if found is None or not found[0] > 0:
            return None
        a, value, at_zero = found
        model, x = etf_ball(problem, a)
        if not is_stationary(x, BallModel(model, x).gradient):
            return None
        return MarginEnclosure(a.str(40), float(a.rad()), float(a.mid()), bool(value < at_zero), precision)


def etf_ball(problem: Problem, a: Ball) -> tuple[Problem, Balls]:
    """The model with K columns and in it the balanced ETF of margin a, (W, H, b) with H W' = a (I - 11'/K).

    Squared error moves the mean logit by its bias, weight (b - rescale/K) + decay_b b = 0.
    """
    K, n = problem.K, problem.n
    decay_W, decay_H = arb(float(problem.decay_W)), arb(float(problem.decay_H))
    w, h = (a * (n * decay_H / decay_W).sqrt()).sqrt(), (a * (decay_W / (n * decay_H)).sqrt()).sqrt()
    simplex = [[arb(int(k == j)) - arb(1) / K for j in range(K)] for k in range(K)]
    b = arb(0)
    if isinstance(problem.loss, SquaredError):
        weight = _weight(problem.loss, K)
        b = weight * arb(float(problem.loss.rescale)) / K / (weight + arb(float(problem.decay_b or 0.0)))
    x = [w * entry for row in simplex for entry in row]
    x += [h * entry for row in simplex for _ in range(n) for entry in row]
    return dataclasses.replace(problem, d=K), x + [b] * (K * problem.has_bias)


def _weight(loss: SquaredError, K: int) -> Ball:
    return arb(1) if loss.convention == "half_norm" else arb(2) / K


def _on_the_ray(problem: Problem, near: float | None) -> tuple[Ball, Ball, Ball] | None:
    """The margin, the objective there and the one at zero, both less what the bias adds to either."""
    loss, K = problem.loss, problem.K
    c = (arb(problem.n) * arb(float(problem.decay_W)) * arb(float(problem.decay_H))).sqrt()
    if isinstance(loss, SquaredError):
        weight, rescale = _weight(loss, K), arb(float(loss.rescale))
        a = rescale - K * c / weight
        value = (K - 1) * (weight * (a - rescale) ** 2 / 2 / K + c * a)
        return a, value, (K - 1) * weight * rescale**2 / 2 / K
    if isinstance(loss, Focal):
        gamma = arb(float(loss.gamma))
        found = _focal(problem, gamma, c, predict(problem).margin if near is None else near)
        if found is None:
            return None
        return found, focal_value_ball(found, K, gamma) + (K - 1) * c * found, focal_value_ball(arb(0), K, gamma)
    if not isinstance(loss, CrossEntropy):
        return None
    alpha = arb(float(loss.alpha)) if isinstance(loss, LabelSmoothing) else arb(0)
    a = (1 / (c + alpha / K) - (K - 1)).log()
    slope = alpha * (K - 1) / K + (K - 1) * c
    return a, (1 + (K - 1) * (-a).exp()).log() + slope * a, arb(K).log()


def _focal(problem: Problem, gamma: Ball, c: Ball, near: float) -> Ball | None:
    """Interval Newton around the predicted margin, then refined to the precision."""
    K = problem.K
    middle, box = arb(near), arb(near, BOX)
    for _ in range(6):
        slope = _focal_slope_derivative(box, K, gamma)
        if not slope < 0:
            return None
        image = middle - (focal_slope_ball(middle, K, gamma) - (K - 1) * c) / slope
        if box.contains_interior(image):
            box, middle = image, arb(image.mid())
        elif box.rad() == arb(near, BOX).rad():
            return None
    return box


def _focal_parts(a: Ball, K: int) -> tuple[Ball, Ball, Ball]:
    """p, 1 - p and -log p."""
    odds = (K - 1) * (-a).exp()
    return 1 / (1 + odds), odds / (1 + odds), (1 + odds).log()


def focal_value_ball(a: Ball, K: int, gamma: Ball) -> Ball:
    """phi(a) = (1 - p)^gamma (-log p)."""
    _, q, loss = _focal_parts(a, K)
    return (gamma * q.log()).exp() * loss


def focal_slope_ball(a: Ball, K: int, gamma: Ball) -> Ball:
    """S(a) = (1 - p)^gamma (1 - p - gamma p log p)."""
    p, q, loss = _focal_parts(a, K)
    return (gamma * q.log()).exp() * (q + gamma * p * loss)


def _focal_slope_derivative(a: Ball, K: int, gamma: Ball) -> Ball:
    """dS/da = -p (1 - p)^gamma [gamma (gamma p - (1 - p)) (-log p) + (2 gamma + 1) (1 - p)]."""
    p, q, loss = _focal_parts(a, K)
    return -p * (gamma * q.log()).exp() * (gamma * (gamma * p - q) * loss + (2 * gamma + 1) * q)
