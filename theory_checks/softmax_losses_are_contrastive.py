"""Cross entropy, label smoothing and focal loss are at least phi(t), t = sum over j != k of (z_j - z_k), for every K.

Theme: minimisers

Source: Zhou et al. 2022 (all losses), contrastive property

Evidence: symbolic, derived here. With q = K - 1 and x_j = z_j - z_k, the tangent line of exp at m = t/q gives sum
e^{x_j} >= q e^m, with equality only where all x_j = m. Hence p_k <= 1/(1 + q e^{t/q}); each loss falls strictly in p_k,
and label smoothing adds the linear term -alpha t/K. For cross entropy and label smoothing phi is strictly convex with
phi'(0) > 0, so that phi(t) + c |t| has one minimiser, t <= 0, for every c > 0. For focal loss that last clause of the
property is false in general: see `focal_margin_need_not_be_unique`.

False twin: t/K in place of the mean t/(K - 1).
"""

import sympy

from theory_checks.symbols import is_positive, is_zero, tangent_line_of_exp
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With the mean over the K - 1 other classes."""
    return _verdict(others_less_one=0)


def refuted() -> Verdict:
    """With the sum divided by K."""
    return _verdict(others_less_one=1)


def _verdict(others_less_one: int) -> Verdict:
    t, z, total = sympy.symbols("t z total", real=True)
    q, gamma, odds, spare = sympy.symbols("q gamma odds spare", positive=True)
    alpha = 1 / (1 + spare)  # any number in (0, 1)
    K = q + 1
    m = t / (q + others_less_one)
    tangents = sympy.exp(m) * (q + t - q * m)  # sum over j of e^m (1 + x_j - m)
    phi = sympy.log(1 + q * sympy.exp(t / q)) - alpha * t / K
    focal = (odds / (1 + odds)) ** gamma * sympy.log(1 + odds)  # p = 1 / (1 + odds)
    focal_slope = focal * gamma / (odds * (1 + odds)) + (odds / (1 + odds)) ** gamma / (1 + odds)
    return Verdict.of(
        "symbolic",
        [
            step("e^u >= 1 + u, equality only at u = 0", tangent_line_of_exp()),
            step("the tangent lines at m add up to (K - 1) e^m", is_zero(tangents - q * sympy.exp(m))),
            step(
                "label smoothing - cross entropy = -alpha t / K",
                is_zero(alpha * (z - total / K) + alpha * (total - K * z) / K),
            ),
            step("-log p rises with the odds (1 - p)/p", is_positive(sympy.diff(sympy.log(1 + odds), odds))),
            step(
                "the derivative of focal loss in the odds is a sum of two terms",
                is_zero(sympy.diff(focal, odds) - focal_slope),
            ),
            step("both are positive for every gamma > 0", all(is_positive(term) for term in focal_slope.args)),
            step("phi'' > 0 for cross entropy and label smoothing", is_positive(sympy.diff(phi, t, 2))),
            step("phi'(0) = (1 - alpha) / K > 0", is_positive(sympy.factor(sympy.diff(phi, t).subs(t, 0)))),
        ],
        sizes="all K >= 2, all logits, all alpha in (0, 1), all gamma > 0",
    )
