"""Rigorous statements about a numerical critical point, in ball arithmetic: nothing here depends on rounding.

*Existence.* Rotations make critical points non-isolated, so their directions A at x0 (an orthonormal basis of the
tangent space of the symmetry orbit) are bordered off: F(x, mu) = (grad f(x) + A mu, A'(x - x0)). Krawczyk's operator
maps a box around (x0, 0) into its interior, so F has exactly one zero in the box (Krawczyk 1969; Moore, Kearfott and
Cloud 2009). There grad f = -A mu, and since f is invariant, T' grad f = 0 for the generators T of the symmetries; T'A
is proved invertible on the box, so mu = 0: a true critical point. The full gradient over the ball found is held against
0 besides (`ufm.proof.ball_model.is_stationary`).

*Index.* V'Hess V is proved negative definite for as many vectors as are claimed, and positive definite for the others
but those of the kernel that the symmetries force, all over the box (diagonal dominance; the vectors are approximate
eigenvectors). If the numbers add up to all variables, the index is exact.

The model is the one whose decays and loss parameters are exactly the doubles in `Problem`.
"""

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx
from jaxtyping import Float
from torch import Tensor

from ufm.model.model import Model
from ufm.model.problem import Problem
from ufm.proof.ball_losses import Balls
from ufm.proof.ball_model import NOT_STATIONARY, BallModel, Matrix, is_stationary
from ufm.tolerances import BOX, RANK_TOLERANCE

PRECISION = 128
"""The working precision in bits."""
NO_BALL = "the model has no form in ball arithmetic yet: existence and index of a critical point are numeric"
LEAVES_THE_BOX = "existence: Krawczyk's image leaves the box"


@dataclass(frozen=True)
class Enclosure:
    """The statements proved about a point.

    Attributes:
        is_proved: whether a true critical point lies within `radius` and has at least `index` negative eigenvalues.
        radius: proven bound on the Euclidean distance of the stored point to the true one (modulo the symmetries).
        index: negative eigenvalues claimed, in all d columns.
        is_index_exact: whether the index is proved to be exactly this.
        precision: bits of the balls' midpoints.
        reason: what could not be shown; empty when all was.
    """

    is_proved: bool
    radius: float
    index: int
    is_index_exact: bool
    precision: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The enclosure as plain values for a record."""
        return dict(vars(self))


@singledispatch
def enclose(
    model: Model, x: Float[Tensor, " P"], index_within: int, escapes: int, dim: int, precision: int = PRECISION
) -> Enclosure:
    """Prove a critical point of the stated index near `x`.

    Args:
        model: `Problem` with classes of one size and the columns of `x` (all of them used, or one if it is zero).
        x: numerical critical point, float64.
        index_within: negative eigenvalues claimed in those columns.
        escapes: negative eigenvalues claimed per further, empty column.
        dim: d, the number of all columns.
        precision: bits.

    Raises:
        NotImplementedError: for another model, or a loss without derivatives in ball arithmetic.
    """
    raise NotImplementedError(NO_BALL)


@enclose.register
def _of_problem(
    problem: Problem, x: Float[Tensor, " P"], index_within: int, escapes: int, dim: int, precision: int = PRECISION
) -> Enclosure:
    if not problem.is_balanced:
        raise NotImplementedError(NO_BALL)
    with ctx.workprec(precision):
        index = index_within + (dim - problem.d) * escapes
        directions, weights = _tangent(problem, x)
        box = [arb(value, BOX) for value in x.tolist()]
        model = BallModel(problem, box)
        radius = _krawczyk(problem, x, directions, model)
        if not radius < BOX:
            return Enclosure(False, radius, index, False, precision, LEAVES_THE_BOX)
        if not _is_transversal(problem, box, directions, weights):
            return Enclosure(False, radius, index, False, precision, "existence: the symmetries' directions degenerate")
        ball = [arb(value, radius) for value in x.tolist()]
        if not is_stationary(ball, BallModel(problem, ball).gradient):
            return Enclosure(False, radius, index, False, precision, NOT_STATIONARY)
        within = inertia(model.hessian, index_within, directions.shape[1])
        rank = 0 if not x[: problem.K * problem.d].any() else problem.d
        beyond = inertia(model.empty_column, escapes, rank) if dim > problem.d else (True, True)
        if not (within[0] and beyond[0]):
            return Enclosure(False, radius, index, False, precision, f"index: not {index} negative eigenvalues")
        is_exact = within[1] and beyond[1] and (dim == problem.d or _has_rank(model, rank))
        return Enclosure(True, radius, index, is_exact, precision, "" if is_exact else "index is a lower bound")


def _krawczyk(problem: Problem, x: Tensor, directions: np.ndarray, over_box: BallModel) -> float:
    """Euclidean radius of the image of the box under Krawczyk's operator; infinite where it leaves the box."""
    P, q = directions.shape
    size = P + q
    jacobian = _bordered(over_box.hessian, directions)
    middle = np.array([[float(jacobian[i, j].mid()) for j in range(size)] for i in range(size)])
    try:
        inverse = arb_mat(np.linalg.inv(middle).tolist())
    except np.linalg.LinAlgError:
        return math.inf
    at_point = BallModel(problem, [arb(value) for value in x.tolist()])
    residual = arb_mat(size, 1, at_point.gradient + [arb(0)] * q)
    rest = arb_mat(np.eye(size).tolist()) - inverse * jacobian
    image = (rest * arb_mat(size, 1, [arb(0, BOX)] * size) - inverse * residual).entries()
    if not all(abs(entry) < BOX for entry in image):
        return math.inf
    squares = sum((abs(entry).upper() ** 2 for entry in image[:P]), arb(0))
    return math.nextafter(float(squares.sqrt().upper()), math.inf)


