"""Reduction of a critical point: empty feature columns are removed, and it is polished by Newton's method."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.model.factors import with_dimension
from ufm.model.model import Model
from ufm.solve.hessian import dense_hessian
from ufm.solve.rank import numerical_rank
from ufm.tolerances import RANK_TOLERANCE, RESOLVED_GRADIENT, ZERO_EIGENVALUE

POLISHING_STEPS = 4


class Canonical(NamedTuple):
    """A model with the feature columns that a point uses (all, if none can be removed), the point, and its rank."""

    model: Model
    x: Float[Tensor, " Q"]
    rank: int


@takes(model=instance(Model), x=tensor(None))
def canonical(model: Model, x: Float[Tensor, " P"]) -> Canonical:
    """The point rotated into max(rank, 1) columns where the model has such columns, and polished."""
    rank = ranks(model, x[None])[0]
    if not model.has_columns:
        y = model.normalised(polished(model, x[None]))
        return Canonical(model, y[0], ranks(model, y)[0])
    small = with_dimension(model, max(1, rank))
    W, H, b = model.unpack(x)
    turn = torch.linalg.svd(W, full_matrices=True)[2][: small.d].mT * (rank > 0)
    return Canonical(small, polished(small, small.assembled(W @ turn, [], H @ turn, b)[None])[0], rank)


@takes(model=instance(Model), x=tensor(None, None))
def ranks(model: Model, x: Float[Tensor, "B P"]) -> list[int]:
    """Singular values of the vectors that span each point above what a gradient of 1e-11 resolves."""
    resolution = max(RANK_TOLERANCE, RESOLVED_GRADIENT / float(model.least_curvature))
    return [int(count) for count in numerical_rank(model.spanning(x), resolution)]


@takes(model=instance(Model))
def largest_rank(model: Model) -> int:
    """The largest rank that a critical point of the model can have.

    K - 1 where a constant added to all logits changes nothing: then loss gradients sum to zero over classes, hence
    1'W = 0. For squared error K - 1 with a free bias too: u = W'1 obeys (decay_W + H_c'H_c / N) u = 0, H_c the centred
    features. Otherwise K, as in models without columns to leave out.
    """
    has_zero_sum = model.is_shift_invariant or (model.rotates_labels and model.has_free_bias)
    return model.K - 1 if model.has_columns and has_zero_sum else model.K


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
