"""NC2, the geometry of the class means; M (K, d) are the class means less their mean."""

import math

from jaxtyping import Float
from torch import Tensor

from ufm.arguments import floats, takes, tensor
from ufm.collapse.matrices import directions, distance_to_simplex, mean_over_pairs, power_of_two
from ufm.errors import check

class_means = tensor(..., None, None, dtypes=floats)


@takes(M=class_means)
def nc2_equinorm(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """The standard deviation of the rows' norms over their mean (Papyan, Han, Donoho 2020)."""
    norms = (M / power_of_two(M)).norm(dim=-1)
    return norms.std(-1, correction=0) / norms.mean(-1)


@takes(M=class_means)
def nc2_equiangular(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """The mean over pairs of rows of |cos + 1/(K - 1)| (Papyan, Han, Donoho 2020); nan for one class.

    A row of zeros has the cosine 0 with every other.
    """
    units, K = directions(M), M.shape[-2]

    def of_pairs(rows: slice, columns: slice) -> Tensor:
        return (units[..., rows, :] @ units[..., columns, :].mT).add_(1 / max(1, K - 1)).abs_()

    return mean_over_pairs(of_pairs, K, M[..., 0, 0])


@takes(M=class_means)
def nc2_etf(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """|n(M M') - E|_F (Zhu et al. 2021, there for the rows of W), for an M that is centred already."""
    return distance_to_simplex(M, M)


@takes(M=class_means)
def nc2_welch_gap(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """The root mean square of the cosines between pairs of rows, less the least value for K > d unit vectors.

    Welch (1974): the mean of cos^2 over pairs is at least (K - d) / (d (K - 1)), with equality if and only if the unit
    vectors are a tight frame; for K = d + 1 the simplex is one, for K > d + 1 no frame has all cosines -1/(K - 1).

    Raises:
        ValueError: if K <= d, where the bound says nothing.
    """
    K, d = M.shape[-2:]
    check(d < K, "M", tuple(M.shape), "of more rows than columns")
    units = directions(M)
    frame = units.mT @ units
    lengths = units.square().sum(-1)
    off_diagonal = (frame.square().sum((-2, -1)) - lengths.square().sum(-1)).clamp(min=0)
    return ((off_diagonal / (K * (K - 1))).sqrt() - math.sqrt((K - d) / (d * (K - 1)))).clamp(min=0)