def _bordered(hessian: Matrix, directions: np.ndarray) -> Matrix:
    P, q = directions.shape
    matrix = arb_mat(P + q, P + q)
    for i in range(P):
        for j in range(P):
            matrix[i, j] = hessian[i, j]
        for j in range(q):
            matrix[i, P + j] = matrix[P + j, i] = arb(float(directions[i, j]))
    return matrix


def _generators(problem: Problem, x: Any, zero: Any) -> list[list[Any]]:
    """Tangent vectors of the symmetries at x: rotations of columns; a free constant; for squared error, of labels.

    Works on lists of floats and of balls alike.
    """
    K, d, N, n = problem.K, problem.d, problem.N, problem.n
    rows = [x[i * d : (i + 1) * d] for i in range(K + N)]
    b = x[(K + N) * d :]
    found = []
    for a in range(d):
        for c in range(a):
            vector = [zero] * problem.size
            for i, row in enumerate(rows):
                vector[i * d + a], vector[i * d + c] = row[c], -row[a]
            found.append(vector)
    if not problem.rotates_labels:
        is_free = problem.has_free_bias and problem.is_shift_invariant
        return found + ([[zero] * ((K + N) * d) + [zero + 1] * K] if is_free else [])
    for k in range(K):
        for j in range(k):
            # S = u v' - v u' with u = e_k, v = e_j; with a bias S must annihilate 1: both less e_0, and j, k > 0.
            if problem.has_bias and j == 0:
                continue
            found.append(_label_rotation(problem, rows, b, _skew(K, k, j, centred=problem.has_bias), zero, n))
    return found


def _skew(K: int, k: int, j: int, *, centred: bool) -> list[list[int]]:
    """u v' - v u' with u = e_k, v = e_j, less e_0 if `centred`."""
    u, v = ([int(i == m) - int(centred and i == 0) for i in range(K)] for m in (k, j))
    return [[u[a] * v[c] - v[a] * u[c] for c in range(K)] for a in range(K)]


def _label_rotation(problem: Problem, rows: Any, b: Any, S: list[list[int]], zero: Any, n: int) -> list[Any]:
    """(S W, (S (x) I_n) H, S b)."""
    K, d = problem.K, problem.d
    W, H = rows[:K], rows[K:]
    vector = [sum((S[k][j] * W[j][a] for j in range(K)), zero) for k in range(K) for a in range(d)]
    vector += [
        sum((S[k][j] * H[j * n + i][a] for j in range(K)), zero) for k in range(K) for i in range(n) for a in range(d)
    ]
    return vector + ([sum((S[k][j] * b[j] for j in range(K)), zero) for k in range(K)] if problem.has_bias else [])


def _tangent(problem: Problem, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal directions of the symmetries at x, and the weights of the generators that make them."""
    generators = np.array(_generators(problem, x.tolist(), 0.0)).reshape(-1, problem.size).T
    if not generators.shape[1]:
        return np.zeros((problem.size, 0)), np.zeros((0, 0))
    left, singular, right = np.linalg.svd(generators, full_matrices=False)
    keep = singular > RANK_TOLERANCE * max(1.0, float(singular[0]))
    return left[:, keep], right[keep].T / singular[keep]


def _is_transversal(problem: Problem, box: Balls, directions: np.ndarray, weights: np.ndarray) -> bool:
    """Whether (T weights)'A is invertible all over the box; it is the identity at x0."""
    if not directions.shape[1]:
        return True
    generators = arb_mat(_generators(problem, box, arb(0)))
    product = arb_mat(weights.T.tolist()) * generators * arb_mat(directions.tolist())
    return is_dominated(product)


def inertia(hessian: Matrix, negative: int, kernel: int) -> tuple[bool, bool]:
    """Whether there are `negative` negative eigenvalues, and whether all others but `kernel` are positive."""
    size = hessian.nrows()
    middle = np.array([[float(hessian[i, j].mid()) for j in range(size)] for i in range(size)])
    values, vectors = np.linalg.eigh((middle + middle.T) / 2)
    below = vectors[:, :negative]
    is_negative = _is_definite(hessian, below, -1)
    order = np.argsort(values)[negative + kernel :]
    return is_negative, _is_definite(hessian, vectors[:, order], 1)


def _is_definite(hessian: Matrix, vectors: np.ndarray, sign: int) -> bool:
    """Whether sign * V' Hess V is positive definite (which makes the columns of V independent)."""
    if not vectors.shape[1]:
        return True
    V = arb_mat(vectors.tolist())
    return is_dominated(V.transpose() * hessian * V * arb(sign))


def is_dominated(matrix: Matrix) -> bool:
    """Whether every diagonal entry exceeds the sum of the moduli of its row's others (Gershgorin)."""
    rows = matrix.tolist()
    return all(
        row[i] > sum((abs(entry) for j, entry in enumerate(row) if j != i), arb(0)) for i, row in enumerate(rows)
    )


def _has_rank(model: BallModel, rank: int) -> bool:
    """Whether the columns of W, and so of (W, H), are independent all over the box."""
    return rank == 0 or is_dominated(model.W.transpose() * model.W)
