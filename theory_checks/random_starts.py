"""Minimisation of small models, which claims define themselves, from random starts by the L-BFGS of `ufm`."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from theory_checks.verdict import Finding, positive, step
from ufm.model.starts import normal_starts
from ufm.solve.end_points import EndPoints
from ufm.solve.minimise import minimise

ROUNDING = 1e-9
"""By which a descended network may be below a bound."""


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


def none_is_below(
    excess: Callable[[Float[Tensor, "B P"]], Float[Tensor, " B"]],
    points: Float[Tensor, "S P"],
    descents: int,
    max_steps: int,
    name: str,
) -> list[Finding]:
    """The findings that no point is below a bound, nor any that the first of them descend to, up to `ROUNDING`.

    Args:
        excess: of every point over the bound, differentiable.
        points: where.
        descents: how many of them descend, each at most `max_steps` steps.
        name: of the excess, with a place for what the points are: random or descended.
    """
    ends = minimise_from(excess, points[:descents], 1e-7, max_steps)
    return [
        positive(name.format("random"), float(excess(points).min())),
        positive(f"{name.format('descended')}, and rounding", float(excess(ends.x).min()) + ROUNDING),
    ]
