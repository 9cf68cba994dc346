"""Proofs in ball arithmetic that a partial state of focal loss is a local minimiser, for any number of classes.

*Existence.* Krawczyk's operator on all points with the state's symmetries (`ufm.theory.focal_window`): there a zero of
the gradient along that subspace is one of the full gradient. The full model's gradient over the ball found is held
against 0 besides (`ufm.proof.ball_model.is_stationary`), so that a subspace which no symmetry fixes proves nothing. The
model is the one whose gamma and decays are exactly the doubles given, at n = 1 and equal decays of W and H; unequal
ones with the same c follow by scaling W and H.

*Minimum.* The state is fixed by the permutations of its m active and of its K - m other classes (with the rotations
that they induce), so the Hessian commutes with them, and each irreducible representation contributes one small block,
repeated.
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

from ufm.model.losses import Focal
from ufm.model.problem import Problem
from ufm.proof.ball_losses import Balls
from ufm.proof.ball_model import NOT_STATIONARY, BallModel, Matrix, is_stationary
from ufm.proof.enclosure import LEAVES_THE_BOX, PRECISION, inertia, is_dominated
from ufm.theory.focal_window import States, TwoLevels
from ufm.tolerances import BOX, RANK_TOLERANCE

NEGATIVE = "critical, with a negative eigenvalue (numeric)"
UNDECIDED = "critical, its curvature not shown to be positive"


@dataclass(frozen=True)
class PartialState:
    """m of K classes on a simplex (n = 1, decay_W = decay_H = c).

    Attributes:
        K, gamma, c, decay_b: the model.
        m: active classes; K for the ETF.
        omega, eta, bias, angle: as in `ufm.theory.focal_window`, numerical.
    """

    K: int
    gamma: float
    c: float
    decay_b: float | None
    m: int
    omega: float
    eta: float
    bias: float
    angle: float = 0.0

    @property
    def problem(self) -> Problem:
        """The model with m + 1 columns: m hold the simplex (one of them empty), one what tells the others apart."""
        return Problem(Focal(self.gamma), self.K, self.m + 1, 1, self.c, self.c, self.decay_b)

    @property
    def point(self) -> Balls:
        """(W, H, b) of the numbers stored, each entry within the working precision."""
        return _point(_parameters(self), [arb(self.omega), arb(self.eta), arb(self.bias)])


def state_found(levels: TwoLevels, states: States, m: int, kind: int, place: int = 0) -> PartialState | None:
    """The state of m active classes and one of `KINDS` at a strength as the search has left it, None if it has none."""
    parts = (states.omega, states.eta, states.bias, states.angle)
    coordinates = [float(part[m - 1, kind, place]) for part in parts]
    c, gamma = float(states.strengths[place]), float(levels.loss.gamma)
    return None if math.isnan(coordinates[0]) else PartialState(levels.K, gamma, c, levels.decay_b, m, *coordinates)


@dataclass(frozen=True)
class MinimumProof:
    """The statements proved about a partial state.

    Attributes:
        is_critical: a true critical point of the full model, with this symmetry, lies within `radius`.
        is_minimum: the Hessian there is positive definite up to rotations (and a free constant of the bias).
        radius: Euclidean distance in the coordinates of the fixed subspace (`_fixed_directions`), infinite if none.
        value: enclosure of the objective, in decimal.
        value_low, value_high: its bounds.
        smallest_eigenvalue: smallest eigenvalue that is no rotation's (numeric).
        precision: bits.
        reason: what could not be shown; empty for a minimum.
    """

    is_critical: bool
    is_minimum: bool
    radius: float
    value: str
    value_low: float
    value_high: float
    smallest_eigenvalue: float
    precision: int
    reason: str


def prove_minimum(state: PartialState, negative: int = 0, precision: int = PRECISION) -> MinimumProof:
    """Prove that the state is critical and, but for `negative` directions of the fixed subspace, a minimum."""
    with ctx.workprec(precision):
        centre, directions = state.point, _fixed_directions(state)
        over_box = BallModel(state.problem, _around(centre, directions, BOX))
        radius = _krawczyk(directions, BallModel(state.problem, centre), over_box)
        ball = _around(centre, directions, min(radius, 1.0))
        tight = BallModel(state.problem, ball)
        basis = _fixed_basis(state)
        hessian = restricted(over_box, basis)
        kernel, is_kernel = _kernel(state, over_box, basis)
        smallest = _smallest(hessian, basis, kernel)
        reason = _refusal(radius, ball, tight)
        is_critical = not reason
        if is_critical and not (is_kernel and all(inertia(hessian, negative, kernel)) and negative == 0):
            reason = NEGATIVE if smallest < 0 else UNDECIDED
        return MinimumProof(
            is_critical=is_critical,
            is_minimum=not reason,
            radius=radius,
            value=tight.value.str(18),
            value_low=math.nextafter(float(tight.value.lower()), -math.inf),
            value_high=math.nextafter(float(tight.value.upper()), math.inf),
            smallest_eigenvalue=smallest,
            precision=precision,
            reason=reason,
        )


def _refusal(radius: float, ball: Balls, tight: BallModel) -> str:
    """Why there is no true critical point of the full model in the ball, or nothing."""
    if not radius < BOX:
        return LEAVES_THE_BOX
    return "" if is_stationary(ball, tight.gradient) else NOT_STATIONARY


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


def _columns(state: PartialState, simplex: int, common: Balls) -> Balls:
    """K rows: `simplex` times I - 11'/m on the m classes, then a column of `common`."""
    K, m = state.K, state.m
    rows = [[simplex * (arb(int(k == j)) - arb(1) / m) if k < m else arb(0) for j in range(m)] for k in range(K)]
    return [entry for row, last in zip(rows, common, strict=True) for entry in [*row, last]]


