"""Any class sizes: the least |Z|_* with all margins >= 1 is that of Z = Y - 1/K (SELI), whose geometry is not a
simplex.

Source: Thrampoulidis et al. 2022 (imbalance trouble), simplex-encoded-labels interpolation

Evidence: certificate, at 300 random class sizes between 1 and 10000. A dual point is B = U V' of the singular value
decomposition Z = U S V': |B|_2 = 1, rows with sum zero, and multipliers -B_ij of the margins j != y_i, which must be >=
0; then <B, Z> = |Z|_* is the dual value. All this is checked on one row per class (rows of a class are equal).

False twin: Z = Y (an orthogonal frame's logits).
"""

import numpy as np

from theory_checks.verdict import Verdict, cross_check, positive, step


def check() -> Verdict:
    """Y - 1/K."""
    return _verdict(1.0)


def refuted() -> Verdict:
    """Y."""
    return _verdict(0.0)


def _verdict(centred: float) -> Verdict:
    random = np.random.default_rng(0)
    norm, row_sums, multipliers, gap = 0.0, 0.0, np.inf, 0.0
    is_simplex = []
    for _ in range(300):
        K = int(random.integers(3, 11))
        root = np.sqrt(np.floor(10 ** random.uniform(0, 4, K)))
        Z = np.eye(K) - centred / K
        rank = int(K - centred)
        U, s, Vt = np.linalg.svd(root[:, None] * Z)
        B = U[:, :rank] @ Vt[:rank] / root[:, None]  # a row per class
        norm = max(norm, abs(float(np.linalg.norm(root[:, None] * B, 2)) - 1))
        row_sums = max(row_sums, np.abs(B.sum(1)).max())
        # Relative to the largest entry of the class's row; positive: the constraint is active, as it is at Z.
        multipliers = min(multipliers, float((-B + 2 * np.eye(K) * B.max()).min(1).min() / np.abs(B).max()))
        total = ((root**2)[:, None] * B * Z).sum()
        gap = max(gap, abs(total / s[:rank].sum() - 1))
        gram = Vt[:rank].T @ (s[:rank, None] * Vt[:rank])
        simplex = np.eye(K) - 1 / K
        is_simplex.append(np.abs(gram / np.linalg.norm(gram) - simplex / np.linalg.norm(simplex)).max() < 1e-6)
    rounding = 1e-10  # 2e-16 times the largest ratio of singular values, 1e2, and of weights, 1e2, with room
    return Verdict.of(
        "certificate",
        [
            cross_check("| |B|_2 - 1 |", norm, rounding),
            cross_check("row sums of B", row_sums, rounding),
            positive("multipliers of the margins, least over largest entry", float(multipliers)),
            cross_check("dual value against |Z|_*, relative", gap, rounding),
            step(f"W W' is a simplex in {sum(is_simplex)} of 300 cases", sum(is_simplex) == 0),
        ],
        margin_is="smallest multiplier over the largest entry of the dual point",
        sizes="K = 3..10, class sizes 1..10000",
        starts=300,
    )
