"""A loss psi(x) with psi' >= 0 and no bias: at every critical point every sample has p_y >= 1/K, in any dimension.

Theme: critical points

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; this bound is derived here

Evidence: symbolic, derived here, for any n (balanced or not), d and decay_H > 0. Checked by algebra: each of the three
identities and Gibbs's inequality. Read on paper, with u = w - e_y, w the softmax over the classes other than y:
1. Stationarity in h_i: decay_H h_i = -(S_i/N) W'u_i, S_i = psi'(x_i) >= 0, so u_i'z_i = u_i'W h_i = -(S_i/(N decay_H))
   |W'u_i|^2 <= 0.
2. x = log sum_{j != y} e^{z_j} - z_y = u'z + entropy(w), and the entropy of K - 1 classes is at most log(K - 1).
3. So x_i <= log(K - 1), which is p_y = 1/(1 + e^x) >= 1/K.
With a bias the sum u'b is left over. A decayed one is b = -G1/decay_b, so with |G|_2 <= s it is at most c sqrt(2 K)/
decay_b =: delta and p_y >= 1/(1 + (K - 1) e^delta).

False twin: with a free bias. A class at zero has p_y < 1/K at the critical points of
`partial_collapse_ends_the_benign_landscape`.
"""

import sympy
from sympy import Expr

from theory_checks.symbols import is_zero, tangent_line_of_exp
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Without bias."""
    return _verdict(sympy.Integer(0))


def refuted() -> Verdict:
    """With a bias."""
    return _verdict(sympy.Symbol("bias", real=True))


def _verdict(bias: Expr) -> Verdict:
    """`bias` is u'b."""
    K, slope, N, decay, square, z, lse = sympy.symbols("K S N decay_H square z lse", positive=True)
    entropy = sympy.Symbol("entropy", nonnegative=True)
    along = -slope / (N * decay) * square  # u'W h with h = -(S/(N decay_H)) W'u, |W'u|^2 = square
    x = along + bias + entropy
    of_class = sympy.exp(z - lse)  # w_j, so that w_j z_j - w_j log w_j = w_j lse, and these add up to lse
    m, t = sympy.symbols("m t", positive=True)
    n, s = sympy.symbols("n s", positive=True)
    c, shift = s * sympy.sqrt(n), sympy.sqrt(2) * s * sympy.sqrt(n * K)  # |e_y - w| <= sqrt(2), |G1| <= |G|_2 sqrt(N)
    return Verdict.of(
        "symbolic",
        [
            step("u'z is not positive", along.is_nonpositive),
            step(
                "lse = w'z + entropy(w), class by class", is_zero(of_class * z - of_class * (z - lse) - of_class * lse)
            ),
            step("-w log w <= w log m + 1/m - w, with equality at w = 1/m (e^u >= 1 + u)", _gibbs(m, t)),
            step("x is at most the entropy", is_zero(x - entropy - along)),
            step("x = log(K - 1) is p = 1/K", is_zero(1 / (1 + sympy.exp(sympy.log(K - 1))) - 1 / K)),
            step("sqrt(2) s sqrt(N) = c sqrt(2 K)", is_zero(shift - c * sympy.sqrt(2 * K))),
        ],
        sizes="every loss psi(x) with psi' >= 0; every K, n, d, decay; no bias",
    )


def _gibbs(m: Expr, t: Expr) -> bool:
    """w log(w m) >= w - 1/m for w = t/m: t log t >= t - 1, which is e^u >= 1 + u at u = -log t, times t."""
    w = t / m
    difference = (w * sympy.log(w * m) - (w - 1 / m)) * m
    return is_zero(difference - t * (sympy.exp(-sympy.log(t)) - 1 + sympy.log(t))) and tangent_line_of_exp()
