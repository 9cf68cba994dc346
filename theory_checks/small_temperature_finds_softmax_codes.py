"""The least cross entropy f of unit vectors at temperature t, rho their best least margin, has -t log(2 N) <= t log f +
rho <= t log(K - 1).

Theme: spheres and codes

Source: Jiang et al. 2023 (generalised neural collapse), limit of small temperature

Evidence: symbolic, derived here; rho is the largest least margin of K unit vectors and N features (the softmax code's
one-vs-rest distance), rho >= 0. At a softmax code every sample has K - 1 margins of at least rho: f <= log(1 + (K - 1)
x) with x = e^(-rho/t), and log(1 + y) <= y. Any other point has a margin of at most rho, so a sample's loss is at least
log(1 + x) >= x/2 (the difference rises on [0, 1]), the others' are positive, and f is the average over N. So t log f ->
-rho, with a rate. Cross-check: the regular pentagon's loss, rho = 1 - cos(2 pi/5), obeys both bounds.

False twin: the lower bound for the mean loss without the factor 1/N.
"""

import math

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step

TEMPERATURES = [1.0, 0.3, 0.1, 0.03, 0.01]


def check() -> Verdict:
    """The mean over samples."""
    return _verdict(is_mean=True)


def refuted() -> Verdict:
    """The sum over samples."""
    return _verdict(is_mean=False)


def _verdict(is_mean: bool) -> Verdict:
    y, t, rho, rest, worst = sympy.symbols("y t rho rest worst", positive=True)
    N, more = sympy.symbols("N more", positive=True)
    K = 2 + sympy.Symbol("others", nonnegative=True)
    x = 1 / (1 + more)  # any number in (0, 1); at x = 1 by continuity
    share = N if is_mean else 1
    below = sympy.log(1 + y) - y / 2
    x_of_t = sympy.exp(-rho / t)
    return Verdict.of(
        "symbolic",
        [
            step("y - log(1 + y) rises from 0", is_positive(sympy.diff(y - sympy.log(1 + y), y))),
            step(
                "log(1 + y) - y/2 rises from 0 on (0, 1)",
                below.subs(y, 0) == 0 and is_positive(sympy.simplify(sympy.diff(below, y).subs(y, x))),
            ),
            step("mean loss >= worst sample's loss / N", is_positive(sympy.expand((worst + rest) / N - worst / share))),
            step(
                "t log((K - 1) x) + rho = t log(K - 1)",
                is_zero(_scaled((K - 1) * x_of_t, t) + rho - t * sympy.log(K - 1)),
            ),
            step(
                "t log(x/(2 N)) + rho = -t log(2 N)",
                is_zero(_scaled(x_of_t / (2 * share), t) + rho + t * sympy.log(2 * N)),
            ),
            *(step(f"the pentagon at t = {value:g}", _pentagon_obeys(value)) for value in TEMPERATURES),
        ],
        sizes="all K >= 2, d, N >= K, t > 0",
    )


def _scaled(value: sympy.Expr, t: sympy.Expr) -> sympy.Expr:
    return sympy.expand(t * sympy.expand_log(sympy.log(value), force=True))


def _pentagon_obeys(t: float) -> bool:
    """With h_k = w_k; f is not the least loss, but within the same bounds."""
    margins = [1 - math.cos(2 * math.pi * j / 5) for j in range(1, 5)]
    excess = t * math.log(math.log1p(sum(math.exp(-margin / t) for margin in margins))) + min(margins)
    return -t * math.log(10) <= excess <= t * math.log(4)
