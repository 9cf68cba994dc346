"""Label smoothing, on the ETF ray: best margin log(K/(K c + delta) - K + 1), zero iff K c + delta >= 1; margin and
norms fall as delta rises.

Theme: label smoothing

Source: Guo et al. 2024 (cross entropy versus label smoothing), closed form of the minimiser

Evidence: symbolic for all K, n, decays and delta in [0, 1): the derivative of the objective on the ETF ray vanishes
there, the objective is strictly convex, its slope at zero is a multiple of K c + delta - 1; and |w_k|^2, |h|^2 are
multiples of the margin that do not depend on delta. Global optimality: `convex_duality_has_no_gap`.

False twin: delta in place of delta/K in the off-class probability.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Off-class probability c + delta/K."""
    return _verdict(lambda delta, K: delta / K)


def refuted() -> Verdict:
    """Off-class probability c + delta."""
    return _verdict(lambda delta, K: delta)


def _verdict(share: Callable[..., Any]) -> Verdict:
    K, c, delta, excess = sympy.symbols("K c delta excess", positive=True)
    a = sympy.Symbol("a", real=True)
    q = K - 1
    objective = sympy.log(1 + q * sympy.exp(-a)) + delta * q * a / K + c * q * a
    off = c + share(delta, K)
    margin = sympy.log(1 / off - K + 1)
    mass = 1 / (1 + excess)  # K c + delta in (0, 1)
    slope = sympy.diff(sympy.log(K * (1 + excess) - K + 1), excess)
    at_zero = sympy.diff(objective, a).subs(a, 0)
    lW, lH, n, length = sympy.symbols("decay_W decay_H n length", positive=True)  # length = a (K - 1)/K
    square_w, square_h = length * sympy.sqrt(n * lH / lW), length * sympy.sqrt(lW / (n * lH))
    return Verdict.of(
        "symbolic",
        [
            step("stationary", is_zero(sympy.diff(objective, a).subs(sympy.exp(-a), off / (1 - q * off)))),
            step("e^-margin = off / (1 - (K - 1) off)", is_zero(sympy.exp(-margin) - off / (1 - q * off))),
            step(
                "strictly convex on all real a (K = q + 1 > 1)",
                is_positive(sympy.simplify(sympy.diff(objective, a, 2).subs(K, excess + 1))),
            ),
            step("zero at K c + delta = 1", is_zero(margin.subs(c, (1 - delta) / K))),
            step(
                "beyond, the objective rises from zero: its slope there is (K - 1)(K c + delta - 1)/K",
                is_zero(at_zero - q * (K * c + delta - 1) / K),
            ),
            step("the margin falls in K c + delta", is_positive(slope) and is_positive(-sympy.diff(mass, excess))),
            step("the norms: |w_k| |h| is the logit a (K - 1)/K", is_zero(square_w * square_h - length**2)),
            step("and decay_W |W|^2 = decay_H |H|^2", is_zero(lW * K * square_w - lH * n * K * square_h)),
        ],
        sizes="all K >= 2, n, decays, 0 <= delta < 1",
    )
