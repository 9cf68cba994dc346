"""Balls of real numbers (Arb, through python-flint): outward rounding, so that a sign is a proof.

A float stands for its binary value, not for the decimal it was written as: the ends of a range that a claim states are
exact in binary or lie beyond the decimal, and single parameters enter as strings or fractions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from flint import arb

Ball = arb
MOST_BALLS = 200_000


@dataclass(frozen=True)
class Cover:
    """How an interval was covered: `least` is a lower bound of the function on all of it (None: it was not shown)."""

    least: float | None
    balls: int


def ball(low: float, high: float) -> Ball:
    """The smallest ball around the interval [low, high] of two floats."""
    return arb((arb(low) + arb(high)) / 2, (arb(high) - arb(low)) / 2)


def positive_on(function: Callable[[Ball], Ball], low: float, high: float) -> Cover:
    """Show function > 0 on [low, high] by bisection; gives up after `MOST_BALLS` or where the function is not positive.

    Pieces are refined until their bound is at least half the value at their middle.
    """
    pending, least, balls = [(low, high)], float("inf"), 0
    while pending:
        left, right = pending.pop()
        value = function(ball(left, right))
        balls += 1
        bound = float(value.lower())
        if bound > 0 and bound > float(value.mid()) / 2:
            least = min(least, bound)
            continue
        middle = (left + right) / 2
        if not left < middle < right or float(function(arb(middle)).upper()) <= 0 or balls > MOST_BALLS:
            return Cover(None, balls)
        pending += [(left, middle), (middle, right)]
    return Cover(least, balls)


def least(*covers: Cover) -> float:
    """The lower bound of all, nan where positivity was not shown."""
    bounds = [math.nan if cover.least is None else cover.least for cover in covers]
    return math.nan if any(map(math.isnan, bounds)) else min(bounds)


def root_between(function: Callable[[Ball], Ball], low: float, high: float, digits: int = 14) -> Ball:
    """A ball that holds a root of a continuous function with certified signs at both ends.

    Raises:
        ValueError: if the signs at the ends are not certified to differ.
    """
    sign = _sign(function(arb(low)))
    if sign * _sign(function(arb(high))) >= 0:
        raise ValueError(f"`low`, `high` must bracket a sign change that balls can show, got {low}, {high}.")
    while high - low > 10.0**-digits * max(1.0, abs(low)):
        middle = (low + high) / 2
        here = _sign(function(arb(middle)))
        if here == 0 or not low < middle < high:
            break
        low, high = (middle, high) if here == sign else (low, middle)
    return ball(low, high)


def _sign(value: Ball) -> int:
    """1, -1, or 0 where the ball contains zero."""
    return int(bool(value > 0)) - int(bool(value < 0))
