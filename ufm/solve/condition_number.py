"""Condition number of the Hessian at a minimiser, across its orbit under rotations of feature space.

With X = [W; H] the orbit's tangent vectors are X Omega, Omega skew; the Hessian vanishes on them, and on a constant in
the bias where that moves nothing. The condition number is its largest over its smallest eigenvalue on the complement.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.model.model import Point
from ufm.model.parameters import along
from ufm.model.problem import Problem
from ufm.solve.hessian import DENSE_UP_TO, WORKING_BYTES, Operator, dense_hessian, lanczos
from ufm.solve.rank import numerical_rank
from ufm.tolerances import END_POINT_RANK, RESOLVED_EIGENVALUE, ZERO_EIGENVALUE


@takes(problem=instance(Problem), x=tensor(None, None))
def condition_number(problem: Problem, x: Float[Tensor, "B P"]) -> Float[Tensor, " B"]:
    """The condition number at every point; nan where an eigenvalue across the orbit is not positive or not resolved.

    Up to 300 variables from the dense spectrum, less the smallest |eigenvalues|, as many as the orbit has dimensions;
    beyond, Lanczos for the largest eigenvalue and for the smallest on the complement of the tangent space.
    """
    is_dense = problem.size <= DENSE_UP_TO
    width = max(1, WORKING_BYTES // (8 * problem.size * (4 * problem.size if is_dense else 24)))
    found = [(_dense if is_dense else _sparse)(part, points) for part, points in problem.split(x, width)]
    return torch.cat(found)


def _dense(problem: Problem, x: Tensor) -> Tensor:
    W = problem.unpack(x).W
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(problem, x))
    smallest_first = eigenvalues.gather(1, eigenvalues.abs().argsort(1))
    largest = smallest_first[:, -1]
    rank = numerical_rank(W, END_POINT_RANK)
    zeros = rank * problem.d - rank * (rank + 1) // 2 + _is_free(problem, x, largest)
    is_left_out = torch.arange(problem.size, device=x.device) < zeros[:, None]
    smallest = smallest_first.masked_fill(is_left_out, torch.inf).amin(1)
    return torch.where(smallest > 0, largest / smallest, torch.nan)


def _sparse(problem: Problem, x: Tensor) -> Tensor:
    hessian = problem.hessian(x)
    largest = -lanczos(lambda v: -hessian(v), x).value
    project = _across(problem, x, _is_free(problem, x, largest))

    def across(v: Tensor) -> Tensor:
        """The Hessian on the complement; the largest eigenvalue on what is left out."""
        inside = project(v)
        return project(hessian(inside)) + along(largest, v) * (v - inside)

    pair = lanczos(across, x)
    is_resolved = (pair.value > 0) & (pair.residual <= RESOLVED_EIGENVALUE * pair.value)
    return torch.where(is_resolved, largest / pair.value, torch.nan)


def _is_free(problem: Problem, x: Tensor, largest: Tensor) -> Tensor:
    """Whether a constant in the bias moves nothing."""
    curvature = problem.hessian(x)(_constant(problem, x)[:, None])[:, 0].norm(dim=1)
    return (curvature <= ZERO_EIGENVALUE * largest) & problem.has_bias


def _constant(problem: Problem, x: Tensor) -> Tensor:
    W, H, b = problem.unpack(torch.zeros_like(x))
    return problem.pack(Point(W, H, torch.full_like(b, problem.K**-0.5)))


def _across(problem: Problem, x: Tensor, is_free: Tensor) -> Operator:
    """The projection onto the complement of the tangent space, and of a constant bias where that is free.

    Nearest to V is X Omega with X'X Omega + Omega X'X = X'V - V'X: entry by entry in the eigenbasis of X'X.
    """
    X = torch.cat(problem.unpack(x)[:2], 1)
    square, basis = torch.linalg.eigh(X.mT @ X)
    small = (END_POINT_RANK * square.amax(1, keepdim=True).sqrt().clamp(min=1.0)).square()
    sums = square[:, :, None] + square[:, None, :]
    inverse = torch.where(sums > small[:, None], 1 / sums, 0.0)[:, None]
    X, constant = (X @ basis)[:, None], (_constant(problem, x) * is_free[:, None])[:, None]

    def project(v: Tensor) -> Tensor:
        dW, dH, db = problem.unpack(v)
        V = torch.cat([dW, dH], 2) @ basis[:, None]
        B = X.mT @ V
        V = (V - X @ (inverse * (B - B.mT))) @ basis.mT[:, None]
        kept = problem.pack(Point(V[:, :, : problem.K], V[:, :, problem.K :], db))
        return kept - (kept * constant).sum(-1, keepdim=True) * constant

    return project
