"""Any class sizes: the least |Z|_* with all margins >= 1 is that of Z = Y - 1/K, simplex-encoded labels (SELI).

Source: Thrampoulidis et al. 2022 (imbalance trouble), simplex-encoded-labels interpolation

Evidence: symbolic, derived here. With Z = U S V' the dual point is B = U V'; its rows sum to zero, and what is left to
show is that the multipliers -B_ij of the margins j != y_i are positive. Per class, B's rows are those of (P D P)^(-1/2)
on the complement of 1, P = I - 11'/K, D = diag(n_k), the integral over t > 0 of (P M P)^+ / (pi sqrt t), M = D + t I.
And (P M P)^+ = 1/M - (1/M) 11' (1/M) / 1'(1/M)1 (checked for all M at K = 3, 4), whose entries off the diagonal are
negative. Numeric cross-check of feasibility, signs and value at 300 random class sizes between 1 and 10000.

False twin: Z = Y (an orthogonal frame's logits), where the inverse is diagonal and the multipliers vanish.
"""

import numpy as np
import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step


def check() -> Verdict:
    """Y - 1/K."""
    return _verdict(centred=1)


def refuted() -> Verdict:
    """Y."""
    return _verdict(centred=0)


def _verdict(*, centred: int) -> Verdict:
    return Verdict.of(
        "symbolic",
        [*(finding for K in (3, 4) for finding in _inverse(K, centred)), *_random_sizes(centred)],
        sizes="all class sizes (the inverse: K = 3, 4); cross-check K = 3..10, class sizes 1..10000",
        starts=300,
    )


def _inverse(K: int, centred: int) -> list[Finding]:
    m = sympy.symbols(f"m:{K}", positive=True)
    M, ones = sympy.diag(*m), sympy.ones(K, 1)
    P = sympy.eye(K) - centred * ones * ones.T / K
    total = sum(1 / entry for entry in m)
    inverse = M.inv() - centred * M.inv() * ones * ones.T * M.inv() / total
    defect = (P * M * P * inverse - P).applyfunc(sympy.simplify)
    off = [-inverse[i, j] for i in range(K) for j in range(K) if i != j]
    return [
        step(f"K = {K}: P M P times the claimed inverse is P", defect.is_zero_matrix),
        step(f"K = {K}: the inverse vanishes on 1 (rows of B sum to zero)", all(map(is_zero, inverse * ones))),
        step(f"K = {K}: minus its entries off the diagonal are positive", all(map(is_positive, off))),
    ]


def _random_sizes(centred: int) -> list[Finding]:
    """The dual point from a singular value decomposition, one row per class (rows of a class are equal)."""
    random = np.random.default_rng(0)
    norm, row_sums, gap, least = 0.0, 0.0, 0.0, np.inf
    for _ in range(300):
        K = int(random.integers(3, 11))
        root = np.sqrt(np.floor(10 ** random.uniform(0, 4, K)))
        Z = np.eye(K) - centred / K
        rank = K - centred
        U, s, Vt = np.linalg.svd(root[:, None] * Z)
        B = U[:, :rank] @ Vt[:rank] / root[:, None]
        norm = max(norm, abs(float(np.linalg.norm(root[:, None] * B, 2)) - 1))
        row_sums = max(row_sums, float(np.abs(B.sum(1)).max()))
        least = min(least, float(-B[~np.eye(K, dtype=bool)].max() / np.abs(B).max()))
        gap = max(gap, float(abs(((root**2)[:, None] * B * Z).sum() / s[:rank].sum() - 1)))
    # Rounding, 1e-16, times the largest ratio of singular values, 1e2, and of weights, 1e2, with room.
    rounding = 1e-10
    return [
        cross_check("random sizes: | |B|_2 - 1 |", norm, rounding),
        cross_check("random sizes: row sums of B", row_sums, rounding),
        step(f"random sizes: least multiplier over the largest entry {least:.2g} > 0", least > 0),
        cross_check("random sizes: dual value against |Z|_*, relative", gap, rounding),
    ]
