"""Is a partial state of focal loss a local minimiser? Proved in ball arithmetic, for any number of classes.

The state is fixed by the permutations of its m active and of its K - m other classes (with the rotations that they
induce), so the Hessian commutes with them, and each irreducible representation contributes one small block, repeated.
All representations that occur in (W, H, b) have a vector that is fixed by the permutations of active classes 3..m and
of other classes 2..K - m: those in R^m (x) R^m are [m], [m-1,1], [m-2,2], [m-2,1,1], whose restrictions to S_{m-2}
contain the trivial one by the branching rule. So every eigenvalue of the Hessian is one of the Hessian restricted to
that fixed subspace, which has at most 47 dimensions and a basis of zeros and ones. A state is a strict minimum up to
rotations when all of these but the rotations' are positive.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from ufm.ball_model import BallModel, Balls, Matrix
from ufm.enclosure import BOX, PRECISION, inertia, is_dominated
from ufm.losses import Focal
from ufm.problem import Problem


@dataclass(frozen=True)
class PartialState:
    """m of K classes on a simplex (n = 1, decay_W = decay_H = c).

    Attributes:
        K, gamma, c, decay_b: the model.
        m: active classes; K for the ETF.
        omega, eta, bias: as in `ufm.focal_window`, numerical.
    """

    K: int
    gamma: float
    c: float
    decay_b: float | None
    m: int
    omega: float
    eta: float
    bias: float

    @property
    def problem(self) -> Problem:
        """The model with m + 1 columns: m hold the simplex (one of them empty), one what tells the others apart."""
        return Problem(Focal(self.gamma), self.K, self.m + 1, 1, self.c, self.c, self.decay_b)


@dataclass(frozen=True)
class MinimumProof:
    """What was proved of a partial state.

    Attributes:
        is_critical: a true critical point of this symmetry lies within `radius` of the stored (omega, eta, B).
        is_minimum: the Hessian there is positive definite up to rotations (and a free constant of the bias).
        radius: of the ball.
        value: enclosure of the objective, in decimal.
        value_low, value_high: its bounds.
        smallest_eigenvalue: smallest eigenvalue that is no rotation's (numeric).
        precision: bits.
    """

    is_critical: bool
    is_minimum: bool
    radius: float
    value: str
    value_low: float
    value_high: float
    smallest_eigenvalue: float
    precision: int


def prove_minimum(state: PartialState, negative: int = 0, precision: int = PRECISION) -> MinimumProof:
    """Prove that the state is critical and, but for `negative` directions of the fixed subspace, a minimum."""
    with ctx.workprec(precision):
        coordinates = [state.omega, state.eta, state.bias]
        directions = _parameters(state)
        active = [j for j, value in enumerate(coordinates) if value != 0 or (j == 2 and state.m < state.K)]
        active = [j for j in active if j < 2 or state.decay_b is not None]
        at_point = BallModel(state.problem, _point(directions, [arb(value) for value in coordinates]))
        box = [arb(value, BOX) if j in active else arb(value) for j, value in enumerate(coordinates)]
        over_box = BallModel(state.problem, _point(directions, box))
        radius = _krawczyk([directions[j] for j in active], at_point, over_box)
        tight = [arb(value, min(radius, 1.0)) if j in active else arb(value) for j, value in enumerate(coordinates)]
        value = BallModel(state.problem, _point(directions, tight)).value
        basis = _fixed_basis(state)
        hessian = restricted(over_box, basis)
        kernel, is_kernel = _kernel(state, over_box, basis)
        is_definite = all(inertia(hessian, negative, kernel)) and is_kernel
        return MinimumProof(
            is_critical=radius < BOX,
            is_minimum=radius < BOX and is_definite and negative == 0,
            radius=radius,
            value=value.str(18),
            value_low=math.nextafter(float(value.lower()), -math.inf),
            value_high=math.nextafter(float(value.upper()), math.inf),
            smallest_eigenvalue=_smallest(hessian, basis, kernel),
            precision=precision,
        )


def restricted(model: BallModel, basis: list[list[int]] | list[Balls]) -> Matrix:
    """V'Hess V for directions V, without the Hessian itself."""
    problem = model.problem
    K, d = problem.K, problem.d
    split = [_split(problem, vector) for vector in basis]
    changes = [dH * model.W.transpose() + model.H * dW.transpose() for dW, dH, _ in split]
    total = arb_mat(len(basis), len(basis))
    for i, (_, curvature) in enumerate(model.samples):
        rows = arb_mat(
            [[change[i, k] + db[k] for k in range(K)] for change, (_, _, db) in zip(changes, split, strict=True)]
        )
        total += rows * (arb_mat(curvature) / problem.N) * rows.transpose()
    flat_H = arb_mat([dH.entries() for _, dH, _ in split])
    coupled = flat_H * arb_mat([(model.G * dW).entries() for dW, _, _ in split]).transpose()
    V = arb_mat(basis)
    decays = [problem.decay_W] * (K * d) + [problem.decay_H] * (problem.N * d) + [problem.decay_b or 0.0] * K
    weighted = arb_mat(
        [[arb(float(decay)) * entry for decay, entry in zip(decays, vector, strict=False)] for vector in basis]
    )
    return total + coupled + coupled.transpose() + weighted * V.transpose()


