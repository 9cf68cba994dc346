"""Matrices whose rows are classes: scaled so that nothing over- or underflows, centred, compared with the simplex."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

EPS = torch.finfo(torch.float64).eps
CHUNK_BYTES = 2**22
"""Features are processed in pieces of about this size, so that they and copies fit a processor's caches."""
CHUNK_TILES = 8
TILE = 2**22
"""Entries of a matrix of classes by classes, or samples by classes, that are in memory at a time."""


def chunks(H: Float[Tensor, "*batch N d"], K: int = 1) -> Iterator[slice]:
    """Slices of the sample axis, each about CHUNK_BYTES, and no more than CHUNK_TILES tiles of samples by K classes."""
    per_sample = H.element_size() * H.numel() // max(1, H.shape[-2])
    step = max(1, min(CHUNK_BYTES // max(per_sample, 1), CHUNK_TILES * TILE // K))
    return (slice(start, start + step) for start in range(0, H.shape[-2], step))


def tiles(rows: int, columns: int) -> Iterator[slice]:
    """Slices of the rows, each with about TILE entries."""
    step = max(1, TILE // max(1, columns))
    return (slice(start, min(rows, start + step)) for start in range(0, rows, step))


def mean_over_pairs(
    of_pairs: Callable[[slice, slice], Float[Tensor, "*batch rows columns"]], K: int, like: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """The mean over i != j < K of a symmetric function of (rows, columns), computed in tiles; nan for one class."""
    total = torch.zeros_like(like)
    for rows in tiles(K, K * max(1, like.numel())):
        values, width = of_pairs(rows, slice(rows.start, K)), rows.stop - rows.start
        values.diagonal(0, -2, -1).zero_()
        total += values[..., :width].sum((-2, -1)) + 2 * values[..., width:].sum((-2, -1))
    return total / (K * (K - 1)) if K > 1 else total * torch.nan


def power_of_two(A: Float[Tensor, "*batch m n"]) -> Float[Tensor, "*batch 1 1"]:
    """The power of two near the largest entry, 1 for zeros: dividing by it is exact, and avoids overflow of squares."""
    largest = A.abs().amax((-2, -1), keepdim=True)
    power = largest / (2 * torch.frexp(largest).mantissa)
    return torch.where((power > 0) & power.isfinite(), power, 1.0)


def centred(A: Float[Tensor, "*batch m n"]) -> Float[Tensor, "*batch m n"]:
    """The rows less their mean; all zero where the difference is rounding, so that equal rows leave no direction."""
    C, scale = A - A.mean(-2, keepdim=True), power_of_two(A)
    size, of_C = ((each / scale).norm(dim=(-2, -1), keepdim=True) for each in (A, C))
    return torch.where(of_C <= A.shape[-2] * EPS * size, 0.0, C)


def finite(A: Float[Tensor, "*batch m n"]) -> Float[Tensor, "*batch m n"]:
    """A, or zeros where an entry is not finite: a decomposition would raise an error for the whole batch."""
    return torch.where(A.isfinite().all(-1, keepdim=True).all(-2, keepdim=True), A, 0.0)


def unit(A: Float[Tensor, "*batch m n"]) -> Float[Tensor, "*batch m n"]:
    """n(A) = A / |A|_F."""
    A = A / power_of_two(A)
    return A / A.norm(dim=(-2, -1), keepdim=True)


def directions(rows: Float[Tensor, "*batch m d"]) -> Float[Tensor, "*batch m d"]:
    """The rows scaled to length 1; a row of zeros stays zero, but all are nan if all rows are zero."""
    rows = rows / power_of_two(rows)
    norms = rows.norm(dim=-1, keepdim=True)
    is_alone = (norms == 0) & (norms > 0).any(-2, keepdim=True)
    return rows / torch.where(is_alone, 1.0, norms)


def cosines(rows: Float[Tensor, "*batch m d"]) -> Float[Tensor, "*batch pairs"]:
    """The cosines of all ordered pairs of different rows; 0 for a row of zeros, nan if all rows are zero."""
    units = directions(rows)
    return (units @ units.mT)[..., ~torch.eye(rows.shape[-2], dtype=torch.bool, device=rows.device)]


def simplex_gram(like: Float[Tensor, "*batch K d"]) -> Float[Tensor, "K K"]:
    """E = (I - 11'/K) / sqrt(K - 1), the Gram matrix of a simplex equiangular tight frame; nan for one class."""
    K = like.shape[-2]
    return unit(torch.eye(K, dtype=like.dtype, device=like.device) - 1 / K)


def distance_to_simplex(A: Float[Tensor, "*batch K d"], B: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """|n(A B') - E|_F.

    With more than d + 1 rows no A B' is near E, so that the square may be taken apart without cancellation,
    2 - 2 <A B', E> / |A B'|_F with |A B'|^2 = <A'A, B'B> and <A B', E> = (<A, B> - <1'A, 1'B> / K) / sqrt(K - 1):
    nothing larger than d x d.
    """
    A, B = A / power_of_two(A), B / power_of_two(B)
    K, d = A.shape[-2:]
    if d + 1 >= K:
        return (unit(A @ B.mT) - simplex_gram(A)).norm(dim=(-2, -1))
    size = ((A.mT @ A) * (B.mT @ B)).sum((-2, -1)).clamp(min=0).sqrt()
    along = (A * B).sum((-2, -1)) - (A.sum(-2) * B.sum(-2)).sum(-1) / K
    return (2 - 2 * along / ((K - 1) ** 0.5 * size)).clamp(min=0).sqrt()
