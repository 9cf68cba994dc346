"""Questions to computer algebra (is an expression zero, or positive); one that it cannot answer counts as no."""

import sympy
from sympy import Expr


def is_zero(expression: Expr) -> bool:
    """Whether sympy reduces the expression to 0, for all values of its symbols under their assumptions."""
    reduced = sympy.simplify(expression)
    return reduced == 0 or sympy.simplify(sympy.expand(sympy.expand_log(reduced, force=False))) == 0


def is_positive(expression: Expr) -> bool:
    """Whether sympy derives expression > 0 from the assumptions on its symbols."""
    return any(form(expression).is_positive is True for form in (lambda e: e, sympy.factor, sympy.simplify))


def tangent_line_of_exp() -> bool:
    """e^u >= 1 + u for all real u, equality only at 0: the difference is strictly convex and stationary there."""
    u = sympy.Symbol("u", real=True)
    difference = sympy.exp(u) - 1 - u
    is_convex = is_positive(sympy.diff(difference, u, 2))
    return is_convex and difference.subs(u, 0) == 0 and sympy.diff(difference, u).subs(u, 0) == 0
