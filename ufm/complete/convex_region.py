"""Focal loss, three classes, with a bias: at every critical point every sample has p >= p_infl, and the loss is convex.

For every n, d and all decays; [P] marks what is proved on paper, no machine checks it, [I] what ball arithmetic proves.
x = log(1/p - 1) is the deficit, S(x) rises up to x_infl, where p = p_infl, and then falls to 1;
T(x) = S(min(x, x_infl)) bounds S and rises. w_ij are the probabilities of the other classes among themselves, H their
entropy, mean_k is over the samples of class k.

[P] Suppose a sample i of class y has p_i < p_infl, so S_i > 1. A sample j of the class has S_j >= 1, too: if x_j >= x_i
since S >= 1 there; if x_j < x_i and S_j <= S_i both had the same feature
(`theory_checks/samples_of_a_class_do_not_cross.py`). So x_j >= x_1, where S(x_1) = 1, x_1 < x_infl.
First order in h (u'W h <= 0) gives for every sample x_j <= H(w_j) + sum_m w_jm b_m - b_y <= log(sum of exp(b_m - b_y)).
Row m of G 1 = -decay_b b reads sum_{k /= m} mean_k S w_.m = mean_m S - K decay_b b_m, sum b = 0.

1. y has the largest b: x_i <= log 2, so p_i >= 1/3, which is no such sample.
2. y is between l below and m above, beta = b_m - b_y: x_j <= log 2 + w_jm beta, so w_jm beta >= x_1 - log 2 for all j
   in y, and beta >= x_infl - log 2. Row m, b_m >= 0: mean_y S w_.m <= mean_m S <= T(log 2 - beta). So
   x_1 - log 2 <= beta T(log 2 - beta). [I] It is more for all these beta.
3. y has the least b, lambda = b_l - b_y >= beta = b_m - b_y >= 0, exp(beta) + exp(lambda) >= exp(x_infl).
   Row y, b_y <= 0: 1 <= mean_y S <= A_m + A_l, A_k = mean_k S w_.y. On class l,
   A_l <= sup_w T(H(w) + (1 - w) beta - lambda) w.
   Row l: mean_m S w_.l <= mean_l S <= s = T(log(1 + exp(beta)) - lambda). So with v = w_.l on class m, for mu >= 0,
   A_m <= mu s + sup_v T(H(v) + v lambda - beta) max(0, 1 - (1 + mu) v). [I] A_m + A_l < 1 up to lambda = FAR.
   [P] Beyond, with delta = lambda - beta, T(x) <= (1 + gamma) exp(x), D = 2 log lambda + 5, mu = lambda or 0:
   a) delta >= D: s <= 2 (1 + gamma) exp(-delta), A_l <= s, and with t = v lambda
      A_m <= lambda s + sup_t T(H(1 / (1 + lambda)) + t) (1 - t);
   b) delta < D: 1 - v, or w, is below (D + log 2 + L) / lambda, or T is below exp(-L) (1 + gamma): both A are at most
      T(x_infl) (D + log 2 + L) / lambda + (1 + gamma) exp(-L).
   [I] Either is small enough at lambda = FAR, and they fall.
"""

import math
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from flint import arb, ctx

from ufm.proof.ball_losses import Ball
from ufm.theory.prediction import focal_curvature_sign

PRECISION = 64
FAR = 300.0
"""lambda up to which boxes are looked at."""
PIECES = 32
"""Of t in [0, 1]."""
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
    """Where S rises.

    Attributes:
        end: a deficit below x_infl by at most 1e-6.
        one: a deficit up to which S < 1.
        top: upper bound of S.
    """

    end: float
    one: float
    top: float


@cache
def largest_odds(gamma: float) -> float | None:
    """Odds 1/p - 1 of a label up to which the loss is convex, if no critical point has larger ones; else None."""
    with ctx.workprec(PRECISION):
        rise = _rise(gamma)
        is_proved = rise is not None and _between(gamma, rise) and _beyond(gamma, rise) and _below(gamma, rise)
        return -_upper(-arb(rise.end).exp()) if rise and is_proved else None