def _split(problem: Problem, vector: Any) -> tuple[Matrix, Matrix, Any]:
    K, d, N = problem.K, problem.d, problem.N
    b = vector[(K + N) * d :] if problem.has_bias else [0] * K
    return arb_mat(K, d, vector[: K * d]), arb_mat(N, d, vector[K * d : (K + N) * d]), b


def _parameters(state: PartialState) -> list[Balls]:
    """The directions of omega, eta and B, as balls: x is linear in these three."""
    K, m = state.K, state.m
    simplex = [[arb(int(k == j)) - arb(1) / m if k < m and j < m else arb(0) for j in range(m + 1)] for k in range(K)]
    away = [(arb(K - m) / (m * K)).sqrt() if k < m else -(arb(m) / ((K - m) * K)).sqrt() for k in range(K)]
    apart = [[away[k] if j == m else arb(0) for j in range(m + 1)] for k in range(K)]
    shift = [arb(K - m) / K if k < m else -arb(m) / K for k in range(K)]
    found = [[entry for row in rows for entry in row] * 2 for rows in (simplex, apart)]
    bias = [arb(0)] * K if state.decay_b is not None else []
    nothing = [arb(0)] * (2 * K * (m + 1))
    return [found[0] + bias, found[1] + bias, nothing + (shift if state.decay_b is not None else [])]


def _point(directions: list[Balls], coordinates: Balls) -> Balls:
    return [
        sum((c * entry for c, entry in zip(coordinates, entries, strict=True)), arb(0))
        for entries in zip(*directions, strict=True)
    ]


def _krawczyk(directions: list[Balls], at_point: BallModel, over_box: BallModel) -> float:
    """Radius of the image of the box under Krawczyk's operator for the gradient along the directions."""
    size = len(directions)
    jacobian = restricted(over_box, directions)
    middle = np.array([[float(jacobian[i, j].mid()) for j in range(size)] for i in range(size)])
    if not np.isfinite(middle).all() or np.linalg.matrix_rank(middle) < size:
        return math.inf
    inverse = arb_mat(np.linalg.inv(middle).tolist())
    residual = arb_mat(directions) * arb_mat(len(at_point.gradient), 1, at_point.gradient)
    rest = arb_mat(np.eye(size).tolist()) - inverse * jacobian
    image = (rest * arb_mat(size, 1, [arb(0, BOX)] * size) - inverse * residual).entries()
    if not all(abs(entry) < BOX for entry in image):
        return math.inf
    squares = sum((abs(entry).upper() ** 2 for entry in image), arb(0))
    return math.nextafter(float(squares.sqrt().upper()), math.inf)


def _fixed_basis(state: PartialState) -> list[list[int]]:
    """Indicators of the orbits of (W, H, b)'s entries under permutations of active classes 3.. and others 2.."""
    K, m = state.K, state.m
    kinds = [min(k, 2) if k < m else 3 + min(k - m, 1) for k in range(K)]
    columns = [*kinds[:m], 5]
    orbits: dict[tuple[int, int, bool], list[int]] = {}
    for k in range(K):
        for j in range(m + 1):
            key = kinds[k], columns[j], kinds[k] == columns[j] == 2 and k == j
            orbits.setdefault(key, []).append(k * (m + 1) + j)
    size, block = state.problem.size, K * (m + 1)
    groups = [[place + shift for place in orbit] for shift in (0, block) for orbit in orbits.values()]
    if state.decay_b is not None:
        groups += [[2 * block + k for k in range(K) if kinds[k] == kind] for kind in sorted(set(kinds))]
    return [[int(place in group) for place in range(size)] for group in map(set, groups)]


def _kernel(state: PartialState, model: BallModel, basis: list[list[int]]) -> tuple[int, bool]:
    """How many directions of the fixed subspace are rotations (or a free constant), and whether so many are proved."""
    m = state.m
    kinds = [*(min(j, 2) for j in range(m)), 5]
    pairs = sorted({(a, c) for a in kinds for c in kinds if a < c})
    first = [vector.index(1) for vector in basis]
    W, H = model.W, model.H
    rows = []
    for a, c in pairs:
        S = arb_mat(m + 1, m + 1, [int(p == a and q == c) - int(p == c and q == a) for p in kinds for q in kinds])
        flat = (W * S).entries() + (H * S).entries() + [arb(0)] * (state.K if state.decay_b is not None else 0)
        rows.append([flat[place] for place in first])
    if state.decay_b == 0:
        rows.append([arb(int(place >= 2 * state.K * (m + 1))) for place in first])
    generators = arb_mat(rows)
    middle = np.array([[float(entry.mid()) for entry in row] for row in rows])
    left, singular, right = np.linalg.svd(middle, full_matrices=False)
    keep = singular > 1e-6 * max(1.0, float(singular[0]))
    weights = (left[:, keep] / singular[keep]).T
    product = arb_mat(weights.tolist()) * generators * arb_mat(right[keep].T.tolist())
    return int(keep.sum()), is_dominated(product)


def _smallest(hessian: Matrix, basis: list[list[int]], kernel: int) -> float:
    """Smallest eigenvalue of the Hessian on the fixed subspace, those of the kernel (smallest in modulus) left out."""
    scale = np.array([math.sqrt(sum(vector)) for vector in basis])
    size = len(basis)
    middle = np.array([[float(hessian[i, j].mid()) for j in range(size)] for i in range(size)]) / np.outer(scale, scale)
    eigenvalues = np.linalg.eigvalsh(middle)
    return float(min(eigenvalues[np.argsort(np.abs(eigenvalues))[kernel:]]))
