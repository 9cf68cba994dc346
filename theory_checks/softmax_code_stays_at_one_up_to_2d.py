"""d + 2 <= K <= 2 d: the largest one-vs-rest distance of unit vectors is exactly 1.

Theme: spheres and codes

Source: Jiang et al. 2023 (generalised neural collapse), softmax codes; the upper bound is derived here

Evidence: symbolic. At most 1: by Radon's theorem K >= d + 2 points split into two sets whose hulls share a point x =
sum a_i w_i; the mean of |w_i - x|^2 with weights a is 1 - |x|^2 <= 1, and x lies in the hull of the others. At least 1:
for a vertex e of the cross-polytope every x in the hull of other vertices has <e, x> <= 0, so |e - x| >= <e, e - x> >=
1; dropping vertices only shrinks the hull, and K <= 2 d are needed. (With K = d + 1 there is no Radon point, and the
simplex does better.)

False twin: d + 2 <= K <= 2 d + 1.
"""

import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Up to 2 d."""
    return _verdict(0)


def refuted() -> Verdict:
    """Up to 2 d + 1."""
    return _verdict(1)


def _verdict(beyond: int) -> Verdict:
    d, spare = sympy.symbols("d spare", nonnegative=True)
    largest = 2 * d + beyond - spare  # K
    square = sympy.Symbol("square", nonnegative=True)  # |x|^2
    # sum a_i (|w_i|^2 - 2 <w_i, x> + |x|^2) with sum a_i = 1 and sum a_i w_i = x
    mean = 1 - 2 * square + square
    # Of s e_i and t e_j, s, t = +-1, not the same vertex.
    products = [s * t * same for s in (1, -1) for t in (1, -1) for same in (0, 1) if not (same and s == t)]
    return Verdict.of(
        "symbolic",
        [
            step("the weighted mean of |w_i - x|^2 is 1 - |x|^2", is_zero(mean - (1 - square))),
            step("which is at most 1", (1 - mean).is_nonnegative),
            step("the cross-polytope's vertices have <e, other vertex> <= 0, so distance >= 1", max(products) <= 0),
            step("it has K vertices", (2 * d - largest).is_nonnegative),
        ],
        sizes=f"all d >= 2, d + 2 <= K <= {2 * d + beyond}",
    )
