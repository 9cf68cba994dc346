"""One orbit of critical points: its representative, its place in the landscape, and how many labelled copies it has.

A critical point of rank r is, after a rotation of feature space, one of the model with r feature columns beside d - r
columns of zeros (null W = null H by balancedness; Zhu et al. 2021). In those the Hessian is d - r times

    [[decay_W I, G'], [G, decay_H I]] ,    G = gradient of the mean loss in the logits,

which has one negative eigenvalue for every singular value of G above sqrt(decay_W decay_H). So a row holds for every
d >= r: its index is `index_within` + (d - r) `escapes`.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.critical_orbit import CriticalOrbit
from ufm.critical_points import RANK_TOLERANCE, ZERO_EIGENVALUE, classify
from ufm.hessian import dense_hessian
from ufm.model import Model, Point
from ufm.morse import CriticalSet
from ufm.problem import Problem
from ufm.symmetry import SAME, Copies, is_shift_invariant, together

POLISHING_STEPS = 4


@dataclass(kw_only=True)
class Row(CriticalOrbit):
    """One orbit of critical points of the plain model.

    Attributes:
        columns: max(rank, 1): the feature columns of `x`.
        index_within: negative Hessian eigenvalues within the columns that are used (rank of them).
        escapes: singular values of G above sqrt(decay_W decay_H): negative eigenvalues per empty column.
        manifold: for squared error (r, R): up to O(d) the critical set is the Grassmannian of r-planes in R dimensions.
        blocks: classes that share classifier row and features.
        zeros: classes with w = h = 0.
        is_collapsed: whether the samples of each class share their features.
        certificate: what ball arithmetic proved (`ufm.enclosure`), None if nothing was asked.
    """

    columns: int
    index_within: int
    escapes: int
    manifold: tuple[int, int] | None
    blocks: list[list[int]]
    zeros: list[int]
    is_collapsed: bool
    certificate: dict[str, Any] | None = None

    @property
    def apart(self) -> str:
        """Which classes are apart: `ab|c (d)`: a and b together, c alone, d at zero; `*`: features do not collapse."""
        if self.manifold:
            return f"Gr({self.manifold[0]}, {self.manifold[1]})"
        names = iter("abcdefgh")
        blocks = sorted((len(block) for block in self.blocks), reverse=True)
        text = "|".join("".join(next(names) for _ in range(size)) for size in blocks)
        zeros = f"({''.join(next(names) for _ in self.zeros)})" if self.zeros else ""
        return " ".join(part for part in (text, zeros) if part) + ("" if self.is_collapsed else " *")

    def as_dict(self) -> dict[str, Any]:
        """The row for a record."""
        return super().as_dict() | {"apart": self.apart}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> "Row":
        """The row that `as_dict` has written."""
        return super().from_dict(entry | {"manifold": entry["manifold"] and tuple(entry["manifold"])})


def row_of(problem: Problem, x: Float[Tensor, " P"], columns: int, rank: int, labelled: Copies) -> Row:
    """Classify a critical point that `canonical` has brought into `columns` columns."""
    small = dataclasses.replace(problem, d=columns)
    full = embed(small, problem, x[None])
    found = classify(problem, full)
    within, escapes = _split_index(small, x, rank)
    manifold = None if is_shift_invariant(problem) else _grassmannian(small, x, rank)
    blocks, zeros, is_collapsed = together(small, x)
    return Row(
        x=x,
        columns=columns,
        value=float(found.value),
        rank=rank,
        index_within=within,
        escapes=escapes,
        index=int(found.morse_index),
        nullity=int(found.nullity),
        expected_nullity=expected_nullity(problem, rank, manifold),
        manifold=manifold,
        class_copies=labelled.of_classes,
        sample_copies=labelled.of_samples,
        blocks=blocks,
        zeros=zeros,
        is_collapsed=is_collapsed,
        smallest_eigenvalue=float(found.smallest_eigenvalue),
        curvature=float(found.curvature),
        direction_is="rank one" if bool(found.is_rank_one) else "eigenvector",
        direction=found.direction[0],
        gradient_norm=float(problem.value_and_gradient(full)[1].norm()),
        spread=labelled.spread,
        gap=labelled.gap,
    )


@takes(problem=instance(Problem))
def largest_rank(problem: Problem) -> int:
    """The largest rank of W at a critical point.

    K - 1 for softmax losses, whose loss gradients sum to zero over classes (hence 1'W = 0); for squared error K - 1
    with a free bias, which takes the mean logit, and K otherwise.
    """
    return problem.K - 1 if is_shift_invariant(problem) or problem.decay_b == 0 else problem.K


def expected_nullity(problem: Problem, rank: int, manifold: tuple[int, int] | None = None) -> int:
    """Dimension of the critical set: rotations r d - r (r + 1)/2, Grassmannian r (R - r), free constant 1."""
    free = int(problem.decay_b == 0 and is_shift_invariant(problem))
    r, R = manifold or (0, 0)
    return rank * problem.d - rank * (rank + 1) // 2 + r * (R - r) + free


def critical_set(row: Row) -> CriticalSet:
    """What Morse theory needs to know of a row."""
    return CriticalSet(row.rank, row.index_within, row.escapes, row.copies, row.manifold)


@takes(problem=instance(Problem), x=tensor(None))
def canonical(problem: Problem, x: Float[Tensor, " P"]) -> tuple[int, int, Float[Tensor, " Q"]]:
    """Rank, columns kept = max(rank, 1), and the point rotated into them and polished by Newton's method."""
    W, H, b = problem.unpack(x)
    _, singular, right = torch.linalg.svd(W, full_matrices=True)
    resolution = max(RANK_TOLERANCE, 1e-10 / min(problem.decay_W, problem.decay_H))
    rank = int((singular > resolution * singular.max().clamp(min=1.0)).sum())
    columns = max(1, rank)
    small = dataclasses.replace(problem, d=columns)
    turn = right[:columns].mT * (rank > 0)
    y = small.pack(Point(W @ turn, H @ turn, b))[None]
    y = polished(small, y)
    return rank, columns, y[0]


@takes(model=instance(Model), y=tensor(None, None))
def polished(model: Model, y: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
    """A few steps of Newton's method without the directions of zero curvature, each taken if the gradient shrinks."""
    for _ in range(POLISHING_STEPS):
        eigenvalues, vectors = torch.linalg.eigh(dense_hessian(model, y))
        gradient = model.value_and_gradient(y)[1]
        keep = eigenvalues.abs() > ZERO_EIGENVALUE * eigenvalues.abs().amax(1, keepdim=True)
        inverse = torch.where(keep, 1 / torch.where(keep, eigenvalues, 1.0), 0.0)
        step = (vectors @ (inverse[:, :, None] * (vectors.mT @ gradient[:, :, None])))[..., 0]
        y = torch.where(
            (model.value_and_gradient(y - step)[1].norm(dim=1) < gradient.norm(dim=1))[:, None], y - step, y
        )
    return y


def embed(small: Problem, problem: Problem, x: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
    """Points with fewer columns, filled up with zeros."""
    W, H, b = small.unpack(x)
    missing = (0, problem.d - small.d)
    pad = torch.nn.functional.pad
    return problem.pack(Point(pad(W, missing), pad(H, missing), b))


def _split_index(small: Problem, x: Tensor, rank: int) -> tuple[int, int]:
    """Negative eigenvalues within the columns that are used, and per empty column."""
    radius = math.sqrt(small.decay_W) * math.sqrt(small.decay_H)
    escapes = int((torch.linalg.svdvals(small.logit_gradient(x)) > radius * (1 + ZERO_EIGENVALUE)).sum())
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(small, x[None]))[0]
    within = int((eigenvalues < -ZERO_EIGENVALUE * eigenvalues.abs().max()).sum())
    return (within if rank else within - escapes), escapes


def _grassmannian(small: Problem, x: Tensor, rank: int) -> tuple[int, int]:
    """(r, R): how many of the R equivalent label directions are active (with a bias, 11'/K is not one of them)."""
    if not small.has_bias:
        return rank, small.K
    W = small.unpack(x).W
    common = bool(W.mean(0).norm() > SAME * max(1.0, float(W.abs().max())))
    return rank - common, small.K - 1
