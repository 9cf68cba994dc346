"""Classification of critical points: Morse index, nullity, rank, and an explicit direction of negative curvature."""

from collections import Counter
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.html import html_table
from ufm.model.model import Model, Point
from ufm.model.problem import Problem
from ufm.parallel import map_chunks, room
from ufm.plot import on_axes
from ufm.solve.hessian import dense_hessian
from ufm.solve.rank import numerical_rank
from ufm.tolerances import EIGENVALUE_ROUNDING, RANK_TOLERANCE, RESOLVED_GRADIENT, SPECTRUM_ROUNDING, ZERO_EIGENVALUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORKING_BYTES = 2**22
SHOWN = 20
"""The most kinds in a notebook's table."""


@dataclass(frozen=True)
class Classification:
    """The kind of every critical point, one entry per point.

    Attributes:
        value: objective.
        smallest_eigenvalue: of the dense Hessian.
        morse_index: number of negative eigenvalues.
        nullity: number of zero eigenvalues; the rotations of feature space account for r d - r (r + 1)/2 at rank r,
            a free constant in the bias of a softmax loss for one more.
        rank: singular values of W above 1e-6 max(1, largest), or above what a gradient of 1e-10 resolves.
        direction: unit direction of negative curvature: the rank-one construction where it exists, else the
            eigenvector of the smallest eigenvalue.
        is_rank_one: whether `direction` is the rank-one construction.
        curvature: direction' Hess direction, by a Hessian-vector product.
        is_strict_saddle: whether that curvature is negative by more than rounding.
        separation: by how much the least |eigenvalue| that is not zero exceeds the largest that is, less rounding.
    """

    value: Float[Tensor, " B"]
    smallest_eigenvalue: Float[Tensor, " B"]
    morse_index: Int[Tensor, " B"]
    nullity: Int[Tensor, " B"]
    rank: Int[Tensor, " B"]
    direction: Float[Tensor, "B P"]
    is_rank_one: Bool[Tensor, " B"]
    curvature: Float[Tensor, " B"]
    is_strict_saddle: Bool[Tensor, " B"]
    separation: Float[Tensor, " B"]

    def kinds(self) -> list[tuple[float, int, int, int, int]]:
        """Every kind as (value to 9 digits, Morse index, nullity, rank, number of points), lowest value first."""
        values = [float(f"{value:.9g}") for value in self.value.tolist()]
        numbers = (each.tolist() for each in (self.morse_index, self.nullity, self.rank))
        return [(*kind, count) for kind, count in sorted(Counter(zip(values, *numbers, strict=True)).items())]

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Draw every kind at its value and Morse index, with one colour per rank."""
        figure, ax = on_axes(ax)
        for rank in sorted(set(self.rank.tolist())):
            kinds = [kind for kind in self.kinds() if kind[3] == rank]
            ax.plot([kind[0] for kind in kinds], [kind[1] for kind in kinds], "o", alpha=0.7, label=f"rank {rank}")
        ax.set(xlabel="objective", ylabel="Morse index")
        ax.legend()
        return figure

    def _repr_html_(self) -> str:
        """The lowest kinds, for a notebook."""
        kinds = self.kinds()
        more = f", the lowest {SHOWN}" if len(kinds) > SHOWN else ""
        title = f"{len(self.value)} critical points of {len(kinds)} kinds{more}"
        return html_table(title, ("value", "Morse index", "nullity", "rank", "points"), kinds[:SHOWN])


@takes(problem=instance(Model), x=tensor(None, None))
def classify(problem: Model, x: Float[Tensor, "B P"]) -> Classification:
    """Classify critical points (B, P) by their dense spectra (P eigenvalues each: for small models).

    Raises:
        ValueError: if x are not float64 points of this model.
    """
    width = max(1, room(x.device, WORKING_BYTES) // (8 * problem.size**2))
    parts = map_chunks(lambda chunk: _classify(*chunk), problem.split(x, width), x.device)
    return Classification(
        *(torch.cat([getattr(part, name) for part in parts]) for name in Classification.__annotations__)
    )


def _classify(problem: Model, x: Tensor) -> Classification:
    eigenvalues, eigenvectors = torch.linalg.eigh(dense_hessian(problem, x))
    largest = eigenvalues.abs().amax(1)
    zero = ZERO_EIGENVALUE * largest[:, None]
    index, is_zero = (eigenvalues < -zero).sum(1), eigenvalues.abs() <= zero
    other = eigenvalues.abs().masked_fill(is_zero, torch.inf).amin(1)
    separation = other - (eigenvalues.abs() * is_zero).amax(1) - 2 * SPECTRUM_ROUNDING * largest
    resolution = (RESOLVED_GRADIENT / (x.new_zeros(len(x)) + problem.least_curvature)).clamp(min=RANK_TOLERANCE)
    rank = numerical_rank(problem.unpack(x).W, resolution)
    constructed, exists = rank_one_direction(problem, x)
    direction = torch.where(exists[:, None], constructed, eigenvectors[..., 0])
    curvature = torch.linalg.vecdot(problem.hessian(x)(direction[:, None])[:, 0], direction)
    is_strict = curvature < -EIGENVALUE_ROUNDING * largest
    return Classification(
        problem.value(x),
        eigenvalues[:, 0],
        index,
        is_zero.sum(1),
        rank,
        direction,
        exists,
        curvature,
        is_strict,
        separation,
    )


@singledispatch
def rank_one_direction(problem: Model, x: Float[Tensor, "B P"]) -> tuple[Float[Tensor, "B P"], Bool[Tensor, " B"]]:
    """Theory's direction of negative curvature, and whether it exists; it is known for the plain model only."""
    return torch.zeros_like(x), torch.zeros_like(x[:, 0], dtype=torch.bool)


@rank_one_direction.register
def _plain_rank_one_direction(
    problem: Problem, x: Float[Tensor, "B P"]
) -> tuple[Float[Tensor, "B P"], Bool[Tensor, " B"]]:
    """The rank-one direction of Zhu et al. 2021, proof of Theorem 3.2.

    With a unit null vector `a` of W (W a = 0, hence H a = 0) and the top singular pair G = v |G| u' + ..., the
    directions dW = p u a', dH = q v a' have curvature decay_W p^2 + decay_H q^2 + 2 p q |G|, the quadratic form of a
    2 x 2 matrix, whose smallest eigenvalue is negative exactly when |G|_2 > sqrt(decay_W decay_H).
    """
    W, H, b = problem.unpack(x)
    right = torch.linalg.svd(torch.cat([W, H], -2), full_matrices=True)[2]
    a = right[:, -1]
    has_null_vector = (torch.cat([W, H], -2) @ a[:, :, None]).norm(dim=(1, 2)) <= RANK_TOLERANCE
    v, norms, u = torch.linalg.svd(problem.logit_gradient(x), full_matrices=False)
    norm = norms[:, 0]
    zero = torch.zeros_like(norm)
    form = torch.stack([zero + problem.decay_W, norm, norm, zero + problem.decay_H], 1)
    p, q = torch.linalg.eigh(form.view(-1, 2, 2))[1][:, :, 0].unbind(1)
    dW = (p[:, None] * u[:, 0])[:, :, None] * a[:, None, :]
    dH = (q[:, None] * v[..., 0])[:, :, None] * a[:, None, :]
    direction = problem.pack(Point(dW, dH, torch.zeros_like(b)))
    return direction, has_null_vector & (norm > problem.radius * (1 + ZERO_EIGENVALUE))
