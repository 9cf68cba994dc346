"""With M > 2 linear layers and no bias zero is a strict local minimiser of squared error for all decays; with 2 it need
not be.

Theme: more layers

Source: Tirer and Bruna 2022, an additional linear layer; Dang et al. 2023 (any M)

Evidence: symbolic, derived here. On balanced labels |Y|_2 = sqrt(n) and N = K n, and the nuclear norm of a product is
at most the product of the Frobenius norms, itself at most (r^2/M)^(M/2) where r^2 is the sum of their squares x_l:
x_l/A >= 1 + log(x_l/A), A their mean, adds up to M >= M + log(prod x_l/A^M). So f - f(0) >= l r^2/2 - (r^2/M)^(M/2)/(K
sqrt(n)) with l the least decay, which is positive for 0 < r^(M-2) < l K sqrt(n) M^(M/2)/2. For M = 2 the right side is
r^2 (l - 1/(K sqrt(n)))/2, negative below the threshold K sqrt(n) l = 1, and then attained along the labels.

False twin: two layers.
"""

import sympy
from sympy import Expr

from theory_checks.symbols import tangent_line_of_exp
from theory_checks.verdict import Verdict, step

MORE, RADIUS, DECAY, K, N_PER_CLASS, SPARE = sympy.symbols("x r l K n y", positive=True)


def check() -> Verdict:
    """M = 2 + x layers, any x > 0."""
    return _verdict(MORE + 2)


def refuted() -> Verdict:
    """M = 2."""
    return _verdict(sympy.Integer(2))


def _verdict(M: Expr) -> Verdict:
    bound = DECAY * RADIUS**2 / 2 - (RADIUS**2 / M) ** (M / 2) / (K * sympy.sqrt(N_PER_CLASS))
    edge = DECAY * K * sympy.sqrt(N_PER_CLASS) * M ** (M / 2) / 2  # of r^(M - 2)
    factored = DECAY * RADIUS**2 / 2 * (1 - RADIUS ** (M - 2) / edge)
    return Verdict.of(
        "symbolic",
        [
            step("bound = l r^2/2 (1 - r^(M-2)/edge)", _is_zero(bound - factored)),
            step("edge > 0", edge.is_positive),
            step("so it is positive where 0 < r^(M-2) < edge", sympy.factor(1 - 1 / (1 + SPARE)).is_positive),
            step("r^(M-2) tends to 0 with r, whatever the edge", sympy.limit(RADIUS ** (M - 2), RADIUS, 0, "+") == 0),
            step(
                "the mean to the power M is at least the product: e^u >= 1 + u at u = log(x/A)", tangent_line_of_exp()
            ),
        ],
        sizes="all M > 2, K, n, decays and widths",
    )


def _is_zero(expression: Expr) -> bool:
    return sympy.simplify(sympy.powsimp(sympy.expand_power_base(expression))) == 0
