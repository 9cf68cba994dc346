"""The convex relaxation of softmax losses, solved from both sides, each side's feasibility checked by hand.

    min over Z, b of (1/N) sum_i [m_i log sum_j exp(z_ij + b_j) - <y_i, z_i + b>] + s |Z|_* ,   m_i = sum_j y_ij ,

bounds every model with these targets and s = sqrt(decay_W decay_H) from below, and is tight for d >= rank Z. Its dual:
max (1/N) sum_i m_i entropy(q_i / m_i) over q_i >= 0 with sum m_i such that G = (q - y)/N has |G|_2 <= s, and G'1 = 0
where the bias is free. One-hot rows y are cross entropy, smoothed ones label smoothing, indicators of label sets
pick-all-labels.
"""

import warnings
from dataclasses import dataclass

import cvxpy
import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import logsumexp, xlogy

SOLVER_TOLERANCE = 1e-8
"""Clarabel's default for gap and feasibility."""
ALLOWED = 10 * SOLVER_TOLERANCE
"""On the gap between two solved problems, relative to the objective."""


@dataclass(frozen=True)
class Bracket:
    """lower <= minimum <= upper, and the logits (without bias) that attain `upper`."""

    lower: float
    upper: float
    Z: Float[ndarray, "N K"]

    @property
    def gap(self) -> float:
        """Relative to the upper value."""
        return (self.upper - self.lower) / abs(self.upper)

    def misses(self, value: float) -> float:
        """Relative distance of a value from the bracket, 0 inside."""
        return max(self.lower - value, value - self.upper, 0.0) / abs(self.upper)


def bracket(y: Float[ndarray, "N K"], radius: float, *, free_bias: bool) -> Bracket:
    """Solve primal and dual, repair both to exact feasibility, and evaluate them anew."""
    Z, b = _primal(y, radius, free_bias=free_bias)
    return Bracket(_dual(y, radius, free_bias=free_bias), value(y, radius, Z, b), Z)


def value(y: Float[ndarray, "N K"], radius: float, Z: Float[ndarray, "N K"], b: Float[ndarray, " K"]) -> float:
    """The relaxed objective."""
    logits = Z + b
    losses = y.sum(1) * logsumexp(logits, axis=1) - (y * logits).sum(1)
    return float(losses.mean() + radius * np.linalg.svd(Z, compute_uv=False).sum())


def solve(objective: cvxpy.Minimize | cvxpy.Maximize, constraints: list[cvxpy.Constraint]) -> None:
    """Solve by Clarabel; its warning of low accuracy is not needed, since every point is evaluated anew."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate", category=UserWarning)
        cvxpy.Problem(objective, constraints).solve(solver="CLARABEL")


def _primal(y: ndarray, radius: float, *, free_bias: bool) -> tuple[ndarray, ndarray]:
    N, K = y.shape
    Z, b = cvxpy.Variable((N, K)), cvxpy.Variable(K)
    logits = Z + np.ones((N, 1)) @ cvxpy.reshape(b, (1, K), order="C")
    losses = cvxpy.multiply(y.sum(1), cvxpy.log_sum_exp(logits, axis=1)) - cvxpy.sum(cvxpy.multiply(y, logits), axis=1)
    fixed = [cvxpy.sum(b) == 0] if free_bias else [b == 0]
    solve(cvxpy.Minimize(cvxpy.sum(losses) / N + radius * cvxpy.normNuc(Z)), fixed)
    return Z.value, b.value


def _dual(y: ndarray, radius: float, *, free_bias: bool) -> float:
    """The dual value of a point made feasible: rows of q in the simplex, G'1 = 0, then G scaled into the ball."""
    N, K = y.shape
    q = cvxpy.Variable((N, K), nonneg=True)
    G = (q - y) / N
    constraints = [cvxpy.sum(q, axis=1) == y.sum(1), cvxpy.sigma_max(G) <= radius]
    if free_bias:
        constraints.append(cvxpy.sum(G, axis=0) == 0)
    solve(cvxpy.Maximize(cvxpy.sum(cvxpy.entr(q))), constraints)
    m = y.sum(1, keepdims=True)
    found = np.maximum(q.value, 0)
    found *= m / found.sum(1, keepdims=True)
    if free_bias:
        found = found - (found - y).mean(0)
    return dual_value(y, found, radius, np.eye(K))


def dual_value(
    y: Float[ndarray, "N K"], q: Float[ndarray, "N K"], radius: float, among: Float[ndarray, "K K"]
) -> float:
    """A lower bound of the relaxed objective among Z with Z `among` = Z, `among` a projector: only G `among` counts.

    A convex combination with y shrinks G and keeps the rows in the simplex.
    """
    N, m = len(y), y.sum(1, keepdims=True)
    found = y + min(1.0, radius / np.linalg.norm((q - y) @ among / N, 2)) * (q - y)
    if found.min() < 0:
        return -np.inf
    return float((xlogy(m, m) - xlogy(found, found).sum(1, keepdims=True)).sum() / N)
