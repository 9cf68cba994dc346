"""d + 2 <= K <= 2 d: the largest one-vs-rest distance of unit vectors is exactly 1.

Source: Jiang et al. 2023 (generalised neural collapse), softmax codes; the upper bound is derived here

Evidence: symbolic. At most 1: by Radon's theorem K >= d + 2 points split into two sets whose hulls share a point x =
sum a_i w_i; the mean of |w_i - x|^2 with weights a is 1 - |x|^2 <= 1, and x lies in the hull of the others. At least 1:
for a vertex e of the cross-polytope every x in the hull of other vertices has <e, x> <= 0, so |e - x| >= <e, e - x> >=
1; dropping vertices only shrinks the hull. (With K = d + 1 there is no Radon point, and the simplex does better.)

False twin: the bound 1/2, which the cross-polytope exceeds.
"""

import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """The bound 1."""
    return _verdict(sympy.Integer(1))


def refuted() -> Verdict:
    """The bound 1/2."""
    return _verdict(sympy.Rational(1, 2))


def _verdict(bound: sympy.Expr) -> Verdict:
    square = sympy.Symbol("square", nonnegative=True)  # |x|^2
    # sum a_i (|w_i|^2 - 2 <w_i, x> + |x|^2) with sum a_i = 1 and sum a_i w_i = x
    mean = 1 - 2 * square + square
    crosses = [_cross_polytope(d) for d in range(2, 7)]
    return Verdict.of(
        "symbolic",
        [
            step("the weighted mean of |w_i - x|^2 is 1 - |x|^2", is_zero(mean - (1 - square))),
            step("which is at most bound^2", (bound**2 - mean).is_nonnegative is True),
            step(
                "the cross-polytope's vertices have <e, other vertex> <= 0, so distance >= 1 (d = 2..6)", all(crosses)
            ),
        ],
        sizes="all d >= 2, d + 2 <= K <= 2 d",
    )


def _cross_polytope(d: int) -> bool:
    vertices = [sign * sympy.eye(d).col(axis) for axis in range(d) for sign in (1, -1)]
    return all(v.dot(w) <= 0 for v in vertices for w in vertices if v != w)
