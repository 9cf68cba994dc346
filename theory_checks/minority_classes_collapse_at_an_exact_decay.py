"""Imbalanced cross entropy without bias, d >= K, three data sets: minority classes of n_B samples have one common
classifier at sqrt(decay_W decay_H) 2 % above sqrt(n_B)/N, and not at 10 % below.

Theme: imbalance

Source: Fang et al. 2021 (layer-peeled model), minority collapse; the exact threshold of the model with decays is
derived here

Evidence: certificate at two decays of each data set listed. Why sqrt(n_B)/N is the exact threshold, n_B <= N^2 decay_W
decay_H (an argument that no machine checks): let the minority classes coincide. On differences v of them the gradient
in the logits is G v = -(1/N) Y v, as the probabilities of v cancel, of norm sqrt(n_B)/N |v|; beyond s no such point is
optimal. The relaxation is convex and invariant under permutations of the minority classes, so the best coinciding point
is invariant; then G v is orthogonal to the rest of G, which its optimality bounds by s, so that |G|_2 <= s iff
sqrt(n_B)/N <= s. On both sides of s = sqrt(n_B)/N: a point with coinciding minority classes reaches the dual bound
above it; below it a dual point of the model restricted to such points lies above a free one's value.

False twin: the threshold n_B <= N^2 decay_W decay_H / 0.9.
"""

import numpy as np
from scipy.special import softmax

from theory_checks.verdict import DIGITS, Finding, Verdict, deviation, step

CASES = ((2, 6, 3, 2), (3, 5, 2, 1), (1, 12, 3, 2))
"""Majority classes, samples in each, minority classes, samples in each."""


def check() -> Verdict:
    """The threshold."""
    return _verdict(1.0)


def refuted() -> Verdict:
    """A tenth less."""
    return _verdict(0.9)


def _verdict(factor: float) -> Verdict:
    findings = [finding for case in CASES for finding in _case(*case, factor)]
    sizes = "; ".join(f"{A} x {n} + {B} x {m}" for A, n, B, m in CASES)
    return Verdict.of("certificate", findings, margin_is=DIGITS, sizes=f"classes x samples: {sizes}; no bias")


def _case(A: int, n_A: int, B: int, n_B: int, factor: float) -> list[Finding]:
    from theory_checks.softmax_relaxation import ALLOWED, bracket

    y = np.repeat(np.eye(A + B), [n_A] * A + [n_B] * B, axis=0)
    threshold = np.sqrt(factor * n_B) / len(y)
    name = f"{A} x {n_A} + {B} x {n_B}"
    above, below = 1.02 * threshold, 0.9 * threshold
    collapsed, free = bracket(y, above, free_bias=False), bracket(y, below, free_bias=False)
    gap = _tied(y, A, above)[1] - collapsed.lower
    loss = _tied(y, A, below)[0] - free.upper
    return [
        deviation(f"{name}: 2 % above, coinciding minorities less the dual bound", gap / collapsed.upper, ALLOWED),
        step(f"{name}: 10 % below, coinciding minorities cost {loss:.2g} more", loss > 100 * ALLOWED * free.upper),
    ]


def _tied(y: np.ndarray, majority: int, radius: float) -> tuple[float, float]:
    """Bounds of the least value when all minority classes have the same logits: of a dual point, and a point's own."""
    import cvxpy

    from theory_checks.softmax_relaxation import dual_value, solve, value

    N, K = y.shape
    reduced = cvxpy.Variable((N, majority + 1))
    spread = np.zeros((majority + 1, K))
    spread[range(majority), range(majority)] = 1
    spread[majority, majority:] = 1
    Z = reduced @ spread
    losses = cvxpy.sum(cvxpy.log_sum_exp(Z, axis=1)) - cvxpy.sum(cvxpy.multiply(y, Z))
    solve(cvxpy.Minimize(losses / N + radius * cvxpy.normNuc(Z)), [])
    found = reduced.value @ spread
    among = np.linalg.pinv(spread) @ spread
    return dual_value(y, softmax(found, axis=1), radius, among), value(y, radius, found, np.zeros(K))
