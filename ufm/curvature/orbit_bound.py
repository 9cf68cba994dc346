"""Curvature at points near an orbit whose spectrum is known: a bound that costs one distance instead of a spectrum.

Let X0 = [W0; H0] have r columns of full rank and least singular value s, and zeros beside them in d columns. Its
orbit are the X0 Q, Q with orthonormal rows. The Hessian H0 at (X0, b0) has eigenvalue zero along the rotations
X0 Omega, Omega skew, and along a constant in the bias where that moves nothing, up to rounding; let m0 be its least
eigenvalue across them. Let x = (X, b) have the gradient g and be at the distance delta < s from a point of the orbit,
from which Omega is now counted. With L a Lipschitz constant (`hessian_lipschitz.py`) and k = 1/(s - delta):

1. |Omega| <= k |X Omega|: the spectral norm of a skew matrix that is zero in the empty columns' block is at most the
   Frobenius norm of its first r rows, so |X0 Omega| >= s |Omega|, and |X Omega| >= |X0 Omega| - delta |Omega|.
2. The objective is the same at x and its rotations, so its gradient turns with x, and Hess(x) X Omega = g Omega: along
   unit vectors t of T = {X Omega} the Hessian is small, |Hess(x) t| <= e = k |g|. Along a free constant it is zero.
3. A unit vector u across T has at most a = delta/s along {X0 Omega}: for t0 = X0 Omega of length 1, <u, t0> =
   <u, (X0 - X) Omega>. There |H0 t0| <= |g0|/s by 2, so u'H0 u >= m0 (1 - a^2) - 3 a |g0| / s.
4. |Hess(x) - H0| <= L delta, hence u'Hess(x)u >= m = m0 (1 - a^2) - 3 a |g0| / s - L delta.
5. If m > 0, the quadratic form of [[-e, -e], [-e, m]] bounds that of Hess(x) from below, and so

       least eigenvalue of Hess(x) >= -e - e^2 / m ;    without symmetries (T = {0}) it is >= m.

   By Taylor's formula |f(x) - f(x0)| <= |g0| delta + (|H0| + L delta / 3) delta^2 / 2 and |Z(x) - Z0| <= J delta +
   delta^2 / 2 (J as in the constant's derivation).

So every end point near the orbit is decided by its gradient and a distance. A point of the orbit need not be critical:
what is proved holds for (X0, b0) as it is stored: the given point without columns that are zero up to `ORBIT_RANK` and,
where it all but has the symmetry of the classes, moved there. Logits are compared up to a free constant of the bias.

*Distance.* The r x d matrix X0^+ X, made orthogonal by Newton and Schulz's iteration, is a B with B B' = I - E; some Q
is within |E| of it, so that |X - X0 B| + |X0| |E| bounds the distance of the matrices. It need not be the nearest point
of the orbit (for a simplex it is, to second order: there X0'X0 is a multiple of I, and B solves Procrustes' problem).

*Rounding.* Sums and products carry the error bounds of floating point (Higham 2002, section 3.1), added outwards. Two
things are taken and not proved: the gradient of a sample's loss, in the model's own units, is right to
`ENTRY_ROUNDING`, and m0, from eigenvalues, to `SPECTRUM_ROUNDING` times the largest one (singular values to
`SVD_ROUNDING`). So the rank of this evidence
is *certificate*, in floating point.
"""

from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, tensor
from ufm.curvature.collapsed_spectrum import across, collapsed_spectrum, spectrum_at_zero, symmetrised
from ufm.curvature.hessian_lipschitz import DerivativeBounds, Size, derivative_bounds, jacobian, lipschitz
from ufm.model.model import Model, Point
from ufm.model.problem import Problem
from ufm.solve.hessian import dense_hessian
from ufm.tolerances import ENTRY_ROUNDING, ORBIT_RANK, SPECTRUM_ROUNDING

DENSE_UP_TO = 2000
"""Variables, of the columns that the orbit uses, up to which its spectrum is that of a dense matrix."""
UNIT = 2.0**-53
"""The rounding of one operation in float64."""
SVD_ROUNDING = 1e-12
"""Of singular values, relative to the largest: the routine is off by some `UNIT` times the size."""
POLAR_STEPS = 3


@dataclass(frozen=True)
class Proximity:
    """Bounds proved for points near the orbit.

    Attributes:
        distance: a bound of the distance from the orbit; infinite where none was found.
        objective, logits: bounds of |f - f0| and |Z - Z0| (Frobenius).
        smallest_eigenvalue: a lower bound of that of the Hessian; -inf where nothing is decided.
    """

    distance: Float[Tensor, " B"]
    objective: Float[Tensor, " B"]
    logits: Float[Tensor, " B"]
    smallest_eigenvalue: Float[Tensor, " B"]


