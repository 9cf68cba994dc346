"""L-BFGS on CPU cores where the objective is compiled too: one start after the other, each in one go.

The steps are those of `compiled`; what Python does between two evaluations is left out. So one start is enough for a
core to be at work, whose vectors then stay in its cache from one evaluation to the next. Features are kept transposed,
as the evaluation wants them.
"""

from collections.abc import Callable
from typing import no_type_check

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ufm.compiled import array_of, copy, kernel, part
from ufm.model.problem_compiled import Objective, Room, value_and_gradient
from ufm.solve.end_points import EndPoints, Path
from ufm.solve.lbfgs.compiled import AtWork, Queue, turn
from ufm.solve.lbfgs.line_search_compiled import RUNNING, search
from ufm.solve.lbfgs.rules import Metric, Rules

FLOPS = 2**29
"""In one call of compiled code, some hundredths of a second: then progress is told."""


def descend(
    objective: Objective,
    starts: Float[Tensor, "S P"],
    rules: Rules,
    metric: Metric,
    path: Path,
    progress: Callable[[int], None] | None,
) -> EndPoints:
    """Minimise the objective from every start, as `minimise` does."""
    K, d, N = objective.K, objective.d, len(objective.labels)
    end = EndPoints.unknown(starts)
    queue = Queue(array_of("starts", starts, tuple(starts.shape)), metric.step.expand(len(starts)).numpy())
    work, room, there = AtWork.unset(1, starts.shape[1]), Room.unset(K, d, N), np.empty((1, starts.shape[1]))
    evaluations = max(1, FLOPS // (6 * K * d * N))
    number = 0
    while number < len(starts):
        before = number
        number = _descend(
            objective, queue, end.arrays(), work, there, room, rules, path.numbers.numpy(), metric.last, number,
            evaluations,
        )  # fmt: skip
        if number > before and progress:
            progress(number - before)
    return end


@kernel
@no_type_check
def _descend(objective, queue, ends, work, there, room, rules, path, last, number, evaluations):
    """Go on with start `number` and those after it for so many evaluations; the first that has not ended."""
    value = np.empty(1)
    s = work.starts[0]
    while evaluations > 0 and number < len(queue.x):
        if s.evaluations == 0:
            _begin(work, queue, number, room)
        while s.status == RUNNING and evaluations > 0:
            value[0] = value_and_gradient(objective, number, work.trial[0], room, there[0])
            search(work.starts, work.vectors, work.trial, value, there, rules, path)
            turn(work, there, last)
            evaluations -= 1
        if s.status != RUNNING:
            _end(work, ends, number, room)
            number += 1
    return number


@part
@no_type_check
def _begin(work, queue, number, room):
    s = work.starts[0]
    s.row, s.step, s.is_new, s.status = number, queue.step[number], 1, RUNNING
    s.f, s.norm, s.slope, s.t, s.trials = 0.0, 0.0, 0.0, 0.0, 0
    s.pairs, s.level, s.shortest, s.idle, s.steps = 0, np.inf, np.inf, 0, 0
    for p in range(work.vectors.shape[2]):
        work.vectors[0, 2, p] = 0.0
    _with_transposed_features(queue.x[number], work.trial[0], room, True)


@part
@no_type_check
def _end(work, ends, number, room):
    s = work.starts[0]
    x, f, norm, status, steps, evaluations = ends
    f[number], norm[number], status[number] = s.f, s.norm, s.status
    steps[number], evaluations[number] = s.steps, s.evaluations
    _with_transposed_features(work.vectors[0, 0], x[number], room, False)
    s.evaluations = 0


@part
@no_type_check
def _with_transposed_features(x, out, room, is_by_sample):
    """W, H, b as W, H', b; or, unless they are by sample, back."""
    d, K = room.Wt.shape
    N = room.Z.shape[1]
    in_W, in_H = K * d, (K + N) * d
    copy(x[:in_W], out[:in_W])
    copy(x[in_H:], out[in_H:])
    rows, columns = (N, d) if is_by_sample else (d, N)
    for i in range(rows):
        for j in range(columns):
            out[in_W + j * rows + i] = x[in_W + i * columns + j]
