"""Focal loss, three classes, with a bias: at every critical point every sample has p >= p_infl, and the loss is convex.

`theory_checks/focal_loss_of_three_classes_is_convex_at_critical_points.py` has the argument, for every n, d and all
decays. It leaves inequalities in few numbers, which balls decide here, for one gamma or a whole ball of them:

 * case 2: beta T(log 2 - beta) < x_1 - log 2 for beta >= x_infl - log 2;
 * case 3: A_m + A_l < 1 for 0 <= beta <= lambda <= FAR, exp(beta) + exp(lambda) >= exp(x_infl), and beyond FAR.
"""

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from flint import arb, ctx

from ufm.proof.ball_losses import Ball

PRECISION = 64
FAR = 300.0
"""lambda up to which boxes are looked at."""
FARTHEST = 2000.0
"""Deficit up to which a bend is looked for."""
PIECES = 32
"""Of t in [0, 1], and of the deficits among which S has its maximum."""
HALF = [0.0, *(0.5 * 0.8**i for i in range(40, -1, -1))]
EDGES = [*HALF, *(1 - v for v in reversed(HALF[:-1]))]
"""Of the pieces of v and w in [0, 1], finer towards the ends; 1/2 is among them."""
WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""mu."""
MARGIN = 1e-9
"""By which an inequality between doubles must hold to be one between the numbers they stand for."""
SMALLEST = 1e-3
"""Side of a box that is not divided again."""


class Rise(NamedTuple):
    """Where S rises, whatever the gamma of a ball.

    Attributes:
        end: a deficit below x_infl; for a gamma that is exact by less than 1e-9.
        one: a deficit below x_infl up to which S < 1.
        top: upper bound of S.
    """

    end: float
    one: float
    top: float


@cache
def largest_odds(gamma: float) -> float | None:
    """Odds 1/p - 1 of a label up to which the loss is convex, if no critical point has larger ones; else None."""
    with ctx.workprec(PRECISION):
        rise = proved_rise(arb(gamma))
        return -_upper(-arb(rise.end).exp()) if rise else None


def proved_rise(gamma: Ball) -> Rise | None:
    """Where S rises, if balls show all inequalities for every gamma of the ball; else None."""
    rise = rise_of(gamma)
    return rise if is_between(gamma, rise) and is_beyond(gamma, rise) and is_below(gamma, rise) else None


def rise_of(gamma: Ball) -> Rise:
    """By bisection, each end proved: psi'' changes its sign once, at x_infl; S < 1 where psi'' > 0 is before x_1.

    Without a bend that is found S <= 1 + gamma max(p (-log p)) = 1 + gamma / e.
    """
    end = _last(lambda x: bend(x, gamma) > 0, 0.0, FARTHEST)
    one = _last(lambda x: slope(x, gamma) < 1, 0.0, end)
    after = -_last(lambda x: bend(-x, gamma) < 0, -FARTHEST, -end)
    if after == FARTHEST:
        return Rise(end, one, _upper(1 + gamma / arb(1).exp()))
    ends = [end + (after - end) * i / PIECES for i in range(PIECES + 1)]
    tops = [slope((arb(a) + arb(b)) / 2 + arb(0, (b - a) / 2 + 1e-12), gamma) for a, b in pairwise(ends)]
    return Rise(end, one, max(_upper(top) for top in tops))


def _last(is_true: Callable[[Ball], bool], first: float, end: float) -> float:
    """A number as far to the right as bisection finds one where this is true; `first` if there is none."""
    for _ in range(60):
        middle = (first + end) / 2
        first, end = (middle, end) if is_true(arb(middle)) else (first, middle)
    return first


def slope(x: Ball, gamma: Ball) -> Ball:
    """S = (1 - p)^gamma (1 - p - gamma p log p), p = 1 / (1 + exp(x))."""
    p, q = 1 / (1 + x.exp()), 1 / (1 + (-x).exp())
    return (gamma * q.log()).exp() * (q + gamma * p * (1 + x.exp()).log())


def bend(x: Ball, gamma: Ball) -> Ball:
    """A number of the sign of psi'' = dS/dx (`focal_curvature_sign`)."""
    p, q = 1 / (1 + x.exp()), 1 / (1 + (-x).exp())
    return gamma * (gamma * p - q) * (1 + x.exp()).log() + (2 * gamma + 1) * q


def _upper(ball: Any) -> float:
    return math.nextafter(float(ball.upper()), math.inf)


def _bound(x: Any, gamma: Ball, rise: Rise) -> float:
    """T(x) from above."""
    high = _upper(x)
    return rise.top if high >= rise.end else _upper(slope(arb(high), gamma))


def _entropy(v: float) -> Ball:
    if v in (0.0, 1.0):
        return arb(0)
    return -(arb(v) * arb(v).log() + (1 - arb(v)) * (1 - arb(v)).log())


def is_between(gamma: Ball, rise: Rise) -> bool:
    """Case 2: beta T(log 2 - beta) < x_1 - log 2; from 40 on it is below (1 + gamma) 2 beta exp(-beta), which falls."""
    start, least = rise.end - math.log(2) - 1e-12, rise.one - math.log(2)
    steps = [start + (40 - start) * i / 400 for i in range(401)] if start < 40 else [start]
    within = all(b * _bound(arb(2).log() - arb(a), gamma, rise) < least - MARGIN for a, b in pairwise(steps))
    last = max(start, 40.0)
    return within and _upper(2 * (1 + gamma) * arb(last) * (-arb(last)).exp()) < least - MARGIN


def is_beyond(gamma: Ball, rise: Rise) -> bool:
    """Case 3 for lambda >= FAR."""
    far, g = arb(FAR), 1 + gamma
    depth, level = 2 * far.log() + 5, 5 + g.log()
    near = _entropy(1 / (1 + FAR)) + arb(1e-9)
    ts = [i / PIECES for i in range(PIECES + 1)]
    peak = max(_bound(near + arb(b), gamma, rise) * (1 - a) for a, b in pairwise(ts))
    apart = _upper((far + 1) * 2 * g * (-depth).exp()) + peak
    both = _upper(2 * (arb(rise.top) * (depth + arb(2).log() + level) / far + g * (-level).exp()))
    return apart < 1 - MARGIN and both < 1 - MARGIN


def is_below(gamma: Ball, rise: Rise) -> bool:
    """Case 3 for lambda <= FAR, box by box (beta, lambda)."""
    pieces = [(a, b, max(_upper(_entropy(a)), _upper(_entropy(b)))) for a, b in pairwise(EDGES)]
    boxes = [(0.0, FAR, 0.0, FAR)]
    while boxes:
        low, high, first, last = boxes.pop()
        is_excluded = low > last or (arb(high).exp() + arb(last).exp()) < arb(rise.end).exp()
        if is_excluded or _total(gamma, rise, (low, min(high, last), max(first, low), last), pieces) < 1:
            continue
        side = max(high - low, last - first)
        if side < SMALLEST:
            return False
        if high - low >= last - first:
            boxes += [(low, (low + high) / 2, first, last), ((low + high) / 2, high, first, last)]
        else:
            boxes += [(low, high, first, (first + last) / 2), (low, high, (first + last) / 2, last)]
    return True


def _total(
    gamma: Ball, rise: Rise, box: tuple[float, float, float, float], pieces: list[tuple[float, float, float]]
) -> float:
    """A_m + A_l from above, over beta in [low, high], lambda in [first, last]; pieces (a, b, largest entropy) of v."""
    low, high, first, last = box
    s = _bound((1 + arb(high).exp()).log() - arb(first), gamma, rise)
    own = max(_bound(arb(h) + (1 - arb(a)) * high - first, gamma, rise) * b for a, b, h in pieces)
    tops = [_bound(arb(h) + arb(b) * last - low, gamma, rise) for a, b, h in pieces]
    weighted = (
        mu * s + max(top * max(0.0, 1 - (1 + mu) * a) for top, (a, _, _) in zip(tops, pieces, strict=True))
        for mu in WEIGHTS
    )
    return (min(weighted) + own) * (1 + 1e-9)