@dataclass(frozen=True)
class KnownOrbit:
    """The orbit of one point, its spectrum, and bounds for other points by their distance from it.

    Attributes:
        problem: the model.
        X: [W0; H0] in r columns, and b its bias.
        inverse: the pseudo-inverse of X.
        curvature: m0, the least eigenvalue across the symmetries, less its rounding.
        largest: a bound of |H0|, the largest |eigenvalue| across the symmetries and 2 |g0| / s for the rest (by 2).
        least_singular, size: s, and norms of W0 and H0.
        gradient, loss_gradient: |g0|, and the norm of the gradients of all samples' losses.
        has_kernel: whether there are symmetries that move the point.
        bounds: of the loss's derivatives.
    """

    problem: Problem
    X: Float[Tensor, "M r"]
    b: Float[Tensor, " K"]
    inverse: Float[Tensor, "r M"]
    curvature: float
    largest: float
    least_singular: float
    size: Size
    gradient: float
    loss_gradient: float
    has_kernel: bool
    bounds: DerivativeBounds

    @property
    def radius(self) -> float:
        """A distance up to which the curvature across the symmetries stays positive (not the largest)."""
        distances = torch.logspace(-16, 0, 161, dtype=torch.float64) * max(1.0, self.size.W)
        positive = distances[self._across(distances) > 0]
        return float(positive[-1]) if len(positive) else 0.0

    def near(self, x: Float[Tensor, "B P"]) -> Proximity:
        """The bounds at every point."""
        tensor(None, self.problem.size).check("x", x)
        distance, problem = self._distance(x), self.problem
        objective, logits = self.within(distance)
        rounding = _gradient_rounding(problem, self.bounds, self.loss_gradient + self.bounds.second * logits, x)
        gradient = problem.value_and_gradient(x)[1].norm(dim=1) + rounding
        slope, across = gradient / (self.least_singular - distance), self._across(distance)
        least = -slope - slope**2 / across if self.has_kernel else across
        return Proximity(distance, objective, logits, torch.where(across > 0, least, -torch.inf))

    def within(self, distance: Float[Tensor, " B"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """Bounds of |f - f0| and |Z - Z0| at these distances."""
        bend = self.largest + self.lipschitz(distance) * distance / 3
        objective = self.gradient * distance + bend * distance**2 / 2
        return objective, jacobian(self.problem, self.size) * distance + distance**2 / 2

    def lipschitz(self, distance: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """The Lipschitz constant within these distances."""
        return lipschitz(self.problem, self.bounds, self.size, distance)

    def _across(self, distance: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Step 4's m; -inf where a step before it does not hold."""
        along = distance / self.least_singular
        falls = 3 * along * self.gradient / self.least_singular + self.lipschitz(distance) * distance
        m = self.curvature * (1 - along**2) - falls
        return torch.where(distance < self.least_singular, m, -torch.inf)

    def _distance(self, x: Tensor) -> Float[Tensor, " B"]:
        X, b = _matrix(self.problem, x)
        own, r = self.X.to(x.device), self.X.shape[1]
        B = self.inverse.to(x.device) @ X
        for _ in range(POLAR_STEPS):
            B = 1.5 * B - 0.5 * (B @ B.mT) @ B
        apart = (X - own @ B).flatten(1).norm(dim=1)
        defect = (B @ B.mT - torch.eye(r, dtype=x.dtype, device=x.device)).flatten(1).norm(dim=1)
        of_bias = b - self.b.to(x.device)
        if _has_free_constant(self.problem):
            of_bias = of_bias - of_bias.mean(1, keepdim=True)
        length = own.norm()
        rounding = (r + 4) * UNIT * (2 * r**0.5 * length + x.norm(dim=1) + self.b.norm()) + length * r * X.shape[
            2
        ] * UNIT
        distance = torch.hypot(apart + length * defect, of_bias.norm(dim=1)) + 2 * rounding
        return torch.where(defect < 0.5, distance, torch.inf)


@singledispatch
def known_orbit(model: Model, x: Float[Tensor, " P"]) -> KnownOrbit | None:
    """The orbit of a point at which nothing goes down; None where its spectrum or a Lipschitz constant is not known.

    Raises:
        ValueError: unless x is a float64 tensor with the model's variables.
    """
    instance(Model).check("model", model)
    tensor(model.size).check("x", x)
    return None


@known_orbit.register
def _of_problem(problem: Problem, x: Float[Tensor, " P"]) -> KnownOrbit | None:
    tensor(problem.size).check("x", x)
    bounds = derivative_bounds(problem.loss, problem.K)
    small, y, rank = _in_used_columns(problem, x)
    near = symmetrised(small, y) if rank else None
    y = y if near is None else near
    spectrum = None if bounds is None or problem.is_mixed else _spectrum(small, y, rank, problem.d)
    if bounds is None or spectrum is None:
        return None
    (W, H, b), X = small.unpack(y), _matrix(small, y[None])[0][0]
    loss_gradient = float(problem.N * small.logit_gradient(y).norm())
    gradient = float(
        small.value_and_gradient(y[None])[1].norm() + _gradient_rounding(small, bounds, loss_gradient, y[None])
    )
    singular = torch.linalg.svdvals(X)
    least_singular = float(singular[-1] - SVD_ROUNDING * singular[0]) if rank else torch.inf
    return KnownOrbit(
        problem=problem,
        X=X[:, :rank],
        b=b,
        inverse=torch.linalg.pinv(X[:, :rank]),
        curvature=spectrum[0],
        largest=spectrum[1] + 2 * gradient / least_singular,
        least_singular=least_singular,
        size=Size(
            *(norm * (1 + SVD_ROUNDING) for norm in (_spectral_norm(W), _spectral_norm(H), float(H.norm(dim=1).max())))
        ),
        gradient=gradient,
        loss_gradient=loss_gradient,
        has_kernel=rank * problem.d > rank * (rank + 1) // 2 or _has_free_constant(problem),
        bounds=bounds,
    )


def _in_used_columns(problem: Problem, x: Float[Tensor, " P"]) -> tuple[Problem, Float[Tensor, " Q"], int]:
    """The model with as many columns as a point's rank (one if that is 0), the point in them, and the rank."""
    X, b = _matrix(problem, x[None])
    _, singular, right = torch.linalg.svd(X[0], full_matrices=False)
    rank = int((singular > ORBIT_RANK * singular[0].clamp(min=1.0)).sum())
    small = replace(problem, d=max(rank, 1))
    X = X[0] @ right[: small.d].mT * (rank > 0)
    return small, small.pack(Point(X[: problem.K], X[problem.K :], b[0])), rank


def _gradient_rounding(
    problem: Problem, bounds: DerivativeBounds, loss_gradient: float | Tensor, x: Float[Tensor, "B P"]
) -> Float[Tensor, " B"]:
    """What the norm of a computed gradient may lack, given the norm of the gradients of all samples' losses."""
    w, h, c = (part.flatten(1).norm(dim=1) for part in problem.unpack(x))
    root = problem.N**0.5
    of_logits = (problem.d + 2) * UNIT * (w * h + root * c)
    of_loss = bounds.second * of_logits + root * problem.K**0.5 * ENTRY_ROUNDING
    of_sums = (problem.N + problem.K + 4) * UNIT * loss_gradient
    of_decays = 4 * UNIT * max(map(float, problem.decays)) * (w + h + c)
    return (of_loss + of_sums) * (w + h + root) / problem.N + of_decays


def _matrix(problem: Problem, x: Float[Tensor, "B P"]) -> tuple[Float[Tensor, "B M d"], Float[Tensor, "B K"]]:
    """The matrix [W; H] and the bias of each point."""
    rows = problem.K + problem.N
    return x[:, : rows * problem.d].view(len(x), rows, problem.d), problem.unpack(x).b


def _spectral_norm(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))


def _has_free_constant(problem: Problem) -> bool:
    return problem.has_free_bias and problem.is_shift_invariant


def _spectrum(small: Problem, y: Float[Tensor, " Q"], rank: int, d: int) -> tuple[float, float] | None:
    """The least eigenvalue across the symmetries in d columns, less its rounding, and the largest in modulus.

    From a few blocks where the point has the symmetry of the classes, else from the dense Hessian if that is small.
    """
    found = collapsed_spectrum(small, y, d) if rank else spectrum_at_zero(small, y)
    if found is None and small.size <= DENSE_UP_TO:
        found = _dense_spectrum(small, y, rank, d)
    return found and (found[0] - SPECTRUM_ROUNDING * found[1], found[1] * (1 + SPECTRUM_ROUNDING))


def _dense_spectrum(small: Problem, y: Float[Tensor, " Q"], rank: int, d: int) -> tuple[float, float]:
    """In the columns that are used from the dense Hessian; in every empty one from [[decay_W I, G'], [G, decay_H I]].

    On the latter the rotations are the columns that are used.
    """
    blocks = [(dense_hessian(small, y[None])[0], _rotations(small, y))]
    if rank and d > rank:
        G, (of_W, of_H, _) = small.logit_gradient(y), small.decays
        rows = torch.cat([of_W * torch.eye(small.K).to(G), G.mT], 1), torch.cat([G, of_H * torch.eye(small.N).to(G)], 1)
        blocks.append((torch.cat(rows), _matrix(small, y[None])[0][0]))
    found = [across(block, along) for block, along in blocks]
    return min(least for least, _ in found), max(largest for _, largest in found)


def _rotations(small: Problem, y: Float[Tensor, " Q"]) -> Float[Tensor, "Q T"]:
    """The directions X Omega of every pair of columns, and a constant in the bias where that is free."""
    X, b = _matrix(small, y[None])
    first, second = torch.triu_indices(small.d, small.d, 1)
    pairs = torch.arange(len(first))
    turned = X.new_zeros(len(first), X.shape[1], small.d)
    turned[pairs, :, first], turned[pairs, :, second] = X[0, :, second].mT, -X[0, :, first].mT
    columns = small.pack(Point(turned[:, : small.K], turned[:, small.K :], b.expand(len(first), -1) * 0))
    if _has_free_constant(small):
        constant = torch.zeros_like(y)
        constant[-small.K :] = 1
        columns = torch.cat([columns, constant[None]])
    return columns.mT
