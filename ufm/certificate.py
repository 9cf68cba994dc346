"""Is this point a global minimiser? The dual bound of the convex relaxation, for convex losses.

With s = sqrt(decay_W decay_H) and Z = H W', f(W, H, b) >= g(Z + b) + s |Z|_* + decay_b/2 |b|^2, and for every N x K
matrix G with |G|_2 <= s (and G'1 = 0 where the bias is free)

    min f >= -(1/N) sum_i loss*(N G_i) - |G'1|^2 / (2 decay_b) ,     loss* the convex conjugate,

by Fenchel duality (Zhu et al. 2021; Haeffele and Vidal 2015). Where d is large enough for the relaxation to be tight
(K - 1, or K for squared error without a free bias), the gradient of g at a global minimiser attains the bound; at any
point, that gradient scaled into the ball gives a lower bound and so a duality gap.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.problem import Problem


@dataclass(frozen=True)
class Certificate:
    """Evidence that points are within `gap` of the global minimum, up to rounding of floating point.

    Attributes:
        spectral_norm: |grad g(Z)|_2; a critical point with at most `radius` is a global minimiser (and conversely where
            the relaxation is tight).
        radius: s = sqrt(decay_W decay_H).
        lower_bound: the dual value; no point of the model lies below it, whatever its dimension d.
        gap: objective minus lower bound.
    """

    spectral_norm: Float[Tensor, "*batch"]
    radius: float
    lower_bound: Float[Tensor, "*batch"]
    gap: Float[Tensor, "*batch"]


def certify(problem: Problem, x: Float[Tensor, "*batch P"]) -> Certificate:
    """The certificate of every point; convex losses only.

    Raises:
        NotImplementedError: if the loss is not convex or has no conjugate.
    """
    radius = math.sqrt(problem.decay_W) * math.sqrt(problem.decay_H)
    G = problem.logit_gradient(x)
    centred = G - G.mean(
        -2, keepdim=True
    )  # G'1 = 0: what a free bias asks for, and better for one that is hardly decayed
    candidates = [G] * (problem.decay_b != 0) + [centred] * problem.has_bias
    lower_bound = torch.stack([_dual_value(problem, candidate, radius) for candidate in candidates]).amax(0)
    return Certificate(_spectral_norm(G), radius, lower_bound, problem.value(x) - lower_bound)


def _dual_value(problem: Problem, G: Tensor, radius: float) -> Tensor:
    """The lower bound that G gives once it is scaled into the ball."""
    G = (radius / _spectral_norm(G)).clamp(max=1.0)[..., None, None] * G
    value = -problem.loss.conjugate(problem.N * G, problem.labels(G.device)).mean(-1)
    if problem.decay_b:
        value = value - G.sum(-2).square().sum(-1) / (2 * problem.decay_b)
    return value


def _spectral_norm(G: Tensor) -> Tensor:
    """Largest singular value, from the K x K Gram matrix (exact to rounding for the largest)."""
    return torch.linalg.eigvalsh(G.mT @ G)[..., -1].clamp(min=0).sqrt()
