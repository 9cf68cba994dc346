"""Softmax codes: K > d + 1 unit classifiers and features at temperature zero (Jiang et al. 2023, generalised collapse).

As the temperature falls to zero, cross entropy on spheres (`ufm/model/spheres.py`, one feature per class) becomes the
HardMax problem: make the least margin as large as possible,

    rho(W, H) = min_{k, j != k} <w_k - w_j, h_k> ,      rho = max over unit vectors W, H ,

which is the distance of the worst class to the convex hull of the others, h_k being the direction of that distance
(`theory_checks/hardest_margin_is_the_one_vs_rest_distance.py`). The least margin of any W and H is a lower bound of the
largest; no search shows that there is no better one. Exact values are known for d = 2 (regular polygon), K <= d + 1
(simplex) and K <= 2 d (1, as for the cross-polytope); `theory_checks/softmax_code_*.py`.

Where h_k = w_k, rho is 1 - the largest cosine, so the code is a best packing (Tammes); in 3 dimensions those known best
are in `SLOANE_ANGLES`.
"""

import math
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import normalize

from ufm.arguments import integer, seed, takes, tensor
from ufm.errors import check
from ufm.model.losses import CrossEntropy
from ufm.model.spheres import SphereProblem
from ufm.model.starts import normal_starts
from ufm.simplex import simplex_etf
from ufm.solve.minimise import minimise
from ufm.tolerances import CODE_GRADIENT, LEAST_GAIN, SAME_MARGIN

SHARPNESS = (16.0, 64.0, 256.0, 1024.0, 4096.0)
"""Inverse temperatures of the smoothed problems, each started from the last one's solution."""
FIRST = 3
"""A start begins at one of the first three: from high temperatures nearly all fall into one basin, which need not be
the best (K = 14 in 3 dimensions)."""
STEPS = 500
"""Steps of each minimisation, which need not be exact at a low temperature."""
POLISHED = 8
"""The number of best starts that are polished by linear programmes."""
LARGEST_MOVE, SMALLEST_MOVE = 1e-2, 1e-13

# N. J. A. Sloane with R. H. Hardin and W. D. Smith, Tables of spherical codes, neilsloane.com/packings, dimension 3.
_ANGLES = """
    109.4712206 90.0000000 90.0000000 77.8695421 74.8584922 70.5287794 66.1468220 63.4349488 63.4349488 57.1367031
    55.6705700 53.6578501 52.2443957 51.0903285 49.5566548 47.6919141 47.4310362 45.6132231 44.7401612 43.7099642
    43.6907671 41.6344612 41.0376616 40.6776007 39.3551436 38.7136512 38.5971159 37.7098291 37.4752140 36.2545530
    35.8077844 35.3198076 35.1897322 34.4224080 34.2506607 33.4890466 33.1583563 32.7290944 32.5063863 32.0906244
    31.9834230 31.3230814 30.9591635 30.7818159 30.7627855 29.9235851 29.7529564
"""
SLOANE_ANGLES = {K: float(angle) for K, angle in enumerate(_ANGLES.split(), start=4)}
"""Degrees between nearest points of the best known packings of 4 to 50 points on the sphere in 3 dimensions."""


@dataclass(frozen=True)
class SoftmaxCode:
    """The softmax code of the largest margin found.

    Attributes:
        W, H: unit vectors.
        margin: rho(W, H) = min_{k, j != k} <w_k - w_j, h_k>, a lower bound of the largest margin.
        self_duality: largest |h_k - w_k| of the classes with that margin; others, with room, may point elsewhere.
        starts: the number of random starts.
    """

    W: Float[Tensor, "K d"]
    H: Float[Tensor, "K d"]
    margin: float
    self_duality: float
    starts: int


@takes(K=integer(2), d=integer(1))
def exact_margin(K: int, d: int) -> float | None:
    """The largest margin rho of K unit vectors in d dimensions; None where it is not known exactly."""
    if d == 2 and K >= 3:
        return 1 - math.cos(2 * math.pi / K)
    if d + 1 >= K:
        return K / (K - 1)
    return 1.0 if 2 * d >= K else None


