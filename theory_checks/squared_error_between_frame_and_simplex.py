"""Squared error, K c < 1, d >= K: a simplex ETF iff decay_b <= K c / (1 - K c), an orthogonal frame without bias,
between them otherwise.

Theme: squared error

Source: Zhou et al. 2022 (squared error); Tirer and Bruna 2022 for the two ends

Evidence: symbolic, derived here. Logits (a Pi + a' J) (x) 1_n' with Pi = I - 11'/K, J = 11'/K and bias beta 1, where a
= 1 - K c, a' = max(0, 1 - K c (1 + l)/l), beta = (1 - a')/(K (1 + l)), l = decay_b, c = sqrt(n decay_W decay_H). The
gradient G has singular values |1 - a|/(K sqrt n) on Pi and |a' + K beta - 1|/(K sqrt n) on J: equal to s where the
component is active, at most s where it is not. g is convex, strictly in Z + b 1', so that is global optimality and the
logits are unique, for all K, n and decays.

False twin: the threshold decay_b <= K c.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Threshold K c / (1 - K c)."""
    return _verdict(lambda kc: kc / (1 - kc))


def refuted() -> Verdict:
    """Threshold K c."""
    return _verdict(lambda kc: kc)


def _verdict(threshold: Callable[..., Any]) -> Verdict:
    K, n, decay, excess, factor = sympy.symbols("K n decay excess factor", positive=True)
    kc = 1 / (1 + excess)  # any number in (0, 1)
    s = kc / (K * sympy.sqrt(n))
    a, a_common = 1 - kc, 1 - kc * (1 + decay) / decay
    beta = (1 - a_common) / (K * (1 + decay))
    on_simplex = (1 - a) / (K * sympy.sqrt(n))
    on_ones = (1 - a_common - K * beta) / (K * sympy.sqrt(n))
    beta_alone = 1 / (K * (1 + decay))  # a' = 0
    on_ones_alone = (1 - K * beta_alone) / (K * sympy.sqrt(n))
    at_threshold = threshold(kc)
    below, above = at_threshold / (1 + factor), at_threshold * (1 + factor)
    return Verdict.of(
        "symbolic",
        [
            step("|G| on the simplex is s", is_zero(on_simplex - s)),
            step("|G| on 1 is s where a' > 0", is_zero(on_ones - s)),
            step("the bias is stationary", is_zero(decay * beta + (a_common + K * beta - 1) / K)),
            step("the bias is stationary where a' = 0", is_zero(decay * beta_alone + (K * beta_alone - 1) / K)),
            step("a' = 0 at the threshold", is_zero(a_common.subs(decay, at_threshold))),
            step("below it |G| on 1 is less than s", is_positive(sympy.factor((s - on_ones_alone).subs(decay, below)))),
            step("above it a' > 0", is_positive(sympy.factor(a_common.subs(decay, above)))),
            step("and a' < a with any bias", is_positive(sympy.simplify(a - a_common))),
            step(
                "without bias (decay -> infinity) a' = a: orthogonal frame",
                is_zero(sympy.limit(a_common, decay, sympy.oo) - a),
            ),
        ],
        sizes="all K >= 2, n >= 1, K c < 1, decay_b > 0",
    )
