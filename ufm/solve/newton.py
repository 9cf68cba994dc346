"""Batched Levenberg-Marquardt on the gradient, which finds critical points of any index, saddles included.

Minimises |grad f|^2 / 2, whose Gauss-Newton matrix is the squared Hessian: each step solves (Hess^2 + mu I) p = -Hess
grad and is taken if the gradient gets shorter; the damping mu follows Nielsen (1999). Starts are independent of each
other.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.model.model import Model
from ufm.parallel import cores, map_chunks, room
from ufm.solve.end_points import SOLVER_RULES, EndPoints, Status
from ufm.solve.hessian import dense_hessian
from ufm.tolerances import CRITICAL_GRADIENT

WORKING_BYTES = 2**22
LARGEST_DAMPING = 1e16
SMALLEST_DAMPING = 1e-15
"""Times the squared largest entry of the Hessian: below it Hess^2 + mu I is singular to rounding."""


@takes(problem=instance(Model), **SOLVER_RULES)
def find_critical_points(
    problem: Model,
    starts: Float[Tensor, "S P"],
    tolerance: float = CRITICAL_GRADIENT,
    max_steps: int = 300,
    progress: Callable[[int], None] | None = None,
) -> EndPoints:
    """Search for a critical point from every start, until |gradient| <= tolerance.

    A start is `STALLED` if its damping has become too large for any step, as at a minimum of |gradient| above zero.

    Args:
        problem: a model, whose parameters may differ by start.
        starts: one start per row, float64; not modified.
        tolerance: on the Euclidean norm of the gradient, > 0.
        max_steps: damped steps per start, >= 1.
        progress: called with the number of starts that ended since the last call.

    Raises:
        ValueError: if the starts are not float64 or an argument is out of bounds.
    """
    tensor(None, problem.size).check("starts", starts)
    starts = starts.detach()
    per_core = max(1, math.ceil(len(starts) / cores(starts.device)))
    follow = partial(_follow, tolerance=tolerance, max_steps=max_steps, progress=progress)
    return EndPoints.joined(map_chunks(follow, problem.split(starts, per_core), starts.device))


def _follow(
    chunk: tuple[Model, Tensor], tolerance: float, max_steps: int, progress: Callable[[int], None] | None
) -> EndPoints:
    """Search from all starts, as many at a time as memory allows; a start that ends makes room for the next one."""
    problem, starts = chunk
    width = max(1, room(starts.device, WORKING_BYTES) // (8 * problem.size**2))
    end, queued = EndPoints.unknown(starts), 0
    rows = torch.empty(0, dtype=torch.int64, device=starts.device)
    state: tuple[Tensor, ...] = ()
    while queued < len(starts) or len(rows):
        incoming = torch.arange(queued, min(queued + width - len(rows), len(starts)), device=starts.device)
        if len(incoming):
            queued += len(incoming)
            new = _begin(problem.take(incoming), starts[incoming])
            rows = torch.cat([rows, incoming])
            state = tuple(map(torch.cat, zip(state, new, strict=True))) if state else new
        state = _step(problem.take(rows), *state)
        end.steps[rows] += 1
        ended = _judge(state, end.steps[rows], tolerance, max_steps)
        done = ended != Status.RUNNING
        if count := int(done.sum()):
            end.x[rows[done]], end.status[rows[done]] = state[0][done], ended[done]
            rows, state = rows[~done], tuple(part[~done] for part in state)
            if progress:
                progress(count)
    value, gradient = problem.value_and_gradient(end.x)
    return replace(end, value=value, gradient_norm=gradient.norm(dim=1), evaluations=end.steps + 1)


def _begin(problem: Model, x: Tensor) -> tuple[Tensor, ...]:
    """The initial point, gradient, damping, and factor by which a refused step raises the damping."""
    x = problem.normalised(x)
    g = problem.value_and_gradient(x)[1]
    return x, g, g.norm(dim=1), x.new_full((len(x),), 2.0)


def _judge(state: tuple[Tensor, ...], steps: Tensor, tolerance: float, max_steps: int) -> Tensor:
    """The `Status` of each start: the last condition that applies."""
    _, g, mu, _ = state
    norm = g.norm(dim=1)
    status = torch.zeros_like(steps)
    for condition, value in (
        (steps >= max_steps, Status.MAX_STEPS),
        (norm <= tolerance, Status.CONVERGED),
        (mu >= LARGEST_DAMPING, Status.STALLED),
        (~torch.isfinite(norm), Status.NONFINITE),
    ):
        status.masked_fill_(condition, int(value))
    return status


def _step(problem: Model, x: Tensor, g: Tensor, mu: Tensor, growth: Tensor) -> tuple[Tensor, ...]:
    """One damped step of every start; it is kept if it shortens the gradient."""
    hessian = dense_hessian(problem, x)
    squared = hessian @ hessian
    floor = SMALLEST_DAMPING * squared.diagonal(dim1=1, dim2=2).amax(1)
    damping = torch.maximum(mu, floor)
    squared.diagonal(dim1=1, dim2=2).add_(damping[:, None])
    slope = (hessian @ g[:, :, None])[..., 0]
    factor, failed = torch.linalg.cholesky_ex(squared)
    p = -torch.cholesky_solve(slope[:, :, None], factor)[..., 0]
    new = problem.normalised(x + p)
    new_g = problem.value_and_gradient(new)[1]
    decrease = (g.square().sum(1) - new_g.square().sum(1)) / 2
    # Predicted decrease of |g|^2 / 2 by the damped model: (mu |p|^2 - p . Hess g) / 2.
    predicted = (damping * p.square().sum(1) - torch.linalg.vecdot(p, slope)) / 2
    gain = decrease / predicted
    better = (decrease > 0) & (failed == 0)
    shrink = (1 - (2 * gain - 1).pow(3)).clamp(min=1 / 9)
    mu = torch.where(better, damping * shrink, damping * growth)
    growth = torch.where(better, 2.0, 2 * growth)
    return torch.where(better[:, None], new, x), torch.where(better[:, None], new_g, g), mu, growth
