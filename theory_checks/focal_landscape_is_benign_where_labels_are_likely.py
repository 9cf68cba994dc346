"""Focal loss, classes of any sizes n_y, d >= K - 1, gamma > 0: every critical point is a global minimiser or a strict
saddle if rho >= p_infl, or if N s sqrt((K - 1)/(K n_y)) < S(rho) for every class; rho = 1/(1 + (K - 1) e^delta), delta
= 0 without bias, sqrt(2 N) s/decay_b with one; a free one has rho = 0, S(rho) = 1, and s sqrt(N (N - n_y) (K - 1)/(K
n_y)) < 1 is enough.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; Fang et al. 2021 for unequal classes (cross
entropy); the theorem is derived here

Evidence: symbolic, derived here. N samples, s = sqrt(decay_W decay_H), c = s sqrt(n) for equal sizes n. Without bias
rho = 1/K: for K <= 17 (every gamma) the landscape is benign at all decays and sizes. Letters and steps are those of
`focal_landscape_is_benign_at_small_decays`, whose steps 1, 5 to 7 use no sizes. Checked by algebra: all bounds and
their values at equal sizes. Read on paper:
1. Let |G|_2 <= s (else a strict saddle: step 1 there). x_i <= log(K - 1) + u_i'b, u_i = w_i - e_y
   (`no_sample_is_below_chance_without_bias`, steps 1 and 2, with the bias left over). b = -G1/decay_b, |u_i|^2 = 1 +
   |w_i|^2 <= 2 and |G1| <= s sqrt(N) give u_i'b <= delta, so p_i >= rho.
2. Row y of v'G, v = sqrt(K/(K - 1)) (e_y - 1/K) (`class_slopes_are_bounded_by_the_decays`, step 1, before N = n K is
   put in): sum_{i in y} S_i^2 + sum_{i not in y} S_i^2 w_iy^2 <= N^2 s^2 (K - 1)/K. So the root mean square of S in
   class y is at most N s sqrt((K - 1)/(K n_y)).
3. A free bias makes row y of G add up to zero: sum_{i not in y} S_i w_iy = n_y m_y, m_y the mean of S; the second sum
   of 2 has N - n_y terms, so n_y m_y^2 + (n_y m_y)^2/(N - n_y) <= N^2 s^2 (K - 1)/K.
4. If rho >= p_infl, all p_i >= p_infl by 1. Else S >= S(rho) on [rho, p_infl], where S rises with p, and some sample
   of every class has S < S(rho) by 2 or 3, so it lies where S has fallen below: the one of the class with the largest p
   does, every other has S at least as large, and both have one feature (`samples_of_a_class_do_not_cross`). So all p_i
   > p_infl: the point is in R, where g is convex.
5. Such points are least on R, a global minimiser exists (a class without probability has an infinite loss) and is one
   of them (steps 5, 6 there): all are global minimisers. For equal sizes that is the ETF if (K - 1) c < S(1/K), else
   zero; zero is in R then, for if 1/K < p_infl, rho <= 1/K gives S(rho) <= S(1/K), so that (K - 1) c < S(1/K).

False twin: |u_i| <= 1, delta = sqrt(N) s/decay_b. A sample whose other classes are told apart has |u|^2 = 2.
"""

import sympy
from sympy import Expr

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """|u|^2 <= 2."""
    return _verdict(sympy.Integer(2))


def refuted() -> Verdict:
    """|u|^2 <= 1."""
    return _verdict(sympy.Integer(1))


def _verdict(square: Expr) -> Verdict:
    K, n, rest, N, s, m, decay_b = sympy.symbols("K n N_rest N s m decay_b", positive=True)
    equal = {N: n * K}
    row = N**2 * s**2 * (K - 1) / K
    own, others = n * m**2, (n * m) ** 2 / rest
    free = s * sympy.sqrt((n + rest) * rest * (K - 1) / (K * n))
    c, delta = s * sympy.sqrt(n), sympy.sqrt(square) * s * sympy.sqrt(N) / decay_b
    p, g = sympy.symbols("p gamma", positive=True)
    slope = (1 - p) ** g * (1 - p - g * p * sympy.log(p))
    return Verdict.of(
        "symbolic",
        [
            step(f"|u|^2 <= {square}: what is missing are products of probabilities", _is_short(square)),
            step("S is 1 at p = 0, where rho of a free bias is", sympy.limit(slope, p, 0, "+") == 1),
            step("n_y (root mean square)^2 is row y's bound", is_zero(n * (row / n) - row)),
            step("both sums are n_y m^2 N/(N - n_y)", is_zero(own + others - n * m**2 * (n + rest) / rest)),
            step("m is the bound of 3 at equality", is_zero((own + others).subs(m, free) - row.subs(N, n + rest))),
            step("equal sizes: sqrt(K (K - 1)) c", is_zero((row / n).subs(equal) - K * (K - 1) * c**2)),
            step("equal sizes: (K - 1) c", is_zero(free.subs(rest, n * (K - 1)) ** 2 - ((K - 1) * c) ** 2)),
            step(
                "equal sizes: delta = c sqrt(2 K)/decay_b",
                is_zero((delta / sympy.sqrt(square) * sympy.sqrt(2)).subs(equal) - c * sympy.sqrt(2 * K) / decay_b),
            ),
        ],
        sizes="all gamma > 0, K >= 2 (|u|^2: K = 4), class sizes, d >= K - 1, decays of W and H > 0; any bias",
    )


def _is_short(square: Expr) -> bool:
    """For w of three other classes that add up to 1: square - 1 - |w|^2 is twice a sum of products, if square = 2."""
    w = sympy.symbols("w:3", nonnegative=True)
    missing = square - 1 - 1 + (sum(w) ** 2 - sum(x**2 for x in w))
    return sympy.expand(missing).is_nonnegative is True
