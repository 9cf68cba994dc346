"""Unit features and unit classifier rows, equal class sizes, d >= K - 1: CE with temperature is least at the simplex,
log(1 + (K-1) e^(-tau K/(K-1))).

Theme: spheres and codes

Source: Yaras et al. 2022 (normalised features), global minimisers

Evidence: symbolic, derived here, for every tau > 0 and d >= K - 1 (K and n arbitrary). CE >= phi(t), phi convex and
rising (`softmax_losses_are_contrastive`); the mean of t over samples is K tau times that of <mean w - w_y, h>, at least
(for equal class sizes) -(1/K) sum |w_k - mean w| >= -sqrt(1 - |mean w|^2) >= -1 by Cauchy-Schwarz twice. The simplex
with h = w attains phi(-K tau).

False twin: the exponent tau instead of tau K/(K - 1), the margin of orthogonal vectors.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Margin K/(K - 1)."""
    return _verdict(lambda q: (q + 1) / q)


def refuted() -> Verdict:
    """Margin 1."""
    return _verdict(lambda q: sympy.Integer(1))


def _verdict(margin: Callable[..., Any]) -> Verdict:
    q, tau = sympy.symbols("q tau", positive=True)
    t, w, m = sympy.symbols("t w m", real=True)
    square = sympy.Symbol("square", nonnegative=True)  # |mean w|^2
    K = q + 1
    phi = sympy.log(1 + q * sympy.exp(t / q))
    claimed = sympy.log(1 + q * sympy.exp(-tau * margin(q)))
    return Verdict.of(
        "symbolic",
        [
            step("phi rises", is_positive(sympy.diff(phi, t))),
            step("phi is convex", is_positive(sympy.diff(phi, t, 2))),
            step("sum_j (w_j - w_y) = K (mean w - w_y)", is_zero((K * m - K * w) - K * (m - w))),
            step(
                "sum |w_k - mean|^2 = K (1 - |mean|^2) <= K",
                is_zero((K - 2 * K * square + K * square) - K * (1 - square)),
            ),
            step("phi(-K tau) is the claimed minimum", is_zero(phi.subs(t, -K * tau) - claimed)),
            step("the simplex's margin is tau K/(K - 1)", is_zero(tau * (1 + 1 / q) - tau * margin(q))),
        ],
        sizes="all K >= 2, n >= 1, d >= K - 1, tau > 0",
    )
