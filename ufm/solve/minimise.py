"""Minimisation from thousands of independent starts at once: L-BFGS with a strong Wolfe line search.

The leading axis is the start. Each start has its own step, bracket, curvature memory and status; starts share only the
call that evaluates the objective. A bounded number of starts is worked on at a time, and a start that ends makes room
for the next one. The method has two implementations that take the same steps: `lbfgs/compiled.py` for CPU
cores, `lbfgs/batched.py` for any other device; tests compare them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import Rule, instance, optional, shown, takes, tensor
from ufm.errors import check
from ufm.model.parameters import Rows
from ufm.parallel import cores, map_chunks
from ufm.profile import Profile, phases
from ufm.solve.end_points import SOLVER_RULES, EndPoints, Path
from ufm.solve.lbfgs.batched import BatchedLbfgs
from ufm.solve.lbfgs.compiled import CompiledLbfgs
from ufm.solve.lbfgs.descent_compiled import descend
from ufm.solve.lbfgs.rules import MEMORY, Lbfgs, Rules
from ufm.solve.metric import metric_of
from ufm.solve.objective import compiled_objective
from ufm.tolerances import MINIMISER_GRADIENT

ValueAndGradient = Callable[[Float[Tensor, "B P"]], tuple[Float[Tensor, " B"], Float[Tensor, "B P"]]]
"""Maps points (B, P) to value (B,) and gradient (B, P); the rows are independent of each other."""


@runtime_checkable
class Minimisable(Protocol):
    """An objective that can be minimised: every `Model`, and a model in its own units."""

    def value_and_gradient(self, x: Float[Tensor, "B P"], /) -> tuple[Float[Tensor, " B"], Float[Tensor, "B P"]]:
        """Value (B,) and gradient (B, P) of the points; the rows are independent of each other."""

    def take(self, rows: Rows, /) -> "Minimisable":
        """The objective of the starts `rows`: itself, unless its parameters differ by start."""


@dataclass(frozen=True)
class _Function:
    """A plain function, which is the same for all starts, as a `Minimisable`."""

    function: ValueAndGradient

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.function(x)

    def take(self, rows: Rows) -> "_Function":
        return self


_MINIMISABLE = Rule(
    lambda v: not isinstance(v, type) and (callable(v) or isinstance(v, Minimisable)),
    "a model, or a function with value and gradient of each row",
)

METHODS: dict[str, tuple[type[Lbfgs], int]] = {"cpu": (CompiledLbfgs, 2**25), "other": (BatchedLbfgs, 2**32)}
"""The implementation by type of device, and bytes for the starts at work: per CPU core, to fit into its caches and yet
be so many that what a tick costs besides arithmetic is a small share of it; on a CUDA device, where more
at a time cost less each, at least this and `SHARE` of the free memory."""
SHARE = 1 / 4


@takes(model=_MINIMISABLE, profile=optional(instance(Profile)), path=optional(instance(Path)), **SOLVER_RULES)
def minimise(
    model: Minimisable | ValueAndGradient,
    starts: Float[Tensor, "S P"],
    tolerance: float = MINIMISER_GRADIENT,
    max_steps: int = 10_000,
    progress: Callable[[int], None] | None = None,
    profile: Profile | None = None,
    path: Path | None = None,
) -> EndPoints:
    """Minimise the objective of a model from every start until |gradient| <= tolerance.

    Args:
        model: a model, whose parameters may differ by start; or a function that maps points (B, P) to value (B,) and
            gradient (B, P), with rows that are independent of each other.
        starts: one start per row, float64; not modified.
        tolerance: on the Euclidean norm of the gradient, > 0.
        max_steps: accepted steps per start, >= 1.
        progress: called with the number of starts that ended since the last call.
        profile: records the time spent in the phases `evaluation`, `line search`, `history` and `host`.
        path: of the first starts, to be filled in.

    Returns:
        The end of every start, in the order of the starts, with its `Status`: no start is dropped.

    Raises:
        ValueError: if the starts or what the model returns are not float64, or an argument is out of bounds.
    """
    starts = starts.detach()
    whole = model if isinstance(model, Minimisable) else _Function(model)
    kept = path if path is not None else Path.unknown(0, max_steps, starts)
    request = _Request(whole, tolerance, max_steps, progress, profile, kept)
    per_core = max(1, math.ceil(len(starts) / cores(starts.device)))
    chunks = [slice(first, first + per_core) for first in range(0, max(1, len(starts)), per_core)]
    end = EndPoints.joined(map_chunks(lambda rows: _run(request.of(rows), starts[rows]), chunks, starts.device))
    kept.numbers[:, -1] = torch.stack([end.value, end.gradient_norm], 1)[: len(kept.numbers)]
    return end


def _check_answer(f: Any, g: Any, x: Tensor) -> None:
    """Refuse a model's answer unless it is one value and one gradient per row."""
    is_pair = tensor(len(x)).holds(f) and tensor(*x.shape).holds(g) and f.device == g.device == x.device
    allowed = f"one whose value and gradient are float64 of shapes ({len(x)},) and {tuple(x.shape)} on {x.device}"
    if not is_pair:
        check(False, "model", f"{shown(f)} and {shown(g)}", allowed)


@dataclass(frozen=True)
class _Request:
    model: Minimisable
    tolerance: float
    max_steps: int
    progress: Callable[[int], None] | None
    profile: Profile | None
    path: Path

    def of(self, rows: slice) -> "_Request":
        """The request for the starts `rows`."""
        return replace(self, model=self.model.take(rows), path=self.path.of(rows))


def _run(request: _Request, starts: Tensor) -> EndPoints:
    """Minimise from all starts, as many at a time as memory allows; a start that ends makes room for the next one."""
    method, working_bytes = METHODS[starts.device.type if starts.device.type in METHODS else "other"]
    rules, phase = Rules(request.tolerance, request.max_steps), phases(request.profile)
    objective = compiled_objective(request.model, starts) if method is CompiledLbfgs else None
    if objective is not None:
        with phase("descent"):
            metric = metric_of(request.model)
            return descend(objective, starts, rules, metric, request.path, request.progress)
    if starts.device.type == "cuda":
        working_bytes = max(working_bytes, int(SHARE * torch.cuda.mem_get_info(starts.device)[0]))
    width = max(1, working_bytes // (8 * max(1, starts.shape[1]) * (2 * MEMORY + 10)))
    rounds = max(1, math.ceil(len(starts) / width))
    width = math.ceil(len(starts) / rounds)  # the last starts at work are as many as the first
    with phase("host"):
        work = method(starts, width, rules, metric_of(request.model), request.path)
        while work.active:
            for _ in range(work.TICKS_BETWEEN_EXCHANGES):
                with phase("evaluation"):
                    f, g = request.model.take(work.rows).value_and_gradient(work.trial)
                _check_answer(f, g, work.trial)
                with phase("line search"):
                    work.search(f, g)
                with phase("history"):
                    work.turn()
            ended = work.exchange()
            if ended and request.progress:
                request.progress(ended)
    return work.end
