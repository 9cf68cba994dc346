"""Unit vectors for classes with a large one-vs-rest margin, and the growth of a simplex when classes are added."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.errors import check
from ufm.simplex import simplex_basis, simplex_etf
from ufm.theory.softmax_codes import annealed_codes, sum_of_simplices

MOST_SEARCHED = 1000
"""The most classes for which a code is searched: the time grows as K^2 d; 1000 in 64 dimensions take minutes."""
MOST_STARTS, COSINES = 8, 100_000
"""Random starts of a search: as many as have that many pairs of classes together, at least one."""


def frame(K: int, d: int, seed: int) -> Float[Tensor, "K d"]:
    """K unit vectors in d dimensions, turned at random (float64).

    The simplex for K <= d + 1; K - d simplices across each other for K <= 2 d, whose one-vs-rest margin is the largest
    there is too; beyond, the softmax code with the largest margin that a search finds (`ufm/theory/softmax_codes.py`).

    Raises:
        ValueError: for K > 2 d and K > 1000.
    """
    if d + 1 >= K:
        rows = simplex_etf(K, K - 1)
    elif 2 * d >= K:
        rows = sum_of_simplices(K, d)
    else:
        allowed = f"at most {max(2 * d, MOST_SEARCHED)} in {d} dimensions, as a code for more is not searched"
        check(K <= MOST_SEARCHED, "num_classes", K, allowed)
        rows = annealed_codes(K, d, max(1, min(MOST_STARTS, COSINES // K**2)), seed)[0][0]
    return rows @ _orthonormal(_normal(rows.shape[1], d, seed))


def grown(W: Float[Tensor, "K d"], count: int, seed: int) -> tuple[Float[Tensor, "C d"], float]:
    """The simplex of C = K + count vectors whose first K turn least from a simplex W, and by what angle, in degrees.

    No K vectors of a simplex of more are a simplex: their cosines are -1/(C - 1). The old vectors become c w_k + s u
    with one unit vector u across all of them and

        c^2 = (K - 1) C / (K (C - 1)) ,      s^2 = 1 - c^2 ,

    and the new ones -t u + sqrt(1 - t^2) z_j, s t = 1/(C - 1), with a simplex z_j across W and u. All cosines are then
    -1/(C - 1). In no simplex of C do all old vectors turn by less than arccos c: the sum of the K cosines <v_k, w_k>
    is at most the trace of the root of G G', G and G' the (commuting) Gram matrices of w and v, and that is K c.
    """
    K, d = W.shape
    C = K + count
    c = math.sqrt((K - 1) * C / (K * (C - 1)))
    s = math.sqrt(1 - c**2)
    t = 1 / (s * (C - 1))
    noise = _normal(count, d, seed)
    across = _orthonormal(noise - (K - 1) / K * (noise @ W.mT) @ W)  # K/(K - 1) W'W projects onto the old vectors
    u = across[0]
    z = simplex_basis(count) * math.sqrt(count / (count - 1)) @ across[1:] if count > 1 else torch.zeros(1, d).double()
    added = -t * u + math.sqrt(max(0.0, 1 - t**2)) * z
    return torch.cat([c * W + s * u, added]), math.degrees(math.acos(c))


def _normal(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _orthonormal(rows: Float[Tensor, "r d"]) -> Float[Tensor, "r d"]:
    """Orthonormal rows with the same span."""
    return torch.linalg.qr(rows.mT)[0].mT
