"""L-BFGS on CPU cores: each start on its own in compiled loops, its memory passing through the core's cache once.

The same method as `lbfgs_batched` in the form that a single start has, where code may branch and a start does only what
its own line search asks for. Starts take turns at every evaluation, since the objective is evaluated for all of them in
one call. The direction is the two-loop recursion written in scalar products (Chen, Wang and Zhou 2014, "Large-scale
L-BFGS using MapReduce").
"""

import dataclasses
from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.compiled import kernel, sum_kernel
from ufm.end_points import EndPoints, Status
from ufm.lbfgs_batched import IDLE_STEPS, MEMORY
from ufm.line_search import ARMIJO, ROUNDING, TRIALS, WOLFE

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


class CompiledLbfgs:
    """Some of the starts at work, the others in the queue.

    Args:
        starts: one start per row.
        width: how many are worked on at a time.
        tolerance, max_steps: as in `minimise`.
    """

    TICKS_BETWEEN_EXCHANGES = 1

    def __init__(self, starts: Float[Tensor, "S P"], width: int, tolerance: float, max_steps: int) -> None:
        S, P = starts.shape
        width = min(width, S)
        self.end = EndPoints.unknown(starts)
        self._rules = Rules(tolerance, max_steps)
        self._queue = starts.contiguous().numpy()
        self._ends = tuple(getattr(self.end, field.name).numpy() for field in dataclasses.fields(EndPoints))
        self._at_work = (
            np.zeros(width, START),
            np.empty((width, 3, P)),  # x, g, d
            np.empty((width, 2, MEMORY, P)),  # s, y
            np.empty((width, 2, MEMORY, MEMORY)),  # s_i . y_j, y_i . y_j
            np.empty((width, P)),  # trial points
        )
        self._trial = torch.from_numpy(self._at_work[-1])
        self._there = np.empty((0, P))
        _load_first(*self._at_work, self._queue)
        self.active, self._next = width, width

    @property
    def trial(self) -> Float[Tensor, "B P"]:
        """The points to be evaluated next."""
        return self._trial[: self.active]

    @property
    def rows(self) -> Int[Tensor, " B"]:
        """Which of the starts those are."""
        return torch.from_numpy(self._at_work[0]["row"][: self.active])

    def search(self, f: Float[Tensor, " B"], g: Float[Tensor, "B P"]) -> None:
        """Line search: is the trial taken, has the start ended, what is tried next?"""
        self._there = g.contiguous().numpy()
        starts, vectors, _, _, trial = self._at_work
        _search(starts, vectors, trial, f.contiguous().numpy(), self._there, self._rules)

    def turn(self) -> None:
        """Take the accepted steps, remember them, and find a new direction where a line search is over."""
        _turn(*self._at_work, self._there)

    def exchange(self) -> int:
        """Write out who ended, let the queue take their places; returns how many ended."""
        before = self.active
        self.active, self._next, ended = _exchange(*self._at_work, self._queue, self._ends, before, self._next)
        return ended


@kernel
@no_type_check
def _load_first(starts, vectors, memory, products, trial, queue):
    for place in range(len(starts)):
        _load(starts[place], vectors[place], trial[place], queue, place)


@kernel
@no_type_check
def _load(s, vectors, trial, queue, row):
    s.row, s.is_new, s.status = row, 1, RUNNING
    s.level = s.shortest = np.inf
    s.f = s.norm = s.slope = s.t = 0.0
    s.trials = s.pairs = s.idle = s.steps = s.evaluations = 0
    vectors[2] = 0.0
    trial[:] = queue[row]


@kernel
@no_type_check
def _exchange(starts, vectors, memory, products, trial, queue, ends, active, following):
    x, value, norm, status, steps, evaluations = ends
    place = ended = 0
    while place < active:
        s = starts[place]
        if s.status == RUNNING:
            place += 1
            continue
        ended += 1
        row = s.row
        x[row], value[row], norm[row] = vectors[place, 0], s.f, s.norm
        status[row], steps[row], evaluations[row] = s.status, s.steps, s.evaluations
        if following < len(queue):
            _load(s, vectors[place], trial[place], queue, following)
            following += 1
        else:  # the last one at work moves here
            active -= 1
            starts[place], vectors[place], memory[place] = starts[active], vectors[active], memory[active]
            products[place], trial[place] = products[active], trial[active]
    return active, following, ended