@takes(K=integer(2), d=integer(1))
def packing_margin(K: int, d: int) -> float | None:
    """1 - cos of the angle of the best known packing of K points on the sphere; None without one (d = 3, K <= 50)."""
    return 1 - math.cos(math.radians(SLOANE_ANGLES[K])) if d == 3 and K in SLOANE_ANGLES else None


@takes(K=integer(2), d=integer(1), starts=integer(1), seed=seed)
def find_softmax_code(K: int, d: int, starts: int, seed: int = 0) -> SoftmaxCode:
    """Search for a softmax code of large margin: minimisation at falling temperatures, then linear programmes.

    The result is the best of the random starts (numeric evidence: a better code may exist).

    Raises:
        ValueError: on a K, d, number of starts or seed that is out of range.
    """
    ends = zip(*annealed_codes(K, d, starts, seed), strict=True)
    W, H = max((polish(*pair) for pair in islice(ends, POLISHED)), key=lambda pair: float(least_margin(*pair)))
    margin = float(least_margin(W, H))
    tight = _margins(W, H).amin(-1) <= margin + SAME_MARGIN
    return SoftmaxCode(W, H, margin, float((W - H).norm(dim=-1)[tight].max()), starts)


@takes(K=integer(2), d=integer(1), starts=integer(1), seed=seed)
def annealed_codes(K: int, d: int, starts: int, seed: int = 0) -> tuple[Float[Tensor, "S K d"], Float[Tensor, "S K d"]]:
    """W and H of each start where the temperatures end, the largest margin first.

    The lowest of the last temperature is within log(K (K - 1)) / 4096 of the largest margin (`smoothed`); linear
    programmes, which make it exact, take minutes from 30 classes in 10 dimensions on.
    """
    x = normal_starts(2 * K * d, seed, 0, starts)
    groups = [_annealed(x[first::FIRST], K, SHARPNESS[first:]) for first in range(min(FIRST, starts))]
    units = normalize(torch.cat(groups).view(starts, 2 * K, d), dim=-1)
    W, H = units[:, :K], units[:, K:]
    best = least_margin(W, H).argsort(descending=True)
    return W[best], H[best]


@takes(K=integer(2), d=integer(1))
def sum_of_simplices(K: int, d: int) -> Float[Tensor, "K d"]:
    """A code of the largest margin for d + 1 < K <= 2 d, which is 1: K - d simplices of about equal size (float64).

    Each adds up to zero and stands across the others. So zero is in the hull of the other classes of any class, and no
    point of that hull is nearer to it, as its cosines with the others are 0 or negative.

    Raises:
        ValueError: for other sizes.
    """
    check(d + 1 < K <= 2 * d, "K", K, f"in [{d + 2}, {2 * d}], from d + 2 to 2 d")
    sizes = [len(part) for part in np.array_split(np.arange(K), K - d)]
    return torch.block_diag(*(simplex_etf(size, size - 1) for size in sizes))  # type: ignore[no-untyped-call]