def _patterns(state: PartialState) -> tuple[Balls, Balls, Balls]:
    """v, u and s of `ufm.theory.focal_window`; v and s are zero where no class is left over."""
    K, m = state.K, state.m
    v = [(arb(K - m) / (m * K)).sqrt() if k < m else -(arb(m) / ((K - m) * K)).sqrt() for k in range(K)]
    return v, [1 / arb(K).sqrt()] * K, [arb(K - m) / K if k < m else -arb(m) / K for k in range(K)]


def _parameters(state: PartialState) -> list[Balls]:
    """The directions of omega, eta (at the state's angle) and B in (W, H, b), in which a state is linear."""
    v, u, s = _patterns(state)
    cos, sin = arb(state.angle).cos(), arb(state.angle).sin()
    nothing, bias = [arb(0)] * state.K, [arb(0)] * (state.K * (state.decay_b is not None))
    simplex = _columns(state, 1, nothing) * 2 + bias
    apart = _columns(state, 0, v) + _columns(state, 0, [cos * x + sin * y for x, y in zip(v, u, strict=True)]) + bias
    return [simplex, apart, _columns(state, 0, nothing) * 2 + (s if bias else [])]


def _fixed_directions(state: PartialState) -> list[Balls]:
    """A basis of the points with the state's symmetry: every direction along which it may be no critical point.

    The simplex of W and H together and against each other; the column that tells the others apart, in W and H together,
    against each other and, where the angle turns, in H alone; and the bias.
    """
    v, u, _ = _patterns(state)
    half = state.K * (state.m + 1)
    simplex, apart, bias = _parameters(state)
    found = []
    for direction, is_there in ((simplex, state.omega != 0), (apart, state.eta != 0)):
        opposed = direction[:half] + [-entry for entry in direction[half : 2 * half]] + direction[2 * half :]
        found += [direction, opposed] if is_there else []
    if state.eta != 0:
        cos, sin = arb(state.angle).cos(), arb(state.angle).sin()
        turned = _columns(state, 0, [cos * y - sin * x for x, y in zip(v, u, strict=True)])
        found.append([arb(0)] * half + turned + [arb(0)] * (len(bias) - 2 * half))
    return [*found, bias] if state.decay_b is not None and state.m < state.K else found


def _point(directions: list[Balls], coordinates: Balls) -> Balls:
    """The directions' sum with these weights."""
    return [
        sum((c * entry for c, entry in zip(coordinates, entries, strict=True)), arb(0))
        for entries in zip(*directions, strict=True)
    ]


def _around(centre: Balls, directions: list[Balls], radius: float) -> Balls:
    """The box of all points whose coordinates along the directions differ from the centre's by at most `radius`."""
    box = _point(directions, [arb(0, radius)] * len(directions))
    return [middle + width for middle, width in zip(centre, box, strict=True)]


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
    keep = singular > RANK_TOLERANCE * max(1.0, float(singular[0]))
    weights = (left[:, keep] / singular[keep]).T
    product = arb_mat(weights.tolist()) * generators * arb_mat(right[keep].T.tolist())
    return int(keep.sum()), is_dominated(product)


def _smallest(hessian: Matrix, basis: list[list[int]], kernel: int) -> float:
    """Smallest eigenvalue of the Hessian on the fixed subspace, those of the kernel (smallest in modulus) left out.

    nan where the box is so wide that the Hessian has no bounds.
    """
    scale = np.array([math.sqrt(sum(vector)) for vector in basis])
    size = len(basis)
    middle = np.array([[float(hessian[i, j].mid()) for j in range(size)] for i in range(size)]) / np.outer(scale, scale)
    if not np.isfinite(middle).all():
        return math.nan
    eigenvalues = np.linalg.eigvalsh(middle)
    return float(min(eigenvalues[np.argsort(np.abs(eigenvalues))[kernel:]]))
