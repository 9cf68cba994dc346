"""Pick-all-labels: at given mean logits inside and outside the label set S the loss is least for equal ones; with a
simplex classifier, at a given |W|, the best margin falls with |S|.

Theme: several labels

Source: Li et al. 2024 (multi-label neural collapse), lower bound and scaled tag-wise average

Evidence: symbolic, derived here. For |S| = m with means A inside and B outside, the tangent lines of exp at A and B
give sum_{k in S} CE(z, k) >= m log(m + (K - m) e^-(A - B)). With W W' = rho (I - 11'/K) the best feature is (t/rho) W'
1_S, the tag-wise average scaled by m t_m/t_1, with N decay_H t (m e^t + K - m) = K rho. The left side rises in t and in
m, so t_m falls with m. Global optimality at given sizes: `multi_label_collapse_is_global`.

False twin: the stationarity condition with e^t + K - 1 for every m.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero, tangent_line_of_exp
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With m e^t + K - m."""
    return _verdict(lambda m, K, t: m * sympy.exp(t) + K - m)


def refuted() -> Verdict:
    """With e^t + K - 1."""
    return _verdict(lambda m, K, t: sympy.exp(t) + K - 1)


def _verdict(weight: Callable[..., Any]) -> Verdict:
    m, rest, t, rho, N, decay = sympy.symbols("m rest t rho N decay", positive=True)
    A, B, inside, outside = sympy.symbols("A B inside outside", real=True)
    K = m + rest
    # Sum over j in S of e^A (1 + z_j - A), and the same outside; the means are A and B.
    tangents = sympy.exp(A) * (m + inside - m * A) + sympy.exp(B) * (rest + outside - rest * B)
    loss = m * sympy.log(m + rest * sympy.exp(-t))
    square = (t / rho) ** 2 * rho * m * rest / K  # |h|^2 = (t/rho)^2 1_S' W W' 1_S
    slope = sympy.diff(loss / N + decay / 2 * square, t)
    # The stationarity condition, times the positive m (K - m) / (N K rho (m e^t + K - m)).
    condition = N * decay * t * weight(m, K, t) - K * rho
    factor = m * rest / (N * K * rho * (m * sympy.exp(t) + rest))
    M, k = sympy.symbols("M k", positive=True)
    left = t * (M * sympy.exp(t) + k - M)
    return Verdict.of(
        "symbolic",
        [
            step("e^u >= 1 + u, equality only at u = 0", tangent_line_of_exp()),
            step(
                "the tangent lines add up to m e^A + (K - m) e^B",
                is_zero(tangents.subs({inside: m * A, outside: rest * B}) - m * sympy.exp(A) - rest * sympy.exp(B)),
            ),
            step(
                "m log(m e^A + (K - m) e^B) - m A is the claimed bound",
                is_zero(sympy.exp(A) * (m + rest * sympy.exp(B - A)) - m * sympy.exp(A) - rest * sympy.exp(B)),
            ),
            step("|1_S - m/K|^2 = m (K - m)/K", is_zero(m * (1 - m / K) ** 2 + rest * (m / K) ** 2 - m * rest / K)),
            step("stationary in t iff N decay_H t (m e^t + K - m) = K rho", is_zero(slope - factor * condition)),
            step("the condition's left side rises in t", is_positive(sympy.diff(t * (m * sympy.exp(t) + rest), t))),
            step(
                "and in m: derivative t (e^t - 1), e^t > 1 + t", is_zero(sympy.diff(left, M) - t * (sympy.exp(t) - 1))
            ),
        ],
        sizes="all 1 <= m < K, all rho, N, decay_H > 0",
    )
