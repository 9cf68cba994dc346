"""The line search of `line_search_batched` for one start at a time, compiled: code that branches instead of masks.

Starts take turns at every evaluation, so that a search stops after each trial and goes on when the next has its value.
"""

from typing import no_type_check

import numpy as np

from ufm.compiled import kernel, part, sum_part
from ufm.solve.end_points import Status

RUNNING, CONVERGED, OUT_OF_STEPS, STALLED, NONFINITE = (int(status) for status in Status)

START = np.dtype(
    [
        ("row", "i8"),  # among all starts
        ("step", "f8"),  # of the metric
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
"""The scalar state of a start; its vectors are in `AtWork`."""


@kernel
@no_type_check
def search(starts, vectors, trial, f, g, rules, path):
    """Accept the trial or not, end the start, and set the next trial step."""
    for place in range(len(f)):
        s = starts[place]
        s.evaluations += 1
        s.trials += 1
        x, d = vectors[place, 0], vectors[place, 2]
        s.slope_there, squared = _two_products(g[place], d)
        s.is_accepted = s.is_new or _satisfies_wolfe(s.f, s.slope, s.t, f[place], s.slope_there, rules)
        s.is_turning = s.is_accepted or s.trials >= rules.trials
        if s.is_accepted:
            _accept(s, f[place], np.sqrt(squared), rules)
            _note(s, path)
        elif not s.is_turning:
            _narrow(s, f[place], rules)
            _step(x, s.t, d, trial[place])
        elif s.pairs == 0:
            s.status = STALLED
        else:
            s.pairs = 0


@part
@no_type_check
def _satisfies_wolfe(f0, slope0, t, f, slope, rules):
    decreased = f <= f0 + rules.armijo * t * slope0
    is_flat = abs(slope) <= -rules.wolfe * slope0
    is_level = f <= f0 + rules.rounding * abs(f0)
    return is_flat and (decreased or (is_level and slope <= (2 * rules.armijo - 1) * slope0))


@part
@no_type_check
def _accept(s, f, norm, rules):
    """Make the trial the current point, and end the start where a rule says so."""
    s.f, s.norm = f, norm
    s.steps += not s.is_new
    is_lower = not f >= s.level - rules.rounding * abs(f)
    if is_lower or norm < rules.clearly * s.shortest:
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


@part
@no_type_check
def _note(s, path):
    """Keep value and gradient of the first starts after 0, 1, 2, 4, ... steps."""
    if s.row < len(path) and s.steps & (s.steps - 1) == 0:
        bits = 0
        while s.steps >> bits:
            bits += 1
        path[s.row, bits, 0], path[s.row, bits, 1] = s.f, s.norm


@part
@no_type_check
def _narrow(s, f, rules):
    """The trial becomes an end of the bracket, and the next one lies inside it, or beyond where there is none."""
    t, slope = s.t, s.slope_there
    if _is_too_long(s.f, s.slope, t, f, slope, rules):
        s.high_t, s.high_f, s.high_slope = t, f, slope
    else:
        s.t = min(max(_secant(s.low_t, s.low_slope, t, slope), 2 * t), 10 * t)
        s.low_t, s.low_f, s.low_slope = t, f, slope
    if s.high_t < np.inf:
        s.t = _cubic(s)


@part
@no_type_check
def _is_too_long(f0, slope0, t, f, slope, rules):
    allowed = max(f0 + rules.armijo * t * slope0, f0 + rules.rounding * abs(f0))
    return f > allowed or slope > 0 or not np.isfinite(f + slope)


@part
@no_type_check
def _secant(before, slope_before, t, slope):
    """Where the slope through two points vanishes; far out where it falls."""
    rise = (slope - slope_before) / (t - before)
    return t - slope / rise if rise > 0 else np.inf


@part
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


@part
@no_type_check
def _step(x, t, d, trial):
    for p in range(len(d)):
        trial[p] = x[p] + t * d[p]


@sum_part
@no_type_check
def _two_products(g, d):
    gd, gg = 0.0, 0.0
    for p in range(len(g)):
        gd += g[p] * d[p]
        gg += g[p] * g[p]
    return gd, gg
