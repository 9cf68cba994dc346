"""Two-layer ReLU net on whitened data, four choices of class sizes: prediction Y diag((1 - beta/sqrt(n_k))_+), one
neuron per class.

Theme: more layers

Source: Ergen and Pilanci 2021 (convex duality), whitened data and vector output; collapse as a corollary

Evidence: certificate. For X X' = I the hidden layer A = relu(X U) can be any A >= 0 with |U| >= |A|, so |relu(X U) V -
Y|^2/2 + beta/2 (|U|^2 + |V|^2) >= min |Z - Y|^2/2 + beta |Z|_*, whose residual G has |G|_2 <= beta: a dual point. The
network built from U = X' A attains its value, sum_k [min(sqrt n_k, beta)^2/2 + beta (sqrt n_k - beta)_+]. Its features
of different classes are orthogonal; for equal class sizes the centred class means are a simplex.

False twin: prediction Y diag((1 - beta/n_k)_+).
"""

import numpy as np

from theory_checks.verdict import DIGITS, Verdict, deviation

CASES = (((3, 3, 3), 0.5), ((4, 2, 1), 1.2), ((2, 2, 2, 2), 0.3), ((9, 5, 4, 1, 1), 0.9))
"""Class sizes, beta."""
ROUNDING = 1e-13
"""Sums of at most 100 products of order one."""


def check() -> Verdict:
    """Shrunk by beta / sqrt(n_k)."""
    return _verdict(0.5)


def refuted() -> Verdict:
    """Shrunk by beta / n_k."""
    return _verdict(1.0)


def _verdict(power: float) -> Verdict:
    gaps, norms, simplex = [], [], []
    random = np.random.default_rng(0)
    for counts, beta in CASES:
        n = np.array(counts, dtype=float)
        N = int(n.sum())
        X = np.linalg.qr(random.standard_normal((N + 2, N)))[0].T  # whitened, N samples in N + 2 dimensions
        Y = np.repeat(np.eye(len(n)), counts, axis=0)
        size = np.maximum(1 - beta / n**power, 0)  # of the prediction
        A = Y * np.sqrt(size) / n**0.25  # columns of norm (size sqrt n)^(1/2), as those of V
        U, V = X.T @ A, np.diag(np.sqrt(size) * n**0.25)
        value = np.sum((np.maximum(X @ U, 0) @ V - Y) ** 2) / 2 + beta / 2 * (np.sum(U**2) + np.sum(V**2))
        G = Y * (size - 1)
        norms.append(max(0.0, float(np.linalg.norm(G, 2)) / beta - 1))
        gaps.append(abs(value + np.sum(G**2) / 2 + np.sum(G * Y)))
        if len(set(counts)) == 1:
            means = A[:: counts[0]]
            gram = (means - means.mean(0)) @ (means - means.mean(0)).T
            simplex.append(np.abs(gram / gram[0, 0] - (np.eye(len(n)) - 1 / len(n)) / (1 - 1 / len(n))).max())
    return Verdict.of(
        "certificate",
        [
            deviation("network's value less the dual value", float(max(gaps)), ROUNDING),
            deviation("|G|_2 / beta - 1, largest", max(norms), ROUNDING),
            deviation("equal sizes: centred class means against a simplex", float(max(simplex)), ROUNDING),
        ],
        margin_is=DIGITS,
        sizes="; ".join(f"n_k = {counts}, beta = {beta}" for counts, beta in CASES),
    )
