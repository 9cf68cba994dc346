"""L-BFGS on CPU cores: each start on its own in compiled loops, its memory passing through the core's cache once.

The same method as `batched` in the form that a single start has, where code may branch and a start does only what its
own line search asks for. Starts take turns at every evaluation, since the objective is evaluated for all of them in
one call. The direction is the two-loop recursion written in scalar products (Chen, Wang and Zhou 2014, "Large-scale
L-BFGS using MapReduce").
"""

from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.compiled import array_of, copy, kernel, part, square, sum_part
from ufm.solve.end_points import EndPoints, Path, Status
from ufm.solve.lbfgs.line_search_compiled import START, search
from ufm.solve.lbfgs.rules import MEMORY, Metric, Rules

RUNNING = int(Status.RUNNING)


class AtWork(NamedTuple):
    """The starts at work, one a row of every array."""

    starts: np.ndarray
    """`START`."""
    vectors: Float[np.ndarray, "B 3 P"]
    """x, g, d."""
    memory: Float[np.ndarray, "B 2 M P"]
    """s, y."""
    products: Float[np.ndarray, "B 2 M M"]
    """s_i . y_j, y_i . y_j."""
    trial: Float[np.ndarray, "B P"]
    """The points to be evaluated next."""

    @classmethod
    def unset(cls, B: int, P: int) -> "AtWork":
        """Uninitialised arrays for B starts."""
        return cls(
            np.zeros(B, START),
            np.empty((B, 3, P)),
            np.empty((B, 2, MEMORY, P)),
            np.empty((B, 2, MEMORY, MEMORY)),
            np.empty((B, P)),
        )


class Queue(NamedTuple):
    """All starts."""

    x: Float[np.ndarray, "S P"]
    step: Float[np.ndarray, " S"]
    """Of the metric."""


class CompiledLbfgs:
    """L-BFGS as compiled loops.

    Args:
        starts: one start per row.
        width: how many are worked on at a time.
        rules: what is followed.
        metric: that of the first direction.
        path: of the first starts, to be filled in.
    """

    TICKS_BETWEEN_EXCHANGES = 1

    def __init__(self, starts: Float[Tensor, "S P"], width: int, rules: Rules, metric: Metric, path: Path) -> None:
        self.end = EndPoints.unknown(starts)
        self._rules, self._last, self._path = rules, metric.last, path.numbers.numpy()
        self._queue = Queue(array_of("starts", starts, tuple(starts.shape)), metric.step.expand(len(starts)).numpy())
        self._ends = self.end.arrays()
        self.active = self._next = min(width, len(starts))
        self._work = AtWork.unset(self.active, starts.shape[1])
        self._trial = torch.from_numpy(self._work.trial)
        self._there = np.empty((0, starts.shape[1]))
        first = np.arange(self.active)
        _load(self._work, first, self._queue, first)

    @property
    def trial(self) -> Float[Tensor, "B P"]:
        """The points (B, P) to be evaluated next."""
        return self._trial[: self.active]

    @property
    def rows(self) -> Int[Tensor, " B"]:
        """The numbers of the starts to which `trial` belongs."""
        return torch.from_numpy(self._work.starts["row"][: self.active])

    def search(self, f: Float[Tensor, " B"], g: Float[Tensor, "B P"]) -> None:
        """Process the values and gradients at `trial`: accept it or not, end starts, and set the next trial step."""
        work, shape = self._work, tuple(self.trial.shape)
        self._there = array_of("objective's gradient", g, shape)
        value = array_of("objective's value", f, shape[:1])
        search(work.starts, work.vectors, work.trial, value, self._there, self._rules, self._path)

    def turn(self) -> None:
        """Move to the accepted points, remember the steps, and set a new direction where a line search is over."""
        turn(self._work, self._there, self._last)

    def exchange(self) -> int:
        """Store the results of ended starts, replace them by waiting ones, and return how many ended."""
        self.active, self._next, ended = _exchange(self._work, self._queue, self._ends, self.active, self._next)
        return ended


def _load(work: AtWork, places: Int[np.ndarray, " A"], queue: Queue, rows: Int[np.ndarray, " A"]) -> None:
    """Waiting starts take these places."""
    fresh = np.zeros(len(places), START)
    fresh["row"], fresh["step"], fresh["is_new"], fresh["status"] = rows, queue.step[rows], 1, RUNNING
    fresh["level"] = fresh["shortest"] = np.inf
    work.starts[places] = fresh
    work.vectors[places, 2] = 0
    work.trial[places] = queue.x[rows]


def _exchange(
    work: AtWork, queue: Queue, ends: tuple[np.ndarray, ...], active: int, following: int
) -> tuple[int, int, int]:
    """Store the results of ended starts, and replace them by waiting ones or by the last at work."""
    places = (work.starts["status"][:active] != RUNNING).nonzero()[0]
    if not len(places):
        return active, following, 0
    ended = work.starts[places]
    x, *of_ends = ends
    x[ended["row"]] = work.vectors[places, 0]
    for name, values in zip(("f", "norm", "status", "steps", "evaluations"), of_ends, strict=True):
        values[ended["row"]] = ended[name]
    incoming = np.arange(following, min(following + len(places), len(queue.x)))
    _load(work, places[: len(incoming)], queue, incoming)
    empty = places[len(incoming) :]
    active -= len(empty)
    holes, last = empty[empty < active], np.arange(active, active + len(empty))
    movers = np.setdiff1d(last, empty, assume_unique=True)
    for array in work:
        array[holes] = array[movers]
    return active, following + len(incoming), len(places)


