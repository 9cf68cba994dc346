"""Batched Levenberg-Marquardt on the gradient: from a start to the critical point it falls to, saddles included.

Minimises |grad f|^2 / 2, whose Gauss-Newton matrix is the squared Hessian: each step solves (Hess^2 + mu I) p = -Hess
grad and is taken if the gradient gets shorter; the damping mu follows Nielsen (1999). Starts are independent of each
other.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.end_points import EndPoints, Status, check_request
from ufm.hessian import dense_hessian
from ufm.parallel import cores, map_chunks
from ufm.problem import Problem

WORKING_BYTES = 2**22
LARGEST_DAMPING = 1e16
SMALLEST_DAMPING = 1e-15
"""Times the squared largest entry of the Hessian: below it Hess^2 + mu I is singular to rounding."""


def find_critical_points(
    problem: Problem,
    starts: Float[Tensor, "S P"],
    tolerance: float = 1e-11,
    max_steps: int = 300,
    progress: Callable[[int], None] | None = None,
) -> EndPoints:
    """Follow every start until |gradient| <= tolerance.

    `STALLED` are starts whose damping has grown beyond use, as it does at a minimum of |gradient| that is not zero.

    Raises:
        ValueError: if the starts are not float64 or an argument is out of bounds.
    """
    check_request(starts, tolerance, max_steps)
    width = max(1, WORKING_BYTES // (8 * problem.size**2))
    chunks = torch.split(starts, min(width, max(1, math.ceil(len(starts) / cores(starts.device)))))

    def follow(chunk: Tensor) -> EndPoints:
        end = _follow(problem, chunk, tolerance, max_steps)
        if progress:
            progress(len(chunk))
        return end

    return EndPoints.joined(map_chunks(follow, chunks, starts.device))


def _follow(problem: Problem, starts: Tensor, tolerance: float, max_steps: int) -> EndPoints:
    """All starts of a chunk, each until it ends; those that ended are left out of the work."""
    end = starts.clone()
    status = torch.zeros(len(starts), dtype=torch.int64, device=starts.device)
    steps = status.clone()
    x, rows = starts.clone(), torch.arange(len(starts), device=starts.device)
    g = problem.value_and_gradient(x)[1]
    mu, growth = g.norm(dim=1), x.new_full((len(x),), 2.0)
    for _ in range(max_steps):
        x, g, mu, growth = _step(problem, x, g, mu, growth)
        steps[rows] += 1
        norm = g.norm(dim=1)
        status[rows] = torch.where(norm <= tolerance, int(Status.CONVERGED), status[rows])
        status[rows] = torch.where(mu >= LARGEST_DAMPING, int(Status.STALLED), status[rows])
        status[rows] = torch.where(torch.isfinite(norm), status[rows], int(Status.NONFINITE))
        end[rows] = x
        keep = status[rows] == Status.RUNNING
        x, g, mu, growth, rows = x[keep], g[keep], mu[keep], growth[keep], rows[keep]
        if not len(rows):
            break
    status[rows] = int(Status.MAX_STEPS)
    value, gradient = problem.value_and_gradient(end)
    return EndPoints(end, value, gradient.norm(dim=1), status, steps, steps + 1)


def _step(problem: Problem, x: Tensor, g: Tensor, mu: Tensor, growth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One damped step of every start, kept where it shortens the gradient."""
    hessian = dense_hessian(problem, x)
    squared = hessian @ hessian
    floor = SMALLEST_DAMPING * squared.diagonal(dim1=1, dim2=2).amax(1)
    damping = torch.maximum(mu, floor)
    squared.diagonal(dim1=1, dim2=2).add_(damping[:, None])
    slope = (hessian @ g[:, :, None])[..., 0]
    factor, failed = torch.linalg.cholesky_ex(squared)
    p = -torch.cholesky_solve(slope[:, :, None], factor)[..., 0]
    new_g = problem.value_and_gradient(x + p)[1]
    old, new = g.square().sum(1), new_g.square().sum(1)
    # Predicted decrease of |g|^2 / 2 by the damped model: (mu |p|^2 - p . Hess g) / 2.
    predicted = (damping * p.square().sum(1) - torch.linalg.vecdot(p, slope)) / 2
    gain = (old - new) / 2 / predicted
    better = (new < old) & (failed == 0)
    shrink = (1 - (2 * gain - 1).pow(3)).clamp(min=1 / 9)
    mu = torch.where(better, damping * shrink, damping * growth)
    growth = torch.where(better, 2.0, 2 * growth)
    return torch.where(better[:, None], x + p, x), torch.where(better[:, None], new_g, g), mu, growth
