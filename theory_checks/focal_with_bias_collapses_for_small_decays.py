"""Focal loss with a bias: the best ETF is a global minimiser whenever (K - 1) c <= 1, for every K and gamma.

Source: Zhou et al. 2022 (all losses), global minimisers of focal loss; the condition is derived here

Evidence: symbolic. Minus the slope of phi at margin a is S(p) = (1 - p)^g (1 - p - g p log p), with S -> 1 at p = 0 and
S' = -(1 - p)^g r(p); r rises from -infinity (`focal_is_convex_exactly_above_one_probability`), so S rises from 1 to one
maximum and falls to 0. For sigma = (K - 1) c <= 1 hence S > sigma before a* and S < sigma beyond: phi(u) + sigma u is
least at a* over all real u. The mean margins u_i of the samples add up without any part of the bias, and (sigma/N) sum
u_i <= s |Z|_*, so f >= phi(a*) + sigma a*, which the ETF attains.

False twin: the limit of S at p = 0 as 2, which would allow (K - 1) c <= 2 (refuted by
`focal_with_bias_can_beat_collapse`).
"""

import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Up to 1."""
    return _verdict(1)


def refuted() -> Verdict:
    """Up to 2."""
    return _verdict(2)


def _verdict(limit: int) -> Verdict:
    g, odds, p, K, n, s = sympy.symbols("gamma odds p K n s", positive=True)
    slope_of_p = (1 - p) ** g * (1 - p - g * p * sympy.log(p))
    r = 1 + 2 * g + g * sympy.log(p) - g**2 * p * sympy.log(p) / (1 - p)
    phi = (odds / (1 + odds)) ** g * sympy.log(1 + odds)  # odds = (K - 1) e^-a, d/da = -odds d/d odds
    slope = odds * sympy.diff(phi, odds)
    scale = (1 - p) ** g
    c, N = s * sympy.sqrt(n), n * K
    bias = sympy.symbols("b:5", real=True)
    bias_part = sum(sum(bias) - len(bias) * own for own in bias)  # of K - 1 times the margins of one sample per class
    return Verdict.of(
        "symbolic",
        [
            step(
                "S is minus the derivative of phi",
                is_zero((slope - slope_of_p.subs(p, 1 / (1 + odds))) / (odds / (1 + odds)) ** g),
            ),
            step(f"S -> {limit} at p = 0", sympy.limit(slope_of_p, p, 0, "+") == limit),
            step("S' = -(1 - p)^g r", is_zero((sympy.diff(slope_of_p, p) + scale * r) / scale)),
            step("the margins of the samples add up without the bias", is_zero(bias_part)),
            # <Z, 11' - K Y> <= |11' - K Y|_2 |Z|_* with norm K sqrt(n); u_i is minus its row sum over K - 1.
            step("(sigma/N) sum u_i <= s |Z|_*", is_zero((K - 1) * c / N * K * sympy.sqrt(n) / (K - 1) - s)),
        ],
        sizes="all K >= 2, n, gamma > 0, decays with (K - 1) c <= 1, any decay of the bias",
    )
