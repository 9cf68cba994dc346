"""Focal loss, balanced classes, any decay of the bias: the ETF ray's best point is a global minimiser whenever (K - 1)
c <= 1 or S(1/K) <= 1.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), global minimisers of focal loss; the condition is derived here

Evidence: symbolic, derived here; balanced classes, d >= K - 1, gamma > 0. Minus the slope of phi at margin u is S(p) =
(1 - p)^g (1 - p - g p log p), p = 1/(1 + (K - 1) e^-u): S -> 1 at u -> -infinity, S -> 0 at u -> infinity and S' = -(1
- p)^g r(p), where r rises from -infinity (`focal_is_convex_exactly_above_one_probability`), so S rises above 1 and then
falls. Let sigma = (K - 1) c and v = min(sigma, S(1/K)) <= 1. The line of slope -v touches phi at the margin a >= 0
where S falls through v, and S > v before it, S < v beyond: phi(u) >= phi(a) - v (u - a) for all real u. The mean
margins u_i of the samples (`softmax_losses_are_contrastive`) add up without any part of the bias, and (sigma/N) |sum
u_i| <= s |Z|_*, so that v mean u_i <= s |Z|_* for 0 <= v <= sigma. Hence f >= phi(a) + v a. The ETF of margin a attains
it: either v = sigma, or a = 0 (the zero solution).

False twin: (K - 1) c <= 1.04. The line of such a slope is above phi at very negative margins, and at K = 100, gamma = 1
a partly collapsed state with a bias lies below the ray at (K - 1) c = 1.0386 (numeric;
`focal_with_bias_can_beat_collapse` proves one at K = 30, gamma = 3, (K - 1) c = 1.196).
"""

import sympy
from sympy import Expr

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Slopes up to 1."""
    return _verdict(sympy.Integer(1))


def refuted() -> Verdict:
    """Slopes up to 1.04."""
    return _verdict(sympy.Rational(26, 25))


def _verdict(largest: Expr) -> Verdict:
    g, odds, p, K, n, s, a = sympy.symbols("gamma odds p K n s a", positive=True)
    slope_of_p = (1 - p) ** g * (1 - p - g * p * sympy.log(p))
    r = 1 + 2 * g + g * sympy.log(p) - g**2 * p * sympy.log(p) / (1 - p)
    phi = (odds / (1 + odds)) ** g * sympy.log(1 + odds)  # odds = (K - 1) e^-u, d/du = -odds d/d odds
    slope = odds * sympy.diff(phi, odds)
    scale = (1 - p) ** g
    sigma, N = (K - 1) * s * sympy.sqrt(n), n * K
    total = sympy.Symbol("total", real=True)  # of the bias; a class has its own entry less the mean of the others
    bias_part = total - (K * total - total) / (K - 1)  # summed over the classes
    nuclear = a * sympy.sqrt(n) * (K - 1)  # |Z|_* of the ETF of margin a: `collapse_is_global_without_bias`
    return Verdict.of(
        "symbolic",
        [
            step(
                "S is minus the derivative of phi",
                is_zero((slope - slope_of_p.subs(p, 1 / (1 + odds))) / (odds / (1 + odds)) ** g),
            ),
            step("S' = -(1 - p)^g r", is_zero((sympy.diff(slope_of_p, p) + scale * r) / scale)),
            step("r -> -infinity at p = 0: S rises there", sympy.limit(r, p, 0, "+") == -sympy.oo),
            step("r > 0 at p = 1: S falls there", is_positive(sympy.limit(r, p, 1))),
            step(
                f"S is at least the slope, up to {largest}, on its rising branch: its limit at p = 0 is",
                sympy.limit(slope_of_p, p, 0, "+") >= largest,
            ),
            step("S -> 0 at p = 1", sympy.limit(slope_of_p.subs(p, 1 / (1 + odds)), odds, 0, "+") == 0),
            step("the mean margins of the samples add up without the bias", is_zero(bias_part)),
            # |<Z, 11' - K Y>| <= |11' - K Y|_2 |Z|_* with norm K sqrt(n); u_i is minus its row sum over K - 1.
            step("(sigma/N) |sum u_i| <= s |Z|_*", is_zero(sigma / N * K * sympy.sqrt(n) / (K - 1) - s)),
            step("the ETF of margin a has s |Z|_* = sigma a", is_zero(s * nuclear - sigma * a)),
        ],
        sizes="all K >= 2, n, d >= K - 1, gamma > 0, any decay of the bias; (K - 1) c <= 1 or S(1/K) <= 1",
    )
