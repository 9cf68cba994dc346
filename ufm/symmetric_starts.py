"""Starts with a symmetry: highly symmetric critical points have small basins, but large ones among points like them.

The gradient of an invariant function is equivariant, so Levenberg-Marquardt keeps the points that are fixed by a
relabelling of classes together with a rotation among themselves, up to rounding (Palais 1979).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.model import Point
from ufm.problem import Problem

GROUP = 16
"""Starts that share one symmetry."""


def symmetrised(problem: Problem, x: Float[Tensor, "S P"], generator: torch.Generator) -> Float[Tensor, "S P"]:
    """Every 16 points projected to those that a random permutation of classes with a random rotation leaves alone."""
    return torch.cat([_projected(problem, group, generator) for group in torch.split(x, GROUP)])


def _projected(problem: Problem, x: Tensor, generator: torch.Generator) -> Tensor:
    """The mean over the cyclic group, times the root of its order: entries keep their size on average."""
    K, n, d = problem.K, problem.n, problem.d
    permutation = torch.randperm(K, generator=generator)
    order = _order(permutation)
    turn = _rotation(d, order, generator).to(x)
    W, H, b = problem.unpack(x)
    H, total = H.reshape(len(x), K, n, d), torch.zeros_like(x)
    for _ in range(order):
        total += problem.pack(Point(W, H.flatten(1, 2), b))
        W, H, b = W[:, permutation] @ turn, H[:, permutation] @ turn, b[:, permutation]
    return total / math.sqrt(order)


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
