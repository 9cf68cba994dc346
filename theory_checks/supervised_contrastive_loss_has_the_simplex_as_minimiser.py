"""Supervised contrastive loss on unit features, equal class sizes n >= 2, all N samples in the batch, d >= K - 1, is
least at the collapsed simplex.

Theme: minimisers

Source: Zhou et al. 2022 (all losses), supervised contrastive loss; Graf et al. 2021

Evidence: symbolic, derived here. Anchor i with mean similarity P_i to its n - 1 positives and Q_i to its N - n
negatives (already over the temperature) costs at least log(n - 1 + (N - n) e^(Q_i - P_i)) by the tangent lines of exp,
convex and rising in Q_i - P_i. |sum h|^2 >= 0 gives (n - 1) P + (N - n) Q >= -1/tau for the means, and P <= 1/tau, so
that Q - P >= -K/((K - 1) tau): the collapsed simplex attains log(n - 1 + (N - n) e^(-K/((K - 1) tau))).

False twin: the exponent -1/tau, that of orthogonal class means.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero, tangent_line_of_exp
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With K/(K - 1)."""
    return _verdict(lambda K: K / (K - 1))


def refuted() -> Verdict:
    """With 1."""
    return _verdict(lambda K: sympy.Integer(1))


def _verdict(factor: Callable[..., Any]) -> Verdict:
    q, spare, tau = sympy.symbols("q spare tau", positive=True)
    P, x = sympy.symbols("P x", real=True)
    K, n = q + 1, 1 + spare  # K > 1, n > 1
    N = n * K
    bound = sympy.log(n - 1 + (N - n) * sympy.exp(x))
    least_Q = (-1 / tau - (n - 1) * P) / (N - n)
    least = sympy.simplify((least_Q - P).subs(P, 1 / tau))
    simplex = -1 / (q * tau) - 1 / tau
    return Verdict.of(
        "symbolic",
        [
            step("e^u >= 1 + u, equality only at u = 0", tangent_line_of_exp()),
            step("the bound rises in Q - P", is_positive(sympy.diff(bound, x))),
            step("and is convex", is_positive(sympy.factor(sympy.simplify(sympy.diff(bound, x, 2))))),
            step("least Q - P falls as P rises", is_positive(-sympy.factor(sympy.diff(least_Q - P, P)))),
            step("at P = 1/tau it is -K/((K - 1) tau)", is_zero(least + factor(K) / tau)),
            step("the collapsed simplex has it", is_zero(simplex + factor(K) / tau)),
        ],
        sizes="all K >= 2, n >= 2, d >= K - 1, tau > 0",
    )