def _rise(gamma: float) -> Rise | None:
    """By bisection in floating point, then proved: the sign of psi'' changes once, at x_infl."""
    low, high = 0.0, 200.0  # the curvature's sign at margin a = log 2 - x
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if focal_curvature_sign(math.log(2) - middle, 3, gamma) > 0 else (low, middle)
    end, after = low - 1e-7, low + 1e-7
    if not (_bend(arb(end), gamma) > 0 and _bend(arb(after), gamma) < 0):
        return None
    one_low, one = 0.0, end
    for _ in range(40):
        middle = (one_low + one) / 2
        one_low, one = (middle, one) if slope(arb(middle), gamma) < 1 else (one_low, middle)
    return Rise(end, one_low, _upper(slope((arb(end) + arb(after)) / 2 + arb(0, 2e-7), gamma)))


def slope(x: Ball, gamma: float) -> Ball:
    """S = (1 - p)^gamma (1 - p - gamma p log p), p = 1 / (1 + exp(x))."""
    p, q = 1 / (1 + x.exp()), 1 / (1 + (-x).exp())
    return (arb(gamma) * q.log()).exp() * (q + arb(gamma) * p * (1 + x.exp()).log())


def _bend(x: Ball, gamma: float) -> Ball:
    """A number of the sign of psi'' = dS/dx (`focal_curvature_sign`)."""
    p, q, g = 1 / (1 + x.exp()), 1 / (1 + (-x).exp()), arb(gamma)
    return g * (g * p - q) * (1 + x.exp()).log() + (2 * g + 1) * q


def _upper(ball: Any) -> float:
    return math.nextafter(float(ball.upper()), math.inf)


def _bound(x: Any, gamma: float, rise: Rise) -> float:
    """T(x) from above."""
    high = _upper(x)
    return rise.top if high >= rise.end else _upper(slope(arb(high), gamma))


def _entropy(v: float) -> Ball:
    if v in (0.0, 1.0):
        return arb(0)
    return -(arb(v) * arb(v).log() + (1 - arb(v)) * (1 - arb(v)).log())


def _between(gamma: float, rise: Rise) -> bool:
    """Case 2: beta T(log 2 - beta) < x_1 - log 2; from 40 on it is below (1 + gamma) 2 beta exp(-beta), which falls."""
    start, least = rise.end - math.log(2), rise.one - math.log(2)
    steps = [start + (40 - start) * i / 400 for i in range(401)] if start < 40 else [start]
    within = all(b * _bound(arb(2).log() - arb(a), gamma, rise) < least - MARGIN for a, b in pairwise(steps))
    last = max(start, 40.0)
    return within and _upper(2 * (1 + arb(gamma)) * arb(last) * (-arb(last)).exp()) < least - MARGIN


def _beyond(gamma: float, rise: Rise) -> bool:
    """Case 3 for lambda >= FAR."""
    far, g = arb(FAR), 1 + arb(gamma)
    depth, level = 2 * far.log() + 5, 5 + g.log()
    near = _entropy(1 / (1 + FAR)) + arb(1e-9)
    ts = [i / PIECES for i in range(PIECES + 1)]
    peak = max(_bound(near + arb(b), gamma, rise) * (1 - a) for a, b in pairwise(ts))
    apart = _upper((far + 1) * 2 * g * (-depth).exp()) + peak
    both = _upper(2 * (arb(rise.top) * (depth + arb(2).log() + level) / far + g * (-level).exp()))
    return apart < 1 - MARGIN and both < 1 - MARGIN


def _below(gamma: float, rise: Rise) -> bool:
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
    gamma: float, rise: Rise, box: tuple[float, float, float, float], pieces: list[tuple[float, float, float]]
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
