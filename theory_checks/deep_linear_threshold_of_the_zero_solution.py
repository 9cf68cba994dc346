"""M >= 3 linear factors, squared error, no bias: zero is a global minimiser iff K^M n prod(decays) >= (M-2)^(M-2) /
(M-1)^(2M-2).

Theme: more layers

Source: Tirer and Bruna 2022, extra linear layer (M = 3); the constant for any M is derived here

Evidence: symbolic in real M > 2. A singular value x of the product costs (x - sqrt n)^2/(2N) + (M/2) lam x^(2/M), lam =
prod(decays)^(1/M): the layers share it by the inequality of the means (Schatten-2/M quasi-norm), and the K values
decouple (von Neumann). For M = 3 the threshold is 1/16, a stationary point exists up to 27/256, and M -> 2 gives K c =
1. At equality zero and states of active values tie. Below the threshold zero is still a strict local minimum: the
product starts at third order, so its Hessian is the decays' (numeric: `deep_linear_zero_stays_a_local_minimum`).

False twin: the constant up to which a stationary point exists.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With the constant of equal energies."""
    return _verdict(lambda M: (M - 2) ** (M - 2) / (M - 1) ** (2 * M - 2))


def refuted() -> Verdict:
    """With the constant of existence."""
    return _verdict(lambda M: M**M * (M - 2) ** (M - 2) / (2 * (M - 1)) ** (2 * M - 2))


def _verdict(constant: Callable[..., Any]) -> Verdict:
    n, K, x, more = sympy.symbols("n K x more", positive=True)
    M = 2 + more
    N, root = n * K, sympy.sqrt(n)
    p = 1 - 2 / M
    strength = (constant(M) * n ** (M - 1)) ** (1 / M)  # N lam at the claimed threshold, from (N lam)^M = kappa n^(M-1)

    def bracket(at: sympy.Expr, strength: sympy.Expr) -> sympy.Expr:  # (energy(x) - energy(0)) / x
        return at / (2 * N) - root / N + M / 2 * strength / N * at**-p

    tie, top = root * (M - 2) / (M - 1), root * (M - 2) / (2 * (M - 1))
    strength_of = (root - x) * x**p  # N lam at which x is stationary
    existence = M**M * (M - 2) ** (M - 2) / (2 * (M - 1)) ** (2 * M - 2) * n ** (M - 1)
    any_strength = sympy.Symbol("strength", positive=True)
    second = sympy.diff(strength_of, x, 2)
    return Verdict.of(
        "symbolic",
        [
            step("at the threshold a value x > 0 costs as much as zero", _vanishes(bracket(tie, strength))),
            step("and is stationary", _vanishes(sympy.diff(bracket(x, strength), x).subs(x, tie))),
            step(
                "the cost relative to x is strictly convex",
                is_positive(sympy.simplify(sympy.diff(bracket(x, any_strength), x, 2))),
            ),
            step("and rises with the decays", is_positive(sympy.diff(bracket(x, any_strength), any_strength))),
            step(
                "stationary points exist up to M^M (M-2)^(M-2) / (2(M-1))^(2M-2)",
                _vanishes(sympy.log(strength_of.subs(x, top)) * M - sympy.log(existence)),
            ),
            step("there the strength is stationary", _vanishes(sympy.diff(strength_of, x).subs(x, top))),
            step("beyond it none (the strength is concave in x)", is_positive(-sympy.simplify(second / x ** (p - 2)))),
            step("M = 3: 1/16", is_zero(constant(sympy.Integer(3)) - sympy.Rational(1, 16))),
            step("M -> 2: 1", sympy.limit(constant(M), more, 0) == 1),
        ],
        sizes="all real M > 2, K, n; d >= K",
    )


def _vanishes(expression: sympy.Expr) -> bool:
    return is_zero(sympy.simplify(sympy.powsimp(sympy.expand_log(expression, force=True), force=True)))
