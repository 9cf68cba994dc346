"""Focal loss, balanced classes, S(1/K) <= 1 (all K <= 5), any bias and dimension: from (K - 1) c >= S(1/K) on zero is
the only critical point.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; the statement is derived here

Evidence: interval: K <= 5 for all gamma >= 0 in balls; the rest is algebra, read on paper. S = (1 - p)^g (1 - p - g p
log p); a_i = log(K - 1) - x_i, so p_i >= 1/K iff a_i >= 0; u_i the mean margin of W h_i, beta_y that of the bias; sigma
= (K - 1) c.
1. S(1/K) <= 1 puts 1/K at p_1 or beyond, where S falls: S <= S(1/K) for a >= 0, S >= S(1/K) for a <= 0 (also on the
   rising branch, where S >= 1).
2. -N <G, Z + b1'> = sum_i S_i (entropy(w_i) - x_i) <= sum_i S_i a_i, and the left side is N s |Z|_* + N decay_b |b|^2,
   since -<G, Z> = decay_W |W|^2 = s |Z|_* at every critical point.
3. N s |Z|_* >= sigma |sum u_i| (`focal_with_bias_collapses_for_small_decays`), and a_i <= u_i + beta_{y(i)} by Jensen,
   where the betas of balanced classes add up to 0 (if the bias is free, so may be its mean): sum u_i >= sum a_i.
4. With P and M the sums of positive and of negated negative a_i: S(1/K) (P - M) >= sum S_i a_i >= max(0, sigma (P -
   M)). So P >= M. If sigma > S(1/K), P = M and sum S_i a_i = 0; if equal, sum S_i a_i = S(1/K) (P - M). Either way
   every S_i a_i = S(1/K) a_i; S falls strictly on a > 0, so P = 0, hence M = 0 and |Z|_* = 0: W = H = 0.
5. Then all a_i = 0 with equality in Jensen: b is constant.
With `focal_landscape_is_benign_at_small_decays`: for these K the landscape is benign at every c without bias and with a
free one, and with a decayed one if S(1/K) <= sqrt((K - 1)/K).

False twin: S(1/K) <= 1.19. At K = 30, gamma = 3 S(1/K) = 1.1805, and the ETF is critical up to (K - 1) c = 1.2015
(`focal_zero_and_etf_exchange`).
"""

import sympy
from flint import arb
from sympy import Expr

from theory_checks.intervals import Ball, least, positive_on
from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, positive, step
from ufm.proof.ball_losses import focal_slope_ball


def check() -> Verdict:
    """S(1/K) <= 1."""
    return _verdict(sympy.Integer(1))


def refuted() -> Verdict:
    """S(1/K) <= 1.19."""
    return _verdict(sympy.Rational(119, 100))


def _verdict(largest: Expr) -> Verdict:
    p, g, n, s, K = sympy.symbols("p gamma n s K", positive=True)
    slope = (1 - p) ** g * (1 - p - g * p * sympy.log(p))
    at_zero, last, P, M = sympy.symbols("S_0 sigma P M", nonnegative=True)
    c, N = s * sympy.sqrt(n), n * K
    z = sympy.Symbol("z_y", real=True)
    rest, label = sympy.Rational(4, 5), sympy.log(5) / 5
    rate = sympy.diff(g * sympy.log(rest) + sympy.log(rest + g * label), g)  # of log S(1/5)
    return Verdict.of(
        "interval",
        [
            step(f"S is {largest} or more on its rising branch: it starts there", _start(slope, p) >= largest),
            step(
                "sigma |sum u| = N s |Z|_* at most: (K - 1) c K/(K - 1) sqrt(n) = N s",
                is_zero(c * K * sympy.sqrt(n) - N * s),
            ),
            step("u = K/(K - 1) z_y where the logits add up to 0", is_zero(z + z / (K - 1) - K / (K - 1) * z)),
            step(
                "S_0 (P - M) - sigma (P - M) = -(sigma - S_0)(P - M)",
                is_zero((at_zero - last) * (P - M) + (last - at_zero) * (P - M)),
            ),
            positive("1 - S(1/5) for gamma up to 64, at least", least(positive_on(_surplus, 0.0, 64.0))),
            step(
                "there log S(1/5) falls, and its slope falls", is_positive(-rate.subs(g, 64)) and _is_falling(rate, g)
            ),
        ],
        sizes="all n, d, decays, any bias; all gamma > 0 where S(1/K) <= 1: all for K <= 5",
        margin_is="distance of S(1/5) below 1, lower bound",
    )


def _start(slope: Expr, p: Expr) -> Expr:
    return sympy.limit(slope, p, 0, "+")


def _is_falling(rate: Expr, g: Expr) -> bool:
    return is_positive(-sympy.diff(rate, g))


def _surplus(gamma: Ball) -> Ball:
    """1 - S(1/5)."""
    return 1 - focal_slope_ball(arb(0), 5, gamma)
