"""Linear factors, squared error, balanced classes: singular directions each active or zero, bias along 1, is the global
minimum for any decay of the bias.

Theme: more layers

Source: Dang et al. 2023 (any number of factors; without bias or with a free one); a decayed bias is derived here

Evidence: symbolic, for all K >= 2, n, decays, rescalings and penalties that rise with each singular value (the M
factors' among them). For a fixed bias b, |Z - Y + b1'| is at least the distance of the singular values (Mirsky 1960),
so that f is a sum over those of I - b1': K - 2 ones and s1, s2, in a basis of 1 and of what b has besides. They satisfy
(s1^2 - 1)(1 - s2^2) = K |b - mean|^2, so s1 >= 1 >= s2, and decay_b |b|^2 K is at least decay_b (s1 - s2)^2. With x1 <=
s1 the best value of the first direction, the bound falls as s1 falls to max(1, x1), and then with both to 1; at s1 = 1
the bias is a multiple of 1 and the second direction, the common one, weighs decay_b/(k + decay_b) of the others, k the
loss's weight. Numeric cross-check: no start below it at K = 3, d = 3, n = 1, M = 3, decays 0.1, bias decays 0.01, 0.1
and 1.

False twin: the common direction weighs as much as the others.
"""

from collections.abc import Callable
from typing import Any

import sympy
import torch

from theory_checks.random_starts import starts_at_scales
from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.deep import DeepProblem
from ufm.model.losses import SquaredError
from ufm.solve.minimise import minimise
from ufm.theory.deep_prediction import deep_target

STARTS = 30


def check() -> Verdict:
    """With what a decayed bias leaves."""
    return _verdict(lambda k, d: d / (k + d))


def refuted() -> Verdict:
    """With all."""
    return _verdict(lambda k, d: sympy.Integer(1))


def _verdict(kept: Callable[..., Any]) -> Verdict:
    return Verdict.of(
        "symbolic",
        [*_singular_values(), *_falls(), *_common(kept), *_measured()],
        sizes="all K >= 2, n, decays, rescalings, rising penalties; K = 3, M = 3",
    )


def _singular_values() -> list[Finding]:
    """Of I - b1', b = t 1/K + s e with a unit vector e across 1, on the span of 1/sqrt K and e (elsewhere it is I)."""
    t, s = sympy.symbols("t s", real=True)
    K = sympy.Symbol("K", positive=True)
    block = sympy.Matrix([[1 - t, 0], [-s * sympy.sqrt(K), 1]])
    squares = sum(entry**2 for entry in block)  # s1^2 + s2^2
    product = block.det()  # s1 s2, but for its sign
    bias = t**2 / K + s**2  # |b|^2
    return [
        step("s1 s2 = |1 - t|", is_zero(product - (1 - t))),
        step("(s1^2 - 1)(1 - s2^2) = K s^2", is_zero(squares - 1 - product**2 - K * s**2)),
        step("t <= 1: K |b|^2 = (s1 - s2)^2", is_zero(K * bias - (squares - 2 * product))),
        step("t > 1: K |b|^2 = (s1 + s2)^2", is_zero(K * bias - (squares + 2 * -product))),
    ]


def _falls() -> list[Finding]:
    """2 K f of the two directions, but for their penalties."""
    k, d, over, above, s1, s2, x1, x2 = sympy.symbols("k d over above s1 s2 x1 x2", positive=True)
    bound = k * (x1 - s1) ** 2 + k * (x2 - s2) ** 2 + d * (s1 - s2) ** 2
    alone = sympy.diff(bound, s1).subs({x1: s1 - over, s2: s1 - above})
    together = sympy.diff(bound.subs(s1, x1), x1).subs(x1, s2 + above)
    return [
        step("the bound rises with s1 where s1 > x1, s2", is_positive(sympy.expand(alone))),
        step("and with s1 = x1 > s2, whose penalty rises too", is_positive(sympy.expand(together))),
    ]


def _common(kept: Callable[..., Any]) -> list[Finding]:
    """At s1 = 1 the best s2 leaves k kept (1 - x2)^2."""
    k, d, s2, x2 = sympy.symbols("k d s2 x2", positive=True)
    bound = k * (x2 - s2) ** 2 + d * (1 - s2) ** 2
    best = (k * x2 + d) / (k + d)
    return [
        step("the best s2 is (k x2 + d)/(k + d)", is_zero(sympy.diff(bound, s2).subs(s2, best))),
        step(
            "and leaves the common direction its weight", is_zero(bound.subs(s2, best) - k * kept(k, d) * (1 - x2) ** 2)
        ),
    ]


def _measured() -> list[Finding]:
    deviations = []
    for decay_b in (0.01, 0.1, 1.0):
        problem = DeepProblem(SquaredError(), 3, 3, 1, 0.1, 0.1, decay_b, (0.1,))
        ends = minimise(problem, starts_at_scales(problem.size, STARTS), 1e-9)
        lowest = float(torch.where(ends.is_converged, ends.value, torch.inf).min())
        deviations.append(abs(lowest - deep_target(problem).value))
    return [cross_check(f"lowest of {STARTS} starts less the closed form, three decays", max(deviations), 1e-12)]
