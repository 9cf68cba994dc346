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
from functools import singledispatch

from flint import arb, ctx

from ufm.model.model import Model
from ufm.model.problem import Problem
from ufm.proof.ball_losses import BALLS, Ball, Balls, in_balls
from ufm.proof.ball_model import BallModel, is_stationary

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


@singledispatch
def enclose_margin(model: Model, precision: int = PRECISION, near: float | None = None) -> MarginEnclosure | None:
    """Prove where the margin lies; None where nothing could be proved (or there is no ETF).

    Args:
        model: the model; `Problem` with classes of one size, and room for the ETF, is the one that has it.
        precision: bits.
        near: focal loss only: the number in whose neighbourhood a root is to be proved, by default the prediction.
    """
    return None


@enclose_margin.register
def _of_problem(problem: Problem, precision: int = PRECISION, near: float | None = None) -> MarginEnclosure | None:
    if not problem.is_balanced or problem.d < problem.K - 1 or type(problem.loss) not in BALLS:
        return None
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
    """The model with K columns and in it the balanced ETF of margin a, (W, H, b) with H W' = a (I - 11'/K)."""
    K, n = problem.K, problem.n
    decay_W, decay_H = arb(float(problem.decay_W)), arb(float(problem.decay_H))
    w, h = (a * (n * decay_H / decay_W).sqrt()).sqrt(), (a * (decay_W / (n * decay_H)).sqrt()).sqrt()
    simplex = [[arb(int(k == j)) - arb(1) / K for j in range(K)] for k in range(K)]
    b = in_balls(problem.loss).bias(problem)
    x = [w * entry for row in simplex for entry in row]
    x += [h * entry for row in simplex for _ in range(n) for entry in row]
    return dataclasses.replace(problem, d=K), x + [b] * (K * problem.has_bias)


def _on_the_ray(problem: Problem, near: float | None) -> tuple[Ball, Ball, Ball] | None:
    """The margin, the objective there and the one at zero, both less what the bias adds to either."""
    loss, K = in_balls(problem.loss), problem.K
    c = (arb(problem.n) * arb(float(problem.decay_W)) * arb(float(problem.decay_H))).sqrt()
    a = loss.margin(problem, c, near)
    return None if a is None else (a, loss.on_ray(a, K) + (K - 1) * c * a, loss.on_ray(arb(0), K))