@kernel
@no_type_check
def _search(starts, vectors, trial, f, g, rules):
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
def _turn(starts, vectors, memory, products, trial, there):
    from_S, from_Y, Sg, Yg = np.empty(MEMORY), np.empty(MEMORY), np.empty(MEMORY), np.empty(MEMORY)
    for place in range(len(there)):
        s = starts[place]
        # Indexed one by one: unpacking would lose that they are contiguous.
        x, g, d = vectors[place, 0], vectors[place, 1], vectors[place, 2]
        S, Y = memory[place, 0], memory[place, 1]
        if s.is_accepted:
            if not s.is_new and np.isfinite(s.slope_there):
                _remember(s.t, d, g, there[place], S[s.pairs % MEMORY], Y[s.pairs % MEMORY])
                s.pairs += 1
            s.is_new = 0
            x[:] = trial[place]
            g[:] = there[place]
        if not s.is_turning or s.status != RUNNING:
            continue
        for j in range(min(s.pairs, MEMORY)):
            newest = (s.pairs - 1) % MEMORY
            Sg[j], Yg[j], sy, yy = _four_products(S[j], Y[j], g, Y[newest])
            products[place, 0, j, newest] = sy
            products[place, 1, j, newest] = products[place, 1, newest, j] = yy
        scale = _coefficients(s, products[place], Sg, Yg, from_S, from_Y)
        _combine(-scale, g, from_S, S, from_Y, Y, min(s.pairs, MEMORY), d)
        _step(x, 1.0, d, trial[place])
        s.t, s.trials = 1.0, 0
        s.low_t, s.low_f, s.low_slope, s.high_t = 0.0, s.f, s.slope, np.inf


@kernel
@no_type_check
def _remember(t, d, g, there, s, y):
    for p in range(len(d)):
        s[p] = t * d[p]
        y[p] = there[p] - g[p]


@sum_kernel
@no_type_check
def _four_products(s, y, g, y_newest):
    sg, yg, sy, yy = 0.0, 0.0, 0.0, 0.0
    for p in range(len(s)):
        sg += s[p] * g[p]
        yg += y[p] * g[p]
        sy += s[p] * y_newest[p]
        yy += y[p] * y_newest[p]
    return sg, yg, sy, yy


@kernel
@no_type_check
def _combine(scale, g, from_S, S, from_Y, Y, pairs, d):
    for p in range(len(d)):
        d[p] = scale * g[p]
    for j in range(pairs):
        s, y, a, b = S[j], Y[j], from_S[j], from_Y[j]
        for p in range(len(d)):
            d[p] += a * s[p] + b * y[p]


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


@kernel
@no_type_check
def _coefficients(s, products, Sg, Yg, from_S, from_Y):
    """Direction -scale g + S' from_S + Y' from_Y and its slope; steepest descent where there is no memory."""
    SY, YY = products[0], products[1]
    count = min(s.pairs, MEMORY)
    steepest = 1 / max(s.norm, 1.0)
    newest = (s.pairs - 1) % MEMORY
    scale = SY[newest, newest] / YY[newest, newest] if count else steepest
    for age in range(count):
        i = (s.pairs - 1 - age) % MEMORY
        along = -Sg[i]
        for younger in range(age):
            j = (s.pairs - 1 - younger) % MEMORY
            along += from_Y[j] * SY[i, j]
        from_Y[i] = -along / SY[i, i]
    for age in range(count - 1, -1, -1):
        i = (s.pairs - 1 - age) % MEMORY
        along = -Yg[i]
        for j in range(count):
            along += from_Y[j] * YY[i, j]
        along *= scale
        for older in range(age + 1, count):
            j = (s.pairs - 1 - older) % MEMORY
            along += from_S[j] * SY[j, i]
        from_S[i] = -from_Y[i] - along / SY[i, i]
    slope = -scale * s.norm * s.norm
    for j in range(count):
        from_Y[j] *= scale
        slope += from_S[j] * Sg[j] + from_Y[j] * Yg[j]
    if slope < 0:
        s.slope = slope
        return scale
    s.pairs = 0
    s.slope = -steepest * s.norm * s.norm
    return steepest
