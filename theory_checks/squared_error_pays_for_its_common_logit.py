"""Behind a ReLU, with squared error and decay on the bias, the cheapest orthogonal class means have (K-1)/x^2 +
1/(x + K)^2 = p/r^2, x = |mu_k|^2 + K decay/weight; the norms of centred W and h then show a price of k - K/(K-1) s^2.

Theme: trained networks

Source: Zhou et al. 2022 (squared error), free features; the price is derived here

Evidence: symbolic, derived here, for all K >= 2, targets r, decays and p = 1/J with a positive root. W = alpha (I -
11'/K) + beta 11'/K, b = s 1, class means sqrt(g) e_k: the equations of a stationary point, that the value is
convex in g, and that the norms show k - K/(K - 1) s^2, k = p K/(K - 1). In this docstring alone, why it is the least of
all networks (`deepnet/comparison/price.py`): averaging over permutations of classes, joint convexity of tr Z' M^+ Z,
and a' < a (`squared_error_between_frame_and_simplex`).

False twin: the norms show k.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """The part of W along the mean pays too."""
    return _verdict(lambda K, s: K / (K - 1) * s**2)


def refuted() -> Verdict:
    """It pays nothing."""
    return _verdict(lambda K, s: sympy.Integer(0))


def _verdict(paid: Callable[..., Any]) -> Verdict:
    m, r, decay, weight, g = sympy.symbols("m r decay weight g", positive=True)
    alpha, beta, s, a = sympy.symbols("alpha beta s a", real=True)
    K = m + 1
    q = K * decay / weight
    p = r**2 * ((K - 1) / (q + g) ** 2 + 1 / (q + g + K) ** 2)
    missed = (K - 1) * (alpha * a - r) ** 2 + (beta * a + K * s - r) ** 2
    value = weight / (2 * K) * missed + decay / 2 * ((K - 1) * alpha**2 + beta**2 + K * s**2 + p * a**2)
    at_s = r / (q + g + K)
    root = sympy.sqrt(g)
    point = {alpha: r * root / (g + q), beta: at_s * root, s: at_s, a: root}
    fixed = sympy.Symbol("p", positive=True)
    reduced = decay / 2 * ((K - 1) * r**2 / (q + g) + r**2 / (q + g + K) + fixed * g)
    shown = K * (point[alpha] / root) ** 2
    price = K * p / (K - 1)
    return Verdict.of(
        "symbolic",
        [
            *(step(f"stationary in {x}", is_zero(sympy.diff(value, x).subs(point))) for x in (alpha, beta, s, a)),
            step("the value there", is_zero(value.subs(point) - reduced.subs(fixed, p))),
            step("stationary in g", is_zero(sympy.diff(reduced, g).subs(fixed, p))),
            step("convex in g", is_positive(sympy.diff(reduced, g, 2))),
            step("the price that the norms show", is_zero(shown - (price - paid(K, at_s)))),
        ],
        sizes="all K >= 2, r, decay, weight, J with features that are not zero",
    )
