"""A rigorous enclosure of the simplex ETF's logit margin a, in ball arithmetic.

The formulas are those of `ufm.prediction`: closed forms for cross entropy, label smoothing and squared error; for focal
loss the interval Newton operator on S(a) = (K - 1) c, S = -phi', which proves exactly one root in the box, and S' < 0
there, so the root is a strict minimum along the ray; its value is compared with zero's in balls.
"""

from dataclasses import dataclass
from typing import Any

from flint import arb, ctx

from ufm.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.prediction import predict
from ufm.problem import Problem

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
        loss, K = problem.loss, problem.K
        c = (arb(problem.n) * arb(float(problem.decay_W)) * arb(float(problem.decay_H))).sqrt()
        if isinstance(loss, SquaredError):
            weight = arb(1) if loss.convention == "half_norm" else arb(2) / K
            a = arb(float(loss.rescale)) - K * c / weight
            values = (
                weight * (a - arb(float(loss.rescale))) ** 2 / 2 / K,
                weight * arb(float(loss.rescale)) ** 2 / 2 / K,
            )
            return _result(a, (K - 1) * (values[0] + c * a), (K - 1) * values[1], precision)
        if isinstance(loss, Focal):
            found = _focal(problem, arb(float(loss.gamma)), c, predict(problem).margin if near is None else near)
            if found is None:
                return None
            return _result(
                found,
                focal_value_ball(found, K, arb(float(loss.gamma))) + (K - 1) * c * found,
                focal_value_ball(arb(0), K, arb(float(loss.gamma))),
                precision,
            )
        if not isinstance(loss, CrossEntropy):
            return None
        alpha = arb(float(loss.alpha)) if isinstance(loss, LabelSmoothing) else arb(0)
        a = (1 / (c + alpha / K) - (K - 1)).log()
        slope = alpha * (K - 1) / K + (K - 1) * c
        return _result(a, (1 + (K - 1) * (-a).exp()).log() + slope * a, arb(K).log(), precision)


def _result(a: Ball, value: Ball, at_zero: Ball, precision: int) -> MarginEnclosure | None:
    if not a > 0:
        return None
    return MarginEnclosure(a.str(40), float(a.rad()), float(a.mid()), bool(value < at_zero), precision)


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
