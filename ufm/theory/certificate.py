"""A lower bound of the global minimum, from the dual of the convex relaxation, for convex losses.

With s = sqrt(decay_W decay_H) and Z = H W', f(W, H, b) >= g(Z + b) + s |Z|_* + decay_b/2 |b|^2, and for every N x K
matrix G with |G|_2 <= s (and G'1 = 0 where the bias is free)

    min f >= -(1/N) sum_i loss*(N G_i) - |G'1|^2 / (2 decay_b) ,     loss* the convex conjugate,

by Fenchel duality (Zhu et al. 2021; Haeffele and Vidal 2015). Where d is large enough for the relaxation to be tight
(K - 1, or K for squared error without a free bias), the gradient of g at a global minimiser attains the bound; at any
point, that gradient scaled into the ball gives a lower bound and so a duality gap.
"""

from dataclasses import dataclass
from functools import singledispatch

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.model.model import Model
from ufm.model.parameters import Parameter
from ufm.model.problem import Problem


@dataclass(frozen=True)
class Certificate:
    """Evidence that the objective of each point is within `gap` of the global minimum, up to floating-point rounding.

    Attributes:
        spectral_norm: |grad g(Z)|_2; a critical point with at most `radius` is a global minimiser (and conversely where
            the relaxation is tight).
        radius: s = sqrt(decay_W decay_H).
        lower_bound: the dual value; no point of the model lies below it, whatever its dimension d.
        gap: objective minus lower bound.
    """

    spectral_norm: Float[Tensor, "*batch"]
    radius: Parameter
    lower_bound: Float[Tensor, "*batch"]
    gap: Float[Tensor, "*batch"]


@takes(problem=instance(Problem), x=tensor(..., None))
def certify(problem: Problem, x: Float[Tensor, "*batch P"]) -> Certificate:
    """The certificate of every point (*batch, P), for a convex loss with a conjugate.

    Raises:
        NotImplementedError: if the loss is not convex or has no conjugate.
    """
    radius = problem.radius
    G = problem.logit_gradient(x)
    is_free = torch.as_tensor(problem.has_bias and problem.decay_b == 0, device=x.device)
    lower_bound = torch.where(is_free, -torch.inf, _dual_value(problem, G, radius))
    if problem.has_bias:  # G'1 = 0: what a free bias asks for, and better for one that is hardly decayed
        centred = _dual_value(problem, G - G.mean(-2, keepdim=True), radius, pays_for_bias=False)
        lower_bound = torch.maximum(lower_bound, centred)
    return Certificate(_spectral_norm(G), radius, lower_bound, problem.value(x) - lower_bound)


@singledispatch
def duality_gap(model: Model, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"] | None:
    """An upper bound of each point's objective less the global minimum; None for a model or loss without dual bound."""
    return None


@duality_gap.register
def _of_problem(problem: Problem, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"] | None:
    return certify(problem, x).gap if problem.loss.has_conjugate else None


def _dual_value(problem: Problem, G: Tensor, radius: Parameter, *, pays_for_bias: bool = True) -> Tensor:
    """The lower bound that G gives, scaled into the ball; the bias costs nothing where G'1 = 0 up to rounding."""
    G = (radius / _spectral_norm(G)).clamp(max=1.0)[..., None, None] * G
    value = -problem.loss.conjugate(problem.N * G, problem.labels(G.device)).mean(-1)
    if problem.has_bias and pays_for_bias:
        of_bias = torch.as_tensor(problem.decay_b, dtype=G.dtype, device=G.device)
        value = value - torch.where(of_bias > 0, G.sum(-2).square().sum(-1) / (2 * of_bias), 0.0)
    return value


def _spectral_norm(G: Tensor) -> Tensor:
    """Largest singular value, from the K x K Gram matrix (exact to rounding for the largest)."""
    return torch.linalg.eigvalsh(G.mT @ G)[..., -1].clamp(min=0).sqrt()
