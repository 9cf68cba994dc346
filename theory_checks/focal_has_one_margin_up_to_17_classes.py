"""Focal loss of the margin is strictly convex on a >= 0 for every gamma > 0 iff K <= 17: one minimiser for every decay.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), contrastive property; the condition on K is derived here

Evidence: interval, for all gamma at once. The curvature has the sign of r(p), which rises
(`focal_is_convex_exactly_above_one_probability`), so it is positive on p >= 1/K iff (1 - p) r(p) is at p = 1/K, a
quadratic in gamma with positive ends: (1 - p) + (1 - p)(2 + log p) gamma - p log p gamma^2. It is positive for all
gamma > 0 iff 2 + log p >= 0 or its discriminant is negative. For K >= 18 it has two positive roots: the discriminant is
positive at K = 18 and, over 1 - p, the sum of (1 - 1/K)(log K - 2)^2, which rises, and -4 log(K)/K, which rises too (by
algebra, in x = log K - 2 > 0).

False twin: K <= 18.
"""

import math

import sympy

from theory_checks.symbols import is_positive
from theory_checks.verdict import Verdict, positive, step


def check() -> Verdict:
    """Up to 17."""
    return _verdict(17)


def refuted() -> Verdict:
    """Up to 18."""
    return _verdict(18)


def _verdict(last: int) -> Verdict:
    from flint import arb

    def gap(K: int) -> arb:
        """Minus the discriminant, over 1 - p; beyond 0 where the linear term is not negative."""
        p = arb(1) / K
        return -(1 - p) * (2 + p.log()) ** 2 - 4 * p * p.log()

    first = math.ceil(math.exp(2))  # 2 + log(1/K) < 0 from here on
    convex = [float(gap(K).lower()) for K in range(first, last + 1)]
    return Verdict.of(
        "interval",
        [
            positive(f"2 + log(1/K) for K = 2..{first - 1}, at least", float((2 - arb(first - 1).log()).lower())),
            positive(f"minus the discriminant for K = {first}..{last}, at least", min(convex)),
            positive(f"the discriminant at K = {last + 1}, at least", float((-gap(last + 1)).lower())),
            step("and rises with K, over 1 - p", _rises()),
        ],
        margin_is="distance of a discriminant from zero, lower bound",
        sizes="all gamma > 0, all K",
    )


def _rises() -> bool:
    """Both terms of the discriminant over 1 - p, with K = e^(x + 2); 1 - 1/K is positive."""
    x, others = sympy.symbols("x others", positive=True)  # others = K - 1
    share = 1 - 1 / (1 + others)
    first = sympy.exp(-x - 2) * x**2 + share * 2 * x  # (1 - e^(-x-2)) x^2, differentiated
    is_first = (
        sympy.simplify(sympy.diff((1 - sympy.exp(-x - 2)) * x**2, x) - first.subs(others, sympy.exp(x + 2) - 1)) == 0
    )
    return is_first and is_positive(first) and is_positive(sympy.diff(-4 * (x + 2) * sympy.exp(-x - 2), x))
