"""Minimisation of small models, which claims define themselves, from random starts by the L-BFGS of `ufm`."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from theory_checks.verdict import Finding, step
from ufm.model.starts import normal_starts
from ufm.solve.end_points import EndPoints
from ufm.solve.minimise import minimise


def minimise_from(
    value: Callable[[Float[Tensor, "B P"]], Float[Tensor, " B"]],
    starts: Float[Tensor, "S P"],
    tolerance: float = 1e-10,
    max_steps: int = 20_000,
) -> EndPoints:
    """Minimise a differentiable function of a row from every start; the gradient comes from autograd."""

    def objective(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            f = value(x)
            (gradient,) = torch.autograd.grad(f.sum(), x)
        return f.detach(), gradient

    return minimise(objective, starts, tolerance, max_steps)


def starts_at_scales(size: int, count: int, scales: tuple[float, ...] = (0.3, 1.0, 3.0)) -> Float[Tensor, "count size"]:
    """Normal starts whose scale cycles through `scales`."""
    factor = torch.tensor(scales, dtype=torch.float64)[torch.arange(count) % len(scales)]
    return factor[:, None] * normal_starts(size, 0, 0, count)


def all_converged(ends: EndPoints) -> Finding:
    """The finding that all starts converged."""
    return step(f"{int(ends.is_converged.sum())} of {len(ends.x)} starts converged", ends.is_converged.all())
