"""Squared error: all critical points in closed form, for every K, n and d; nothing has to be searched.

The loss is k/2 |z - r e_y|^2, N = n K, P = 11'/N. What follows is an argument on paper that no machine checks, but for
the two inequalities at the end, which are decided in ball arithmetic.

1. The bias is a function of Z = W H: b = k / (k + decay_b) (r/K 1 - Z 1/N), so that G = (k/N) (Z - r Y) M with
   M = I - k / (k + decay_b) P (M = I without a bias). M has the eigenvalue mu = decay_b / (k + decay_b) along 1 (0 for
   a free bias), 1 across. Y = sqrt(n) sum_j q_j v_j' with q_1, v_1 along 1 and orthonormal pairs across.
2. Rotate feature space so that W'W is diagonal; H H' = (decay_W / decay_H) W'W is then, too. Column a of W, w, and
   row a of H, h, have the components xi_j, eta_j along q_j, v_j; omega = |w|^2, l_W = decay_W N / k,
   l_H = decay_H N / k, R = r sqrt(n), D_j = l_H + mu_j omega. First order in h: eta_j = R mu_j xi_j / D_j.
3. Two columns a, b: let x = xi_a1 xi_b1 and y the sum of xi_aj xi_bj over the others. Orthogonal columns: x + y = 0;
   orthogonal rows: x mu^2 / (D_a1 D_b1) + y / (D_a D_b) = 0. For mu < 1, mu^2 D_a D_b < D_a1 D_b1, so x = y = 0; then
   also h_a M h_b' = 0. For mu = 1 that is orthogonality itself.
4. First order in w, with 3: xi_j (l_W + h M h') = R^2 mu_j^2 xi_j / D_j. If a column had components along 1 and across,
   mu^2 (l_H + omega) = l_H + mu omega, which 0 <= mu < 1 forbids. So every column lies along 1 or across.
5. With |h|^2 = (l_W / l_H) omega, a column across has (l_H + omega)^2 = R^2 l_H / l_W: one omega > 0 if R^2 > l_W l_H,
   that is k r > K c, c = sqrt(n decay_W decay_H), else none. Along 1: (l_H + mu omega)^2 = R^2 mu^2 l_H / l_W, one
   omega > 0 if mu k r > K c, else none.
6. So critical points are the choices of m orthonormal directions across (or, without a bias, among all K), with or
   without the one along 1: each choice of numbers is one set, on which the symmetries of the model, rotations of
   feature space and of label space, act transitively. It is a continuum unless none or all are chosen.
"""

from typing import Any, cast

from flint import arb, ctx

from ufm.complete.reduction import PRECISION
from ufm.model.losses import SquaredError
from ufm.model.problem import Problem


def critical_sets(problem: Problem) -> list[tuple[int, int]] | None:
    """(rank, m) of every critical set; None where an inequality is too close to be decided."""
    loss, K, d = cast(SquaredError, problem.loss), problem.K, problem.d
    with ctx.workprec(PRECISION):
        weight = arb(1) if loss.convention == "half_norm" else arb(2) / K
        reach = weight * arb(float(loss.rescale))
        lost = K * (arb(problem.n) * arb(float(problem.decay_W)) * arb(float(problem.decay_H))).sqrt()
        across, along = _is_above(reach, lost), _is_above(0 * lost, lost)
        if problem.has_bias and not problem.has_free_bias:
            decay_b = arb(float(problem.decay_b or 0.0))
            along = _is_above(reach * decay_b / (weight + decay_b), lost)
    if across is None or along is None:
        return None
    directions = (K - problem.has_bias) * across
    found = [(m + one, m) for one in range(1 + along) for m in range(directions + 1)]
    return [(rank, m) for rank, m in found if rank <= d]


def _is_above(value: Any, threshold: Any) -> bool | None:
    return True if value > threshold else False if value < threshold else None