@cache
def margin_at_temperature(K: int, d: int, tau: float, starts: int = 64) -> float:
    """The margin of cross entropy's minimiser at a finite tau, logits tau <w_k, h_k>: less than the code's.

    The lowest of many minimisations over unit rows and one unit feature a class, to which all of a class collapse.
    """
    problem = SphereProblem(CrossEntropy(), K, d, 1, temperature=tau)

    def logarithm(x: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = problem.value_and_gradient(x)  # down to exp(-tau rho): no bound on its gradient means much
        return value.log(), gradient / value[:, None]

    ends = minimise(logarithm, normal_starts(problem.size, 0, 0, starts), CODE_GRADIENT, STEPS)
    W, H, _ = problem.unpack(ends.x[ends.value.argmin()])
    return float(least_margin(normalize(W, dim=-1), H))


def _annealed(x: Tensor, K: int, sharpness: tuple[float, ...]) -> Tensor:
    for value in sharpness:
        units = normalize(x.view(len(x), 2 * K, -1), dim=-1).flatten(1)
        x = minimise(partial(smoothed, K=K, sharpness=value), units, CODE_GRADIENT, STEPS).x
    return x


@takes(W=tensor(..., "K", "d"), H=tensor(..., "K", "d"))
def least_margin(W: Float[Tensor, "*batch K d"], H: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """min_{k, j != k} <w_k - w_j, h_k>."""
    return _margins(W, H).amin((-2, -1))


def smoothed(x: Float[Tensor, "B P"], K: int, sharpness: float) -> tuple[Float[Tensor, " B"], Float[Tensor, "B P"]]:
    """log sum_{k, j != k} exp(-s margin_kj) / s of the directions of W and H, at least -rho, and its gradient."""
    rows = x.view(len(x), 2 * K, -1)
    lengths = rows.norm(dim=-1, keepdim=True)
    units = rows / lengths
    W, H = units[:, :K], units[:, K:]
    exponents = (-sharpness * _margins(W, H)).flatten(1)
    value = exponents.logsumexp(1)
    p = (exponents - value[:, None]).exp().view(-1, K, K)
    p = p - torch.diag_embed(p.sum(-1))  # derivative in the products <h_k, w_j>
    g = torch.cat([p.mT @ H, p @ W], 1)
    tangent = g - (g * units).sum(-1, keepdim=True) * units
    return value / sharpness, (tangent / lengths).flatten(1)


@takes(W=tensor("K", "d"), H=tensor("K", "d"))
def polish(W: Float[Tensor, "K d"], H: Float[Tensor, "K d"]) -> tuple[Tensor, Tensor]:
    """Sequential linear programmes: the best move of bounded size by the margins' first derivatives, while it helps."""
    move, margin = LARGEST_MOVE, float(least_margin(W, H))
    while move > SMALLEST_MOVE:
        dW, dH = _best_move(W, H, move)
        new_W, new_H = normalize(W + dW, dim=-1), normalize(H + dH, dim=-1)
        new_margin = float(least_margin(new_W, new_H))
        if new_margin > margin:
            gain, move = new_margin - margin, 2 * move
            W, H, margin = new_W, new_H, new_margin
            if gain < LEAST_GAIN:
                break
        else:
            move /= 8
    return W, H


def _margins(W: Tensor, H: Tensor) -> Tensor:
    """<w_k - w_j, h_k> at (k, j); infinite for j = k."""
    cosines = H @ W.mT
    margins = cosines.diagonal(dim1=-2, dim2=-1).unsqueeze(-1) - cosines
    return margins.masked_fill(torch.eye(W.shape[-2], dtype=torch.bool, device=W.device), math.inf)


def _best_move(W: Tensor, H: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Maximise t subject to margin + its derivative >= t for all pairs, tangent moves with entries up to `size`."""
    K, d = W.shape
    cost = np.zeros(2 * K * d + 1)
    cost[-1] = -1
    pairs = np.nonzero(~np.eye(K, dtype=bool))
    margins = _margins(W, H).numpy()[pairs]
    vectors = np.arange(2 * K)
    tangent = _rows_of_vectors([(vectors, torch.cat([W, H]).numpy())], K, 0.0)
    bounds = [(-size, size)] * (2 * K * d) + [(None, None)]
    solved = linprog(cost, _slopes(W.numpy(), H.numpy(), *pairs), margins, tangent, np.zeros(2 * K), bounds)
    moves = torch.zeros(2 * K, d).double() if solved.x is None else torch.from_numpy(solved.x[:-1].reshape(2 * K, d))
    return moves[:K], moves[K:]


def _slopes(w: np.ndarray, h: np.ndarray, k: np.ndarray, j: np.ndarray) -> csr_array:
    """t - the derivative of <w_k - w_j, h_k>, a row per pair, as a function of the moves of W and H, and t."""
    return _rows_of_vectors([(k, -h[k]), (j, h[k]), (k + len(w), w[j] - w[k])], len(w), 1.0)


def _rows_of_vectors(parts: list[tuple[np.ndarray, np.ndarray]], K: int, last: float) -> csr_array:
    """Every part puts d-vector i into row i, at the place of the row of W or H that it names; `last` stands last."""
    count, d = parts[0][1].shape
    places = [(index[:, None] * d + np.arange(d)).ravel() for index, _ in parts]
    rows = [np.repeat(np.arange(count), d)] * len(parts)
    entries = np.concatenate([*(vectors.ravel() for _, vectors in parts), np.full(count, last)])
    columns = np.concatenate([*places, np.full(count, 2 * K * d)])
    return csr_array((entries, (np.concatenate([*rows, np.arange(count)]), columns)), (count, 2 * K * d + 1))
