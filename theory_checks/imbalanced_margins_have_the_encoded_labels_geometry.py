"""Any class sizes: the least |Z|_* with all margins >= 1 is that of Z = Y - 1/K, simplex-encoded labels (SELI).

Theme: imbalance

Source: Thrampoulidis et al. 2022 (imbalance trouble), simplex-encoded-labels interpolation (any imbalance)

Evidence: symbolic, derived here, for every K. With Z = U S V' the dual point is B = U V'; its rows sum to zero, and
what is left to show is that the multipliers -B_ij of the margins j != y_i are positive: then |Z|_* = <B, Z> is the sum
of the multipliers, the dual value. Per class, B's rows are those of (P D P)^(-1/2) on the complement of 1, P = I -
11'/K, D = diag(n_k), the integral over t > 0 of (P M P)^+ / (pi sqrt t), M = D + t I. And (P M P)^+ = 1/M - (1/M) 11'
(1/M) / 1'(1/M)1, whose entries off the diagonal are negative. Cross-check of feasibility, signs and value at 300 random
class sizes between 1 and 10000.

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
        [_integral(), *_inverse(centred), *_random_sizes(centred)],
        sizes="all K >= 2, all class sizes; cross-check K = 3..10, class sizes 1..10000",
        starts=300,
    )


def _integral() -> Finding:
    t, a = sympy.symbols("t a", positive=True)
    primitive = 2 * sympy.atan(sympy.sqrt(t / a)) / (sympy.pi * sympy.sqrt(a))
    is_primitive = is_zero(sympy.diff(primitive, t) - 1 / (sympy.pi * sympy.sqrt(t) * (a + t)))
    ends = sympy.limit(primitive, t, sympy.oo) - sympy.limit(primitive, t, 0, "+")
    return step("1/sqrt(a) is the integral of t^(-1/2)/(a + t)/pi", is_primitive and is_zero(ends - 1 / sympy.sqrt(a)))


def _inverse(centred: int) -> list[Finding]:
    """Entries of R = (P M P)^+ for classes j and k; `rest` is the sum of 1/m over the other classes."""
    m_j, m_k = sympy.symbols("m_j m_k", positive=True)
    rest = sympy.Symbol("rest", nonnegative=True)
    total = 1 / m_j + 1 / m_k + rest

    def beside(m: sympy.Expr, other: sympy.Expr) -> sympy.Expr:
        return -centred / (m * other * total)

    on = 1 / m_j - centred / (m_j**2 * total)
    row = on + beside(m_j, m_k) - centred * rest / (m_j * total)
    # Column j of M R - I, which P must remove: m_j R_jj - 1 in row j and m_k R_kj in any other row k.
    own, other = m_j * on - 1, m_k * beside(m_k, m_j)
    return [
        step("R vanishes on 1 (rows of B sum to zero)", is_zero(row)),
        step("P M R = P: the columns of M R - I are constant", is_zero(own - other)),
        step("minus R's entries off the diagonal are positive", is_positive(-beside(m_j, m_k))),
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
