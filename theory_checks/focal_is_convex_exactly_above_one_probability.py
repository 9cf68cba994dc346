"""Focal loss has a positive semidefinite Hessian in the logits exactly where p_y >= p_infl(gamma), whatever K.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), local landscape of focal loss; the exact region is derived here

Evidence: symbolic. A loss psi(x) of x = log sum_{j != y} e^{z_j} - z_y has the Hessian psi'' u u' + psi' (diag w - w
w'), u = w - e_y, for every K (`softmax_loss_derivatives`), diag w - w w' is positive semidefinite, and e_y' Hess e_y =
psi''. Focal loss has psi' > 0, so its Hessian is positive semidefinite iff psi'' >= 0. The sign of psi'' is that of
r(p) = 1 + 2 g + g log p - g^2 p log p / (1 - p), r' = g/p + g^2 (p - 1 - log p)/(1 - p)^2 > 0 on (0, 1), r -> -infinity
at 0, r(1) = 1 + 2 g + g^2 > 0: one root p_infl. The region {p_y >= p_infl} is a sublevel set of a convex function,
hence convex: inside it the convex theory holds. How large it is: `focal_has_one_margin_up_to_17_classes`.

False twin: the sign condition without the factor 2 (the curvature of a different loss).
"""

import sympy

from theory_checks.symbols import is_positive, is_zero, tangent_line_of_exp
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With 1 + 2 g."""
    return _verdict(2)


def refuted() -> Verdict:
    """With 1 + g."""
    return _verdict(1)


def _verdict(factor: int) -> Verdict:
    g, odds = sympy.symbols("gamma odds", positive=True)
    p = 1 / (1 + odds)  # odds = e^x, d/dx = odds d/d odds
    psi = (odds / (1 + odds)) ** g * sympy.log(1 + odds)
    slope = odds * sympy.diff(psi, odds)
    curvature = odds * sympy.diff(slope, odds)
    r = 1 + factor * g - g * sympy.log(1 + odds) + g**2 * sympy.log(1 + odds) / odds
    claimed = p * (1 - p) ** (g + 1) * r
    P = sympy.Symbol("p", positive=True)
    r_of_p = 1 + factor * g + g * sympy.log(P) - g**2 * P * sympy.log(P) / (1 - P)
    rise = g / P + g**2 * (P - 1 - sympy.log(P)) / (1 - P) ** 2
    return Verdict.of(
        "symbolic",
        [
            step("psi' > 0", is_positive(sympy.simplify(slope / (odds / (1 + odds)) ** g))),
            step(
                "psi'' = p (1 - p)^(g + 1) r(p)",
                is_zero(sympy.simplify((curvature - claimed) / (odds / (1 + odds)) ** g)),
            ),
            step("r' = g/p + g^2 (p - 1 - log p)/(1 - p)^2", is_zero(sympy.diff(r_of_p, P) - rise)),
            step("p - 1 - log p > 0 for p != 1 (e^u > 1 + u at u = log p)", tangent_line_of_exp()),
            step("r -> -infinity at p = 0", sympy.limit(r_of_p, P, 0, "+") == -sympy.oo),
            step("r(1) > 0", is_positive(sympy.limit(r_of_p, P, 1))),
        ],
        sizes="all gamma > 0, all K, all logits",
    )
