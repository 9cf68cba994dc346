"""K <= d + 1: the largest one-vs-rest distance of unit vectors is K/(K - 1), that of the simplex.

Theme: spheres and codes

Source: Jiang et al. 2023 (generalised neural collapse), softmax codes

Evidence: symbolic, derived here. With mean m, |w_k - mean of the others| = K/(K - 1) |w_k - m| and the mean of |w_k -
m|^2 is 1 - |m|^2 <= 1, so some class is within K/(K - 1) of the hull of the others. On the simplex every point x of
that hull has <w_k, w_k - x> = K/(K - 1). The simplex has rank K - 1: it exists in d dimensions iff K <= d + 1.

False twin: K <= d + 2.
"""

import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """At most d + 1 classes."""
    return _verdict(1)


def refuted() -> Verdict:
    """At most d + 2."""
    return _verdict(2)


def _verdict(most: int) -> Verdict:
    """With K <= d + `most`."""
    K = sympy.Symbol("K", positive=True)
    constant = K / (K - 1)
    spare = sympy.Symbol("spare", nonnegative=True)
    d = K - most + spare
    diagonal, beside = 1, -1 / (K - 1)  # of the simplex's Gram matrix
    w, m, square = sympy.symbols("w m square", real=True)  # a coordinate of w_k, of the mean; |m|^2
    others = (K * m - w) / (K - 1)
    total = K - 2 * K * square + K * square  # sum of |w_k|^2 - 2 <w_k, m> + |m|^2 with sum w_k = K m
    return Verdict.of(
        "symbolic",
        [
            step("w_k - mean of the others = constant (w_k - m)", is_zero(w - others - constant * (w - m))),
            step("sum |w_k - m|^2 = K (1 - |m|^2)", is_zero(total - K * (1 - square))),
            step("on the simplex <w_k, w_k - x> is the constant", is_zero(1 + 1 / (K - 1) - constant)),
            step("its Gram matrix is K/(K - 1) off 1", is_zero(diagonal - beside - constant)),
            step("and 0 on 1: rank K - 1", is_zero(diagonal + (K - 1) * beside)),
            step("which is at most d", (d - (K - 1)).is_nonnegative),
        ],
        sizes=f"all K >= 2, d >= K - {most}",
    )
