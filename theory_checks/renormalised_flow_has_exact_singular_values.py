"""Gradient flow of the central path's loss at fixed Sigma_W = I (C = 4, n = 10, d = 7): each SNR singular value obeys
its own equation, to nine digits.

Theme: squared error

Source: Han, Papyan, Donoho 2021 (squared error, central path), dynamics of the signal-to-noise ratio

Evidence: numeric. The flow of the features X (d x N), projected onto the tangent space of {Sigma_W = I}, is integrated
(scipy DOP853, rtol 1e-12) and its singular values compared with the solution of (N/C)(C^2 log w + C w^2 + w^4/4) = t +
const, whose derivative is checked symbolically to be (N/C)(C + w^2)^2 / w. Four classes of ten features in 7
dimensions, times up to 2000. All grow, and their ratios tend to 1 (w ~ (4 C t / N)^(1/4)).

False twin: N (C log w + w^2/2), the law of a Euclidean step followed by X <- Sigma_W^(-1/2) X.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from theory_checks.symbols import is_zero
from theory_checks.verdict import DIGITS, Verdict, deviation, step

C, n, d = 4, 10, 7
N = n * C
Y = np.kron(np.eye(C) - 1 / C, np.ones((1, n)))
WITHIN = np.kron(np.eye(C), np.eye(n) - 1 / n)
TIMES = (20.0, 200.0, 2000.0)


def check() -> Verdict:
    """The law of the projected flow."""
    return _verdict(lambda w, log: N / C * (C**2 * log(w) + C * w**2 + w**4 / 4))


def refuted() -> Verdict:
    """The law of the other flow."""
    return _verdict(lambda w, log: N * (C * log(w) + w**2 / 2))


def _verdict(clock: Callable[..., Any]) -> Verdict:
    w = sympy.Symbol("w", positive=True)
    claimed = sympy.nsimplify(sympy.diff(clock(w, sympy.log), w)) - sympy.Rational(N, C) * (C + w**2) ** 2 / w
    X = _start()
    flow = solve_ivp(_flow, (0, TIMES[-1]), X.ravel(), method="DOP853", rtol=1e-12, atol=1e-13, t_eval=TIMES)
    before = _snr(X)
    worst = 0.0
    for time, x in zip(TIMES, flow.y.T, strict=True):
        found = _snr(x.reshape(d, N))
        for value, start in zip(found, before, strict=True):
            goal = clock(start, np.log) + time
            predicted = brentq(lambda w, goal=goal: clock(w, np.log) - goal, start, 1e3, xtol=1e-13)
            worst = max(worst, abs(value - predicted) / predicted)
    last = _snr(flow.y[:, -1].reshape(d, N))
    return Verdict.of(
        "numeric",
        [
            step("d clock/dw = (N/C)(C + w^2)^2 / w", is_zero(claimed)),
            # The integrator's tolerance, 1e-12 a step, over up to 10^3 steps.
            deviation("singular values against the law, relative", worst, 1e-9),
            step(
                f"largest over smallest: {before[0] / before[-1]:.3f} -> {last[0] / last[-1]:.3f}",
                last[0] / last[-1] < before[0] / before[-1],
            ),
        ],
        margin_is=DIGITS,
        sizes=f"C = {C}, n = {n}, d = {d}, t = {', '.join(f'{t:g}' for t in TIMES)}",
        starts=1,
    )


def _start() -> np.ndarray:
    """Centred features with Sigma_W = I."""
    X = np.random.default_rng(0).standard_normal((d, N)) + 2 * np.random.default_rng(1).standard_normal((d, C)) @ Y
    X -= X.mean(1, keepdims=True)
    return np.linalg.solve(np.linalg.cholesky(X @ WITHIN @ X.T / N), X)


def _snr(X: np.ndarray) -> np.ndarray:
    """The C - 1 singular values of the class means (Sigma_W = I)."""
    return np.linalg.svd(X @ Y.T / n, compute_uv=False)[: C - 1]


def _flow(_: float, x: np.ndarray) -> np.ndarray:
    """Minus the gradient of min_W |W X - Y|^2 / (2N), projected: directions S X WITHIN, S symmetric, are normal."""
    X = x.reshape(d, N)
    W = np.linalg.solve(X @ X.T, X @ Y.T).T
    gradient = W.T @ (W @ X - Y) / N
    inner = gradient @ WITHIN @ X.T
    return -(gradient - (inner + inner.T) / (2 * N) @ X @ WITHIN).ravel()
