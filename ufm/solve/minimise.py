"""Minimise from thousands of independent starts at once: L-BFGS with a strong Wolfe line search.

The leading axis is the start. Each start has its own step, bracket, curvature memory and status; all they share is the
call that evaluates the objective. A bounded number of starts is worked on at a time, and a start that ends makes room
for the next one. The method stands twice, in the form that suits the machine: `lbfgs_compiled` on CPU cores,
`lbfgs_batched` on any other device; the tests hold them against each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ufm.arguments import boolean, function, instance, optional, shown, takes, tensor
from ufm.errors import check
from ufm.parallel import cores, map_chunks
from ufm.profile import Profile, phases
from ufm.solve.end_points import SOLVER_RULES, EndPoints
from ufm.solve.lbfgs.batched import MEMORY, BatchedLbfgs
from ufm.solve.lbfgs.compiled import CompiledLbfgs

Objective = Callable[..., tuple[Float[Tensor, " B"], Float[Tensor, "B P"]]]
"""Value and gradient of every row of x (B, P), each row on its own; of (x, rows) where asked to."""

METHODS: dict[bool, tuple[type[CompiledLbfgs] | type[BatchedLbfgs], int]] = {
    True: (CompiledLbfgs, 3 * 2**22),
    False: (BatchedLbfgs, 2**32),
}
"""On a CPU, elsewhere: the method, and the bytes that starts at work together take (per CPU core: fits its cache)."""


@takes(objective=function, profile=optional(instance(Profile)), takes_rows=boolean, **SOLVER_RULES)
def minimise(
    objective: Objective,
    starts: Float[Tensor, "S P"],
    tolerance: float = 1e-8,
    max_steps: int = 10_000,
    progress: Callable[[int], None] | None = None,
    profile: Profile | None = None,
    takes_rows: bool = False,
) -> EndPoints:
    """Minimise the objective from every start until |gradient| <= tolerance.

    Args:
        objective: value and gradient per row.
        starts: one start per row, float64; not modified.
        tolerance: on the Euclidean norm of the gradient, > 0.
        max_steps: accepted steps per start, >= 1.
        progress: called with the number of starts that ended since the last call.
        profile: takes the time of the phases `evaluation`, `line search`, `history` and `host`.
        takes_rows: call the objective with (x, rows), rows (B,) saying which of the starts x belongs to: for a problem
            whose parameters differ by start.

    Raises:
        ValueError: if the starts or what the objective returns are not float64, or an argument is out of bounds.
    """
    starts = starts.detach()
    request = _Request(objective, takes_rows, tolerance, max_steps, progress, profile)
    per_core = max(1, math.ceil(len(starts) / cores(starts.device)))
    chunks = range(0, max(1, len(starts)), per_core)
    ends = map_chunks(lambda first: _run(request, starts[first : first + per_core], first), chunks, starts.device)
    return EndPoints.joined(ends)


def _check_answer(f: Any, g: Any, x: Tensor) -> None:
    """Refuse what an objective has returned unless it is one value and one gradient per row."""
    is_pair = tensor(len(x)).holds(f) and tensor(*x.shape).holds(g) and f.device == g.device == x.device
    allowed = f"one whose value and gradient are float64 of shapes ({len(x)},) and {tuple(x.shape)} on {x.device}"
    if not is_pair:
        check(False, "objective", f"{shown(f)} and {shown(g)}", allowed)


@dataclass(frozen=True)
class _Request:
    objective: Objective
    takes_rows: bool
    tolerance: float
    max_steps: int
    progress: Callable[[int], None] | None
    profile: Profile | None


def _run(request: _Request, starts: Tensor, first: int) -> EndPoints:
    """Work on as many starts at a time as memory allows; whoever ends makes room for the next in the queue.

    `first` is the number of the first of these starts among all.
    """
    method, working_bytes = METHODS[starts.device.type == "cpu"]
    width = max(1, working_bytes // (8 * max(1, starts.shape[1]) * (2 * MEMORY + 10)))
    rounds = max(1, math.ceil(len(starts) / width))
    width = math.ceil(len(starts) / rounds)  # the last starts at work are as many as the first
    phase = phases(request.profile)
    with phase("host"):
        work = method(starts, width, request.tolerance, request.max_steps)
        while work.active:
            for _ in range(work.TICKS_BETWEEN_EXCHANGES):
                with phase("evaluation"):
                    f, g = request.objective(work.trial, *([first + work.rows] if request.takes_rows else []))
                _check_answer(f, g, work.trial)
                with phase("line search"):
                    work.search(f, g)
                with phase("history"):
                    work.turn()
            ended = work.exchange()
            if ended and request.progress:
                request.progress(ended)
    return work.end
