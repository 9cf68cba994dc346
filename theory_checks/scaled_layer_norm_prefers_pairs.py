"""Behind a layer normalisation with decayed scale, cross entropy is never least at a simplex of positive margin for
even K >= 6 and d >= K/2 + 7: K/2 opposite pairs of classes in K/2 dimensions have a lower loss and a lower penalty.

Theme: trained networks

Source: derived here (low-rank bias of three factors: Garrod and Keating 2024 for linear layers)

Evidence: symbolic. Logits are V x, V = W diag(gamma), x of |x|^2 <= d and 1'x = 0. A simplex of margin a > 0 costs at
least decay (K-1)^(3/2) a/sqrt(K d): 1/2 (|W|^2 + |gamma|^2) >= sum_c |v_c| >= |V|_* >= |V X|_{2/3}/|X|_F, the means of
two numbers, the triangle inequality and Hölder for Schatten norms, in this docstring alone. Pairs +-a on K/2 channels,
whose sum the other channels take away, cost decay K a/sqrt(2 d'), d' = d/(1 + 1/(d - K/2)): checked as a network, entry
by entry, at K = 6. Their loss is lower, since the opposite class has the margin 2 a. So for every loss that falls with
p_y. Numeric cross-check at K = 6, d = 12: random starts end below every simplex.

False twin: K >= 4, where the simplex costs less.
"""

import math

import sympy
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from theory_checks.random_starts import minimise_from, starts_at_scales
from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, step

K, D, DECAY, STARTS = 6, 12, 0.01, 8


def check() -> Verdict:
    """From six classes on."""
    return _verdict(6)


def refuted() -> Verdict:
    """From four classes on."""
    return _verdict(4)


def _verdict(least: int) -> Verdict:
    a, q, free, spare = sympy.symbols("a q free spare", positive=True)  # free = d - K/2
    classes, d = q + 1, free + (q + 1) / 2
    simplex = q ** sympy.Rational(3, 2) * a / sympy.sqrt(classes * d)
    pairs = classes * a / sympy.sqrt(2 * d / (1 + 1 / free))
    square = (classes / q) ** 3 / 2 * (1 + 1 / free)
    losses = [1 + q * sympy.exp(-a), 1 + (q - 1) * sympy.exp(-a) + sympy.exp(-2 * a)]
    return Verdict.of(
        "symbolic",
        [
            step("square of the ratio of the penalties", is_zero(sympy.simplify((pairs / simplex) ** 2 - square))),
            step("it falls with K", is_positive(sympy.factor(-sympy.diff(square, q)))),
            step("it falls with d - K/2", is_positive(sympy.factor(-sympy.diff(square, free)))),
            step(f"it is below 1 at K = {least}, d - K/2 = 7", (1 - square.subs({q: least - 1, free: 7})).is_positive),
            step(
                "the pairs' loss is lower: e^-a > e^-2a",
                is_positive(sympy.factor((losses[0] - losses[1]).subs(a, sympy.log(1 + spare)))),
            ),
            *_network(),
            *_measured(),
        ],
        sizes="all even K >= 6, d >= K/2 + 7, decays; entry by entry and numerically K = 6, d = 12",
    )


def _network() -> list[Finding]:
    """The pairs at K = 6 as W, gamma and x: what they obey, and what they cost."""
    a, w, g, rho = sympy.symbols("a w g rho", positive=True)
    r, off = K // 2, D - K // 2
    signs = [(k // 2, (-1) ** k) for k in range(K)]
    W = sympy.Matrix(K, D, lambda k, c: w * signs[k][1] if c == signs[k][0] else 0)
    gamma = sympy.diag(*[g] * r, *[0] * off)
    ones = sympy.eye(r).col_join(-sympy.ones(off, r) / off)  # a pair's channel, and what takes its sum away
    x = sympy.Matrix(D, K, lambda c, k: rho * signs[k][1] * ones[c, k // 2])
    logits = W * gamma * x
    at = {w: sympy.sqrt(a / rho) * (sympy.Rational(r, K)) ** sympy.Rational(1, 4)}
    at[g] = a / rho / at[w]
    paid = ((W.T * W).trace() + (gamma * gamma).trace()).subs(at) / 2
    claimed = K * a / sympy.sqrt(2) / rho
    return [
        step("each x has sum 0", all(is_zero(sum(x[:, k])) for k in range(K))),
        step(
            "and |x|^2 = rho^2 (1 + 1/(d - K/2))",
            all(is_zero((x[:, k].T * x[:, k])[0] - rho**2 * (1 + sympy.Rational(1, off))) for k in range(K)),
        ),
        step(
            "logits are a, -a within a pair, and 0",
            all(is_zero(logits[j, k].subs(at) - _logit(j, k) * a) for j in range(K) for k in range(K)),
        ),
        step("the pairs' penalty", is_zero(paid - claimed)),
    ]


def _logit(j: int, k: int) -> int:
    return 0 if j // 2 != k // 2 else 1 if j == k else -1


def _measured() -> list[Finding]:
    """The lowest of a few random starts against the least of a bound that every simplex obeys."""

    def simplex(a: float) -> float:
        return math.log1p((K - 1) * math.exp(-a)) + DECAY * (K - 1) ** 1.5 * a / math.sqrt(K * D)

    least = float(minimize_scalar(simplex, bounds=(0.0, 40.0), method="bounded").fun)
    ends = minimise_from(_value, starts_at_scales(2 * K * D + D, STARTS, (0.3,)), 1e-6, 300)
    lowest = float(ends.value.min())
    return [step(f"lowest of {STARTS} starts, {lowest:.6f}, below every simplex, {least:.6f}", lowest < least)]


def _value(point: Float[Tensor, "B P"]) -> Float[Tensor, " B"]:
    """The objective without bias and shift, one image of one token a class."""
    W, gamma, tokens = point.split([K * D, D, K * D], -1)  # type: ignore[no-untyped-call]
    centred = tokens.unflatten(-1, (K, D))
    centred = centred - centred.mean(-1, keepdim=True)
    x = math.sqrt(D) * centred / centred.norm(dim=-1, keepdim=True)
    logits = (gamma[:, None, :] * x) @ W.unflatten(-1, (K, D)).mT
    losses = logits.logsumexp(-1) - logits.diagonal(dim1=-2, dim2=-1)
    return losses.mean(-1) + DECAY / 2 * (W.square().sum(-1) + gamma.square().sum(-1))