@kernel
@no_type_check
def turn(work, there, last):
    """Move to the accepted points, remember the steps, and set a new direction where a line search is over."""
    starts, vectors, memory, products, trial = work
    most = memory.shape[2]
    from_S, from_Y, Sg, Yg = np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    first = there.shape[1] - last
    for place in range(len(there)):
        s = starts[place]
        # Indexed one by one: unpacking would lose that they are contiguous.
        x, g, d = vectors[place, 0], vectors[place, 1], vectors[place, 2]
        S, Y = memory[place, 0], memory[place, 1]
        if s.is_accepted:
            if not s.is_new and np.isfinite(s.slope_there):
                _remember(s.t, d, g, there[place], S[s.pairs % most], Y[s.pairs % most])
                s.pairs += 1
            s.is_new = 0
            copy(trial[place], x)
            copy(there[place], g)
        if not s.is_turning or s.status != RUNNING:
            continue
        for j in range(min(s.pairs, most)):
            newest = (s.pairs - 1) % most
            Sg[j], Yg[j], sy, yy = _four_products(S[j], Y[j], g, Y[newest], first, s.step)
            products[place, 0, j, newest] = sy
            products[place, 1, j, newest] = products[place, 1, newest, j] = yy
        squared = s.norm * s.norm + (s.step - 1) * square(g[first:])
        scale = _coefficients(s, squared, products[place], Sg, Yg, from_S, from_Y)
        _combine(-scale, g, from_S, S, from_Y, Y, min(s.pairs, most), d, first, s.step)
        for p in range(len(d)):
            trial[place, p] = x[p] + d[p]
        s.t, s.trials = 1.0, 0
        s.low_t, s.low_f, s.low_slope, s.high_t = 0.0, s.f, s.slope, np.inf


@part
@no_type_check
def _remember(t, d, g, there, s, y):
    for p in range(len(d)):
        s[p] = t * d[p]
        y[p] = there[p] - g[p]


@part
@no_type_check
def _coefficients(s, squared, products, Sg, Yg, from_S, from_Y):
    """Direction -scale D g + S' from_S + D Y' from_Y and its slope; steepest descent where there is no memory.

    D is the inverse metric, in which are `squared`, |g|^2, and the products of the changes Y.
    """
    SY, YY = products[0], products[1]
    most = len(SY)
    count = min(s.pairs, most)
    steepest = 1 / max(s.norm, 1.0)
    newest = (s.pairs - 1) % most
    scale = SY[newest, newest] / YY[newest, newest] if count else steepest
    for age in range(count):
        i = (s.pairs - 1 - age) % most
        along = -Sg[i]
        for younger in range(age):
            j = (s.pairs - 1 - younger) % most
            along += from_Y[j] * SY[i, j]
        from_Y[i] = -along / SY[i, i]
    for age in range(count - 1, -1, -1):
        i = (s.pairs - 1 - age) % most
        along = -Yg[i]
        for j in range(count):
            along += from_Y[j] * YY[i, j]
        along *= scale
        for older in range(age + 1, count):
            j = (s.pairs - 1 - older) % most
            along += from_S[j] * SY[j, i]
        from_S[i] = -from_Y[i] - along / SY[i, i]
    slope = -scale * squared
    for j in range(count):
        from_Y[j] *= scale
        slope += from_S[j] * Sg[j] + from_Y[j] * Yg[j]
    if slope < 0:
        s.slope = slope
        return scale
    s.pairs = 0
    s.slope = -steepest * squared
    return steepest


@part
@no_type_check
def _combine(scale, g, from_S, S, from_Y, Y, pairs, d, first, step):
    for p in range(len(d)):
        d[p] = scale * g[p]
    for p in range(first, len(d)):
        d[p] *= step
    for j in range(pairs):
        s, y, a, b = S[j], Y[j], from_S[j], from_Y[j]
        for p in range(first):
            d[p] += a * s[p] + b * y[p]
        b *= step
        for p in range(first, len(d)):
            d[p] += a * s[p] + b * y[p]


@sum_part
@no_type_check
def _four_products(s, y, g, y_newest, first, step):
    """s . g and s . y_newest, and in the metric y . g and y . y_newest."""
    sg, yg, sy, yy, last_yg, last_yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for p in range(first):
        sg += s[p] * g[p]
        yg += y[p] * g[p]
        sy += s[p] * y_newest[p]
        yy += y[p] * y_newest[p]
    for p in range(first, len(s)):
        sg += s[p] * g[p]
        last_yg += y[p] * g[p]
        sy += s[p] * y_newest[p]
        last_yy += y[p] * y_newest[p]
    return sg, yg + step * last_yg, sy, yy + step * last_yy
