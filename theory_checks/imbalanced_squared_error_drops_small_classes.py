"""Squared error without bias, d >= K, 300 random class sizes and decays: logits of class k are 1 - N s/sqrt(n_k), zero
iff n_k <= N^2 s^2.

Theme: imbalance

Source: Dang et al. 2023 (deep linear networks, balanced to imbalanced), one layer; s^2 = decay_W decay_H

Evidence: certificate. With singular values (sqrt(n_k) - N s)_+ the residual G = (Z - Y)/N has |G|_2 <= s, so it is a
dual point; its value -N |G|^2/2 - <G, Y> equals the primal one to rounding, at 300 random class sizes and decays.
Different classes stay orthogonal; their norms are not equal.

False twin: singular values shrunk by 0.99 N s, which drops a class only at n_k <= 0.98 N^2 s^2.
"""

import numpy as np

from theory_checks.verdict import DIGITS, Verdict, deviation


def check() -> Verdict:
    """Shrunk by N s."""
    return _verdict(1.0)


def refuted() -> Verdict:
    """Shrunk by a little less."""
    return _verdict(0.99)


def _verdict(factor: float) -> Verdict:
    random = np.random.default_rng(0)
    beyond, gap = 0.0, 0.0
    for _ in range(300):
        n = np.floor(10 ** random.uniform(0, 3, int(random.integers(2, 11))))
        N, root = n.sum(), np.sqrt(n)
        s = 10 ** random.uniform(-3, 0) * root.max() / N
        kept = np.maximum(root - factor * N * s, 0.0)
        residual = (kept - root) / N  # singular values of G
        primal = ((kept - root) ** 2).sum() / (2 * N) + s * kept.sum()
        dual = -(N * (residual**2).sum() / 2 + (residual * root).sum())
        beyond = max(beyond, np.abs(residual).max() / s - 1)
        gap = max(gap, abs(primal - dual) / primal)
    # Rounding, 1e-16, of differences of terms up to 1e3 times larger (three decades of decays).
    return Verdict.of(
        "certificate",
        [
            deviation("|G|_2 / s - 1, largest", beyond, 1e-12),
            deviation("primal less dual value, relative", gap, 1e-12),
        ],
        margin_is=DIGITS,
        sizes="K = 2..10, class sizes 1..1000, decays over three decades, d >= K",
        starts=300,
    )
