"""Critical sets of squared error, which is symmetric under rotations of label space: invariants and dimension.

Rotations act on the classes of one size among themselves and, where the model has a bias, keep their mean. So a point
belongs to a manifold of critical points: for classes of one size a flag manifold, whose parts are the directions of
equal singular value.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.model.model import Model
from ufm.solve.grouping import groups_of
from ufm.tolerances import SAME_LOGITS


def key(model: Model, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch I"]:
    """Invariants of points: singular values in each block, sums over blocks of classes and samples, bias by block."""
    parts = [_singular(model, x, block) for block in _blocks(model)]
    if model.has_bias:
        b, Z = model.unpack(x).b, _product(model, x)
        member = torch.zeros(len(_blocks(model)), model.K, dtype=x.dtype)
        for row, block in zip(member, _blocks(model), strict=True):
            row[block] = 1 / len(block)
        sums = member[:, model.labels()] @ Z @ member.mT / model.n
        mean = b @ member.mT
        off = b - (mean @ (member > 0).to(x.dtype))
        parts += [sums.flatten(-2), mean, off.norm(dim=-1, keepdim=True)]
    return torch.cat(parts, -1)


def multiplicities(model: Model, x: Float[Tensor, " P"]) -> list[list[tuple[float, int]]]:
    """For each block of classes of one size, the singular values of its logits, without the bias, and how often."""
    found = []
    for block in _blocks(model):
        singular = _singular(model, x, block)
        values = singular.tolist()
        scale = SAME_LOGITS * max(1.0, *values) if values else SAME_LOGITS
        groups = groups_of(-singular, scale)
        found.append([(values[group[0]] if values[group[0]] > scale else 0.0, len(group)) for group in groups])
    return found


def flag_dimension(model: Model, x: Float[Tensor, " P"]) -> int:
    """The dimension of a critical manifold, up to rotations of feature space."""
    blocks = ([count for _, count in groups] for groups in multiplicities(model, x))
    return sum(a * b for counts in blocks for a, b in itertools.combinations(counts, 2))


def flag_text(model: Model, x: Float[Tensor, " P"]) -> str:
    """`2 of 1.38, 1 of 0`: how many directions have which singular value; blocks of classes by `;`."""
    blocks = (
        ", ".join(f"{count} of {value:.3g}" for value, count in groups) for groups in multiplicities(model, x) if groups
    )
    return "; ".join(blocks)


def _blocks(model: Model) -> list[list[int]]:
    """The classes of each size, one block per size."""
    sizes = model.sizes or (1,) * model.K
    return [[k for k in range(model.K) if sizes[k] == size] for size in sorted({*sizes}, reverse=True)]


def _product(model: Model, x: Tensor) -> Tensor:
    return model.logits(x) - model.unpack(x).b.unsqueeze(-2)


def _singular(model: Model, x: Tensor, block: list[int]) -> Tensor:
    """Of the block's columns; with a bias, of what is left of them beside their mean."""
    columns = _product(model, x)[..., block]
    if model.has_bias:
        columns = columns - columns.mean(-1, keepdim=True)
    return torch.linalg.svdvals(columns)[..., : len(block) - model.has_bias]
