"""Normalised features: classifier rows and features on unit spheres, cross entropy with a temperature, no decays.

    f(W, H) = (1/N) sum_i CE(tau W h_i, y_i) ,   |w_k| = |h_i| = 1          (Yaras et al. 2022)

The variables are unconstrained vectors x, of which only the directions x/|x| count. So every solver works unchanged, on
all starts at once and without knowledge of spheres, and nothing is approximated: where |x| = 1 the gradient *is* the
Riemannian gradient (its radial part vanishes), and at a critical point the Hessian *is* the Riemannian one, with a zero
for the length of every vector, K + N in all. Steps along a gradient only lengthen x, which never reaches 0; the search
for critical points, which could shorten gradients by lengthening x, goes back to unit vectors after every step.

The global minimisers are the simplex, h_{k,i} = w_k, <w_j, w_k> = -1/(K - 1), with
f = log(1 + (K - 1) exp(-tau K/(K - 1))) for d >= K - 1 (`theory_checks/spheres_have_the_simplex_as_minimiser.py`). The
paper: no other critical point is a local minimiser if d > K and tau < 2 (d - 2) / (1 + (K mod 2)/K).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ufm.arguments import check_fields, positive
from ufm.model.model import Factors, Model, Point, check_points


@dataclass(frozen=True)
class SphereProblem(Model):
    """A model whose classifier rows and features are unit vectors; the logits are their cosines times a temperature.

    Attributes:
        loss, K, d, n, sizes: as in every `Model`.
        temperature: tau > 0, the factor of the cosines in the logits.

    Raises:
        ValueError: on a size or temperature outside these bounds.
    """

    why_no_morse_relation = "on products of spheres no relation is derived here, and some critical sets are no orbits"

    temperature: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, temperature=positive)

    @property
    def has_bias(self) -> bool:
        """False: the model has no bias."""
        return False

    @property
    def redundant(self) -> int:
        """K + N: the lengths of classifier rows and features, which do not count."""
        return self.K + self.N

    @property
    def rotates_labels(self) -> bool:
        """False: a rotation of label space would change the lengths of classifier rows."""
        return False

    @property
    def size(self) -> int:
        """The number of variables, (K + N) d."""
        return (self.K + self.N) * self.d

    @property
    def least_curvature(self) -> float:
        """The least non-zero Hessian eigenvalue at the simplex, in closed form for classes of equal size.

        With q the probability of another class, a = tau K q and c = q tau^2 K/(K - 1): a / N where a feature leaves its
        class or the simplex's space; where rows and class means move together, u M and v M, the least eigenvalue of a
        2 x 2 form. M (K, K) has zero diagonal and zero row sums: symmetric M move the angles of the simplex (K > 3),
        M_kj = t_j + t_k/(K - 1) with sum t = 0 its centre (K > 2), antisymmetric M turn it (nothing changes).
        """
        tau, K = self.temperature, self.K
        q = 1 / (math.exp(min(700.0, tau * K / (K - 1))) + K - 1)
        a, c = tau * K * q, q * tau**2 * K / (K - 1)
        found = [a / self.N]
        if K > 3:
            found.append(self._least_of_pair(a + c, a + c, c - a))
        if K > 2:
            found.append(self._least_of_pair(a + c - c * q * K * (K - 2) / (K - 1), a + c, (c - a) / (K - 1)))
        return min(found)

    def _least_of_pair(self, of_rows: float, of_means: float, mixed: float) -> float:
        """The least lambda with det(A/K - lambda diag(1, n)) = 0, without cancellation."""
        total = self.N / self.K * of_rows + of_means
        determinant = of_rows * of_means - mixed**2
        root = math.sqrt(max(0.0, total**2 - 4 * self.N / self.K * determinant))
        return 2 * determinant / (total + root) / self.K

    @property
    def curvature_scale(self) -> float:
        """tau / K, the most that the samples of a class of mean size add to the gradient of its row of W."""
        return self.temperature / self.K

    def normalised(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch P"]:
        """The same point with all vectors at length 1."""
        return normalize(self._rows(x), dim=-1).flatten(-2)

    def unpack(self, x: Float[Tensor, "*batch P"]) -> Point:
        """The last layer of a point: W is tau times the unit classifier rows, H the unit features, b zero."""
        units = normalize(self._rows(x), dim=-1)
        W, H = units[..., : self.K, :], units[..., self.K :, :]
        return Point(self.temperature * W, H, torch.zeros_like(W[..., 0]))

    def factorised(self, x: Float[Tensor, "*batch P"]) -> Factors:
        """W and H of the flat vector, of any lengths; b is zero."""
        W, H = torch.split(self._rows(x), [self.K, self.N], -2)
        return Factors(W, [], H, torch.zeros_like(W[..., 0]))

    def assembled(self, W: Tensor, inner: list[Tensor], H: Tensor, b: Tensor) -> Float[Tensor, "*batch P"]:
        """The flat vector of W and H."""
        return torch.cat([W, H], -2).flatten(-2)

    def spanning(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch R d"]:
        """The rows of W and the features, whose joint rank is that of a point: no decays balance the two."""
        return normalize(self._rows(x), dim=-1)

    def logits(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """The logits, tau times the cosines of features and classifier rows."""
        W, H, _ = self.unpack(x)
        return H @ W.mT

    def value(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """The objective f of each point, differentiable by torch."""
        return self.loss(self.logits(x), self.labels(x.device)).mean(-1)

    def value_and_gradient(self, x: Float[Tensor, "*batch P"]) -> tuple[Float[Tensor, "*batch"], Tensor]:
        """The objective f and its gradient: (g - <u, g> u) / |x| for each vector x = |x| u, g the gradient in u."""
        units, lengths = self._polar(x)
        loss, G = self.loss.value_and_gradient(self.logits(x), self.labels(x.device))
        g = self._in_units(units, self.temperature * G / self.N)
        return loss.mean(-1), (_tangent(units, g) / lengths).flatten(-2)

    def hessian(self, x: Float[Tensor, "*batch P"]) -> Callable[[Float[Tensor, "*batch Q P"]], Tensor]:
        """The Hessian of f at each point, as a function that maps Q directions per point to their Hessian products."""
        units, lengths = (part.unsqueeze(-3) for part in self._polar(x))
        logits, labels = self.logits(x), self.labels(x.device)
        G = self.temperature * self.loss.value_and_gradient(logits, labels)[1].unsqueeze(-3) / self.N
        of_loss = self.loss.hessian(logits.unsqueeze(-3), labels)
        g = self._in_units(units, G)

        def product(v: Float[Tensor, "*batch Q P"]) -> Float[Tensor, "*batch Q P"]:
            v = self._rows(v)
            along = _dot(units, v)
            turned = (v - along * units) / lengths
            W, H, dW, dH = (part for both in (units, turned) for part in torch.split(both, [self.K, self.N], -2))
            R = self.temperature**2 * of_loss(dH @ W.mT + H @ dW.mT) / self.N
            dg = self._in_units(units, R) + self._in_units(turned, G)
            change = _tangent(units, dg) - turned * _dot(units, g) - units * _dot(turned, g)
            return ((change - _tangent(units, g) * along / lengths) / lengths).flatten(-2)

        return product

    def _rows(self, x: Tensor) -> Tensor:
        check_points(x, self.size)
        return x.view(*x.shape[:-1], self.K + self.N, self.d)

    def _polar(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = self._rows(x)
        lengths = rows.norm(dim=-1, keepdim=True)
        return rows / lengths, lengths

    def _in_units(self, units: Tensor, G: Tensor) -> Tensor:
        """The gradient in the unit vectors, given that in the cosines."""
        return torch.cat([G.mT @ units[..., self.K :, :], G @ units[..., : self.K, :]], -2)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def _tangent(units: Tensor, g: Tensor) -> Tensor:
    return g - _dot(units, g) * units
