"""The symmetry of the balanced plain model that carries one point nearest to others, as far as it is easily found.

The symmetries (W, H, b) -> (R W Q, (R (x) I) H Q in another order within classes, R b) keep the objective: Q is any
orthogonal matrix, R a permutation of the classes. For squared error |R (W M' + b 1' - I) R'| shows that R may be any
orthogonal matrix with R 1 = 1 (any at all without a bias). A constant in the bias moves nothing where it is free and
the loss does not see it. So the Hessian at the image is that at the point, turned.

*Finding it.* Permutations leave W W' and b as they are but for the order of classes: classes are placed one after the
other where norms, bias, sorted products with all and products with those placed before agree best. Rotations of label
space carry eigenvectors of W W' to eigenvectors, of equal eigenvalues in any way. Samples of a class are ordered by a
projection of their logits, and Q is Procrustes' polar factor. None of this need find the nearest image: what counts is
the distance from the image that was found, and where that is large nothing is concluded.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.model.model import Point
from ufm.model.problem import Problem

UNIT = 2.0**-53


class Symmetry(NamedTuple):
    """One symmetry for every point.

    Attributes:
        R: of label space.
        order: of the samples, after R.
        Q: of feature space.
    """

    R: Float[Tensor, "B K K"]
    order: Int[Tensor, "B N"]
    Q: Float[Tensor, "B d d"]

    def image(self, problem: Problem, x: Float[Tensor, " P"]) -> Float[Tensor, "B P"]:
        """The images of a point, or of a direction."""
        W, H, b = problem.unpack(x)
        H = _in_order((self.R @ H.reshape(problem.K, -1)).view(len(self.R), problem.N, problem.d), self.order)
        return problem.pack(Point(self.R @ W @ self.Q, H @ self.Q, self.R @ b))


def align(problem: Problem, base: Float[Tensor, " P"], x: Float[Tensor, "B P"]) -> tuple[Symmetry, Float[Tensor, " B"]]:
    """A symmetry that carries `base` towards every point, and a bound of the point's distance from `base`'s orbit.

    Both without a constant in the bias where that is free.
    """
    base, x = _without_constant(problem, base), _without_constant(problem, x)
    R = (_label_rotation if problem.rotates_labels else _relabelling)(problem, base, x)
    (W0, H0, b0), (W, H, _) = problem.unpack(base), problem.unpack(x)
    H0 = (R @ H0.reshape(problem.K, -1)).view_as(H)
    W0, b0 = R @ W0, R @ b0
    order = _same_order(problem, (H0 @ W0.mT + b0[:, None]).double(), problem.logits(x))
    product = torch.cat([W0, _in_order(H0, order)], 1).mT @ torch.cat([W, H], 1)
    left, _, right = torch.linalg.svd(product)
    found = Symmetry(R, order, left @ right)
    apart = (x - found.image(problem, base)).norm(dim=1)
    return found, apart + _inexactness(problem, found) * base.norm()


def _without_constant(problem: Problem, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
    W, H, b = problem.unpack(x)
    is_free = problem.has_free_bias and problem.is_shift_invariant
    return problem.pack(Point(W, H, b - b.mean(-1, keepdim=True) * is_free))


def _inexactness(problem: Problem, symmetry: Symmetry) -> Float[Tensor, " B"]:
    """How far, per length of a point, the computed image is from that under an exact symmetry."""
    R, _, Q = symmetry
    of_R, of_Q = ((A @ A.mT - torch.eye(A.shape[1]).to(A)).flatten(1).norm(dim=1) for A in (R, Q))
    moved = (R.sum(2) - 1).norm(dim=1) * problem.has_bias
    return of_R + of_Q + moved + 8 * (problem.K + problem.d) * UNIT


def _relabelling(problem: Problem, base: Tensor, x: Tensor) -> Float[Tensor, "B K K"]:
    """The permutation of classes, placed one after the other (classes are few where spectra are dense)."""
    (W0, _, b0), (W, _, b) = problem.unpack(base), problem.unpack(x)
    own, theirs = W0 @ W0.mT, W @ W.mT
    sorted_rows = (theirs.sort(-1).values[:, None] - own.sort(-1).values[:, None]).abs().sum(-1)
    diagonals = theirs.diagonal(dim1=1, dim2=2)[:, None] - own.diagonal()[:, None]
    cost = sorted_rows + diagonals.abs() + (b[:, None] - b0[:, None]).abs()  # (B, of base, of x)
    R, rows = torch.zeros_like(theirs), torch.arange(len(x), device=x.device)
    for k in range(problem.K):
        placed = cost[:, k].argmin(1)
        R[rows, placed, k] = 1
        cost[rows, :, placed] = torch.inf
        cost += (theirs[rows, placed][:, None] - own[:, k, None]).abs()
    return R


def _label_rotation(problem: Problem, base: Tensor, x: Tensor) -> Float[Tensor, "B K K"]:
    """Eigenvectors to eigenvectors, across the vector of ones where a bias keeps that."""
    one = torch.full((problem.K, 1), problem.K**-0.5).to(x) * problem.has_bias
    across = torch.linalg.svd(one, full_matrices=True)[0][:, int(problem.has_bias) :]
    own, theirs = (across @ _eigenvectors(across.mT @ problem.unpack(point).W) for point in (base, x))
    return theirs @ own.mT + one @ one.mT


def _eigenvectors(A: Float[Tensor, "*batch q d"]) -> Float[Tensor, "*batch q q"]:
    return torch.linalg.eigh(A @ A.mT)[1]


def _same_order(problem: Problem, own: Float[Tensor, "B N K"], theirs: Float[Tensor, "B N K"]) -> Int[Tensor, "B N"]:
    """The sample of `own` for each of `theirs`: within classes both by a projection of their logits."""
    direction = torch.randn(problem.K, dtype=own.dtype, generator=torch.Generator().manual_seed(0)).to(own)
    from_own, from_theirs = ((z @ direction).view(-1, problem.K, problem.n).argsort(-1) for z in (own, theirs))
    within = torch.empty_like(from_own).scatter_(2, from_theirs, from_own)
    return (within + problem.n * torch.arange(problem.K, device=own.device)[:, None]).flatten(1)


def _in_order(H: Float[Tensor, "B N d"], order: Int[Tensor, "B N"]) -> Float[Tensor, "B N d"]:
    return H.gather(1, order[..., None].expand_as(H))
