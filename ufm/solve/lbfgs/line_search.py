"""The line search of `minimise`, one trial at a time and for every start on its own.

A search along a direction knows value and slope at step 0. A trial is taken if it satisfies the Wolfe conditions;
otherwise it becomes the lower or upper end of a bracket, inside which the next trial minimises a cubic (Nocedal and
Wright 2006, algorithms 3.5 and 3.6). An end of a bracket is a row (step, value, slope).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ARMIJO, WOLFE = 1e-4, 0.9
ROUNDING = 16 * torch.finfo(torch.float64).eps
"""Rounding error of a value, relative to it."""
TRIALS = 30
"""Evaluations of one line search before it gives up."""

Each = Float[Tensor, " B"]
End = Float[Tensor, "B 3"]


def rounding(f: Each) -> Each:
    """Rounding error of a value."""
    return ROUNDING * f.abs()


def satisfies_wolfe(f0: Each, slope0: Each, t: Each, f: Each, slope: Each) -> Bool[Tensor, " B"]:
    """Strong Wolfe, or approximate Wolfe (Hager and Zhang 2005) where the decrease is lost in rounding."""
    decreased = f <= f0 + ARMIJO * t * slope0
    is_flat = slope.abs() <= -WOLFE * slope0
    is_level = f <= f0 + rounding(f0)
    return is_flat & (decreased | (is_level & (slope <= (2 * ARMIJO - 1) * slope0)))


def is_too_long(f0: Each, slope0: Each, t: Each, f: Each, slope: Each) -> Bool[Tensor, " B"]:
    """Whether a trial that was not taken lies beyond a point that would be."""
    rises = f > torch.maximum(f0 + ARMIJO * t * slope0, f0 + rounding(f0))
    return rises | (slope > 0) | ~torch.isfinite(f + slope)


def next_trial(low: End, high: End, previous: End) -> Each:
    """Inside the bracket where there is one (`high` has a finite step), beyond `low` otherwise."""
    t = low[:, 0]
    beyond = _secant(previous, low).clamp(2 * t, 10 * t)
    return torch.where(torch.isinf(high[:, 0]), beyond, _cubic(low, high))


def _secant(one: End, two: End) -> Each:
    """Where the slope through two points vanishes; far out where it falls."""
    t, slope = two[:, 0], two[:, 2]
    rise = (slope - one[:, 2]) / (t - one[:, 0])
    return torch.where(rise > 0, t - slope / rise, torch.inf)


def _cubic(low: End, high: End) -> Each:
    """Minimiser of the cubic through two values and slopes, kept off the ends; the middle where there is none."""
    (t0, f0, m0), (t1, f1, m1) = low.unbind(1), high.unbind(1)
    width = t1 - t0
    middle = m0 + m1 - 3 * (f1 - f0) / width
    root = (middle.square() - m0 * m1).clamp(min=0).sqrt()
    t = t1 - width * (m1 + root - middle) / (m1 - m0 + 2 * root)
    t = torch.where(torch.isfinite(t), t, t0 + width / 2)
    return t.clamp(t0 + 0.1 * width, t1 - 0.1 * width)
