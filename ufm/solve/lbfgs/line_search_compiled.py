"""The line search of `ufm/solve/lbfgs/line_search.py` for one start at a time, compiled: code that branches instead of
masks.

Starts take turns at every evaluation, so that a search stops after each trial and goes on when the next has its value.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from ufm.compiled import kernel, sum_kernel
from ufm.solve.end_points import Status
from ufm.solve.lbfgs.batched import IDLE_STEPS
from ufm.solve.lbfgs.line_search import ARMIJO, ROUNDING, TRIALS, WOLFE

RUNNING, CONVERGED, OUT_OF_STEPS, STALLED, NONFINITE = (int(status) for status in Status)

START = np.dtype(
    [
        ("row", "i8"),  # among all starts
        ("f", "f8"),
        ("norm", "f8"),  # |g|
        ("slope", "f8"),  # g . d
        ("t", "f8"),  # trial step
        ("low_t", "f8"),  # the best step that is too short, with value and slope
        ("low_f", "f8"),
        ("low_slope", "f8"),
        ("high_t", "f8"),  # the same for a step that is too long; inf when there is none
        ("high_f", "f8"),
        ("high_slope", "f8"),
        ("trials", "i8"),  # evaluations of this line search
        ("is_new", "i8"),  # x itself is yet to be evaluated
        ("pairs", "i8"),  # pairs ever kept since the last reset
        ("level", "f8"),  # value when there last was progress
        ("shortest", "f8"),  # |g| then, or shorter
        ("idle", "i8"),  # steps since there was progress
        ("status", "i8"),
        ("steps", "i8"),
        ("evaluations", "i8"),
        ("is_accepted", "i8"),  # the trial is the next point
        ("is_turning", "i8"),  # the line search is over
        ("slope_there", "f8"),  # g . d at the trial
    ],
    align=True,
)
"""What a start knows besides its vectors."""


class Rules(NamedTuple):
    """What the compiled code is asked to follow."""

    tolerance: float
    max_steps: int
    trials: int = TRIALS
    idle_steps: int = IDLE_STEPS
    armijo: float = ARMIJO
    wolfe: float = WOLFE
    rounding: float = ROUNDING


@kernel
@no_type_check
def search(starts, vectors, trial, f, g, rules):
    """Is the trial taken, has the start ended, what is tried next?"""
    for place in range(len(f)):
        s = starts[place]
        s.evaluations += 1
        s.trials += 1
        x, d = vectors[place, 0], vectors[place, 2]
        s.slope_there, squared = _two_products(g[place], d)
        s.is_accepted = s.is_new or _satisfies_wolfe(s, f[place], rules)
        s.is_turning = s.is_accepted or s.trials >= rules.trials
        if s.is_accepted:
            _accept(s, f[place], np.sqrt(squared), rules)
        elif not s.is_turning:
            _narrow(s, f[place], rules)
            _step(x, s.t, d, trial[place])
        elif s.pairs == 0:
            s.status = STALLED
        else:
            s.pairs = 0


@kernel
@no_type_check
def _satisfies_wolfe(s, f, rules):
    decreased = f <= s.f + rules.armijo * s.t * s.slope
    is_flat = abs(s.slope_there) <= -rules.wolfe * s.slope
    is_level = f <= s.f + rules.rounding * abs(s.f)
    return is_flat and (decreased or (is_level and s.slope_there <= (2 * rules.armijo - 1) * s.slope))


@kernel
@no_type_check
def _accept(s, f, norm, rules):
    """The trial becomes the point; has the start ended?"""
    s.f, s.norm = f, norm
    s.steps += not s.is_new
    is_lower = not f >= s.level - rules.rounding * abs(f)
    if is_lower or norm < 0.9 * s.shortest:
        s.level, s.shortest, s.idle = f, min(norm, s.shortest), 0
    else:
        s.idle += 1
    if not np.isfinite(f + norm):
        s.status = NONFINITE
    elif norm <= rules.tolerance:
        s.status = CONVERGED
    elif s.steps >= rules.max_steps:
        s.status = OUT_OF_STEPS
    elif s.idle >= rules.idle_steps:
        s.status = STALLED


@kernel
@no_type_check
def _narrow(s, f, rules):
    """The trial becomes an end of the bracket, and the next one lies inside it, or beyond where there is none."""
    t, slope = s.t, s.slope_there
    allowed = max(s.f + rules.armijo * t * s.slope, s.f + rules.rounding * abs(s.f))
    if f > allowed or slope > 0 or not np.isfinite(f + slope):
        s.high_t, s.high_f, s.high_slope = t, f, slope
    else:
        rise = (slope - s.low_slope) / (t - s.low_t)
        s.t = min(max(t - slope / rise, 2 * t), 10 * t) if rise > 0 else 10 * t
        s.low_t, s.low_f, s.low_slope = t, f, slope
    if s.high_t < np.inf:
        s.t = _cubic(s)


@kernel
@no_type_check
def _cubic(s):
    """Minimiser of the cubic through two values and slopes, kept off the ends; the middle where there is none."""
    width = s.high_t - s.low_t
    middle = s.low_slope + s.high_slope - 3 * (s.high_f - s.low_f) / width
    root = np.sqrt(max(middle * middle - s.low_slope * s.high_slope, 0.0))
    t = s.high_t - width * (s.high_slope + root - middle) / (s.high_slope - s.low_slope + 2 * root)
    if not np.isfinite(t):
        t = s.low_t + width / 2
    return min(max(t, s.low_t + 0.1 * width), s.high_t - 0.1 * width)


@kernel
@no_type_check
def _step(x, t, d, trial):
    for p in range(len(d)):
        trial[p] = x[p] + t * d[p]


@sum_kernel
@no_type_check
def _two_products(g, d):
    gd, gg = 0.0, 0.0
    for p in range(len(g)):
        gd += g[p] * d[p]
        gg += g[p] * g[p]
    return gd, gg
