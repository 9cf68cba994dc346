"""Two-layer ReLU net (two neurons or more, scalar output) on rank-one data X = c a', |a| = 1, 200 random data sets: the
optimum is that of two one-variable lassos, for c > 0 and c < 0.

Theme: more layers

Source: Ergen and Pilanci 2021 (convex duality), rank-one data and scalar output

Evidence: certificate at 200 random data sets. The closed form theta = sign(c.y)(|c.y| - beta)_+ / |c|^2 for the
positive and the negative part of c is a network (one neuron each, balanced norms). The residual v is a dual point:
relu(X u) is a multiple of one of the parts, so |v' relu(X u)| <= max |v.c_+|, |v.c_-| <= beta for all |u| <= 1; its
value equals the network's to rounding.

False twin: one lasso on the whole of c.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from theory_checks.verdict import DIGITS, Verdict, deviation

ROUNDING = 1e-12


def check() -> Verdict:
    """Two parts."""
    return _verdict(lambda c: (np.maximum(c, 0), np.maximum(-c, 0)))


def refuted() -> Verdict:
    """One part."""
    return _verdict(lambda c: (c, np.zeros_like(c)))


def _verdict(parts: Callable[..., Any]) -> Verdict:
    random = np.random.default_rng(0)
    beyond, gap = 0.0, 0.0
    for _ in range(200):
        N, beta = int(random.integers(3, 12)), random.uniform(0.05, 1.0)
        c, y = random.standard_normal(N), random.standard_normal(N)
        thetas = [_lasso(part, y, beta) for part in parts(c)]
        # Neuron t: hidden weight +-a sqrt|theta|, outgoing weight of the same size.
        signs = (1.0, -1.0)
        hidden = [np.maximum(sign * c * np.sqrt(abs(theta)), 0) for sign, theta in zip(signs, thetas, strict=True)]
        out = [np.sign(theta) * np.sqrt(abs(theta)) for theta in thetas]
        residual = y - sum(h * w for h, w in zip(hidden, out, strict=True))
        primal = residual @ residual / 2 + beta * sum(map(abs, thetas))
        dual = residual @ y - residual @ residual / 2
        largest = max(abs(residual @ np.maximum(c, 0)), abs(residual @ np.maximum(-c, 0)))
        beyond = max(beyond, largest / beta - 1)
        gap = max(gap, abs(primal - dual))
    return Verdict.of(
        "certificate",
        [
            deviation("max over |u| <= 1 of |v' relu(X u)| / beta - 1", beyond, ROUNDING),
            deviation("network's value less the dual value", gap, ROUNDING),
        ],
        margin_is=DIGITS,
        sizes="N = 3..11 samples, beta in [0.05, 1]",
        starts=200,
    )


def _lasso(part: np.ndarray, y: np.ndarray, beta: float) -> float:
    product = part @ y
    return float(np.sign(product) * max(abs(product) - beta, 0) / max(part @ part, 1e-300))
