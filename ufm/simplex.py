"""The simplex equiangular tight frame, which collapsed classes form."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import integer, takes
from ufm.errors import check


@takes(K=integer(2), d=integer(1))
def simplex_etf(K: int, d: int) -> Float[Tensor, "K d"]:
    """The simplex ETF: K unit rows in d >= K - 1 dimensions, pairwise cosines -1/(K - 1), sum zero (float64).

    They span the first K - 1 dimensions. As rows of M: M M' = K/(K - 1) (I - 11'/K).

    Raises:
        ValueError: if d < K - 1, where no simplex fits.
    """
    check(d >= K - 1, "d", d, f">= {K - 1}, what a simplex of {K} vectors spans")
    return torch.nn.functional.pad(math.sqrt(K / (K - 1)) * simplex_basis(K), (0, d - K + 1))


@takes(K=integer(2), d=integer(1))
def simplex_on_axes(K: int, d: int) -> Float[Tensor, "K d"]:
    """The simplex in the basis in which features behind a ReLU can be in line with it up to a common mean (float64).

    In d >= K dimensions the rows are those of sqrt(K/(K - 1)) (I - 11'/K), followed by zeros; in K - 1 dimensions
    there is no such basis, and they are those of `simplex_etf`.

    Raises:
        ValueError: if d < K - 1, where no simplex fits.
    """
    if d < K:
        return simplex_etf(K, d)
    rows = torch.eye(K, dtype=torch.float64) - 1 / K
    return torch.nn.functional.pad(rows, (0, d - K)) * math.sqrt(K / (K - 1))


@takes(K=integer(2))
def simplex_basis(K: int) -> Float[Tensor, "K K-1"]:
    """Orthonormal columns Q across 1, Q Q' = I - 11'/K: the rows are the simplex's, sqrt((K - 1)/K) long."""
    return torch.linalg.qr(torch.eye(K, dtype=torch.float64) - 1 / K)[0][:, : K - 1]
