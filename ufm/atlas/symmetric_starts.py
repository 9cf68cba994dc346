"""Starts with a symmetry: highly symmetric critical points have small basins, but large ones among points like them.

The gradient of an invariant function is equivariant, so Levenberg-Marquardt keeps the points that are fixed by a
relabelling of classes together with a rotation among themselves, up to rounding (Palais 1979).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.atlas.relabelling import random_relabelling
from ufm.model.factors import relabelled
from ufm.model.model import Model

GROUP = 16
"""Starts that share one symmetry."""


@takes(model=instance(Model), x=tensor(None, None), generator=instance(torch.Generator))
def symmetrised(model: Model, x: Float[Tensor, "S P"], generator: torch.Generator) -> Float[Tensor, "S P"]:
    """Every 16 points projected to those that a random relabelling with a random rotation leaves alone."""
    return torch.cat([_projected(model, group, generator) for group in torch.split(x, GROUP)])


def _projected(model: Model, x: Tensor, generator: torch.Generator) -> Tensor:
    """The mean over the cyclic group, times the root of its order: entries keep their size on average."""
    classes, samples = random_relabelling(model, generator)
    order = _order(classes)
    turn = _rotation(model.d, order, generator).to(x)
    factors, total = model.factorised(x), torch.zeros_like(x)
    for _ in range(order):
        total += model.assembled(*factors)
        factors = relabelled(factors, classes, samples, turn)
    # On spheres a vector cancels that no such symmetry leaves alone, and has no direction: those starts stay.
    is_usable = model.value_and_gradient(total)[1].isfinite().all(-1, keepdim=True)
    return torch.where(is_usable, total / math.sqrt(order), x)


def _order(permutation: Tensor) -> int:
    """Least power that is the identity."""
    power, order = permutation, 1
    while not torch.equal(power, torch.arange(len(permutation))):
        power, order = power[permutation], order + 1
    return order


def _rotation(d: int, order: int, generator: torch.Generator) -> Tensor:
    """Multiples of a full turn / order in coordinate planes; in a last coordinate 1, or -1 if the order is even."""
    turn = torch.eye(d, dtype=torch.float64)
    for plane in range(d // 2):
        angle = 2 * math.pi * int(torch.randint(order, (), generator=generator)) / order
        i = 2 * plane
        turn[i, i] = turn[i + 1, i + 1] = math.cos(angle)
        turn[i, i + 1], turn[i + 1, i] = math.sin(angle), -math.sin(angle)
    if d % 2 and order % 2 == 0:
        turn[-1, -1] = 1 - 2 * float(torch.randint(2, (), generator=generator))
    return turn
