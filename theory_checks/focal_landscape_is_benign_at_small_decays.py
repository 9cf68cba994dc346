"""Focal loss, balanced classes, d >= K - 1, every gamma > 0 and n: every critical point is a global minimiser or a
strict saddle if (K - 1) c < 1 with a free bias, sqrt(K (K - 1)) c < 1 with any, and without bias for every c if 1/K >=
p_infl (K <= 17: every gamma), else for sqrt(K (K - 1)) c < S(1/K).

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; Zhu et al. 2021, Theorem 3.2 (cross
entropy); the global theorem is derived here. Shen and Gu 2024 have cross entropy and squared error at d = K

Evidence: symbolic, derived here. The minimiser is unique up to rotations (and a constant in a free bias): the ETF of
the margin where S falls through (K - 1) c < S(1/K), else zero. S(p) = psi' = (1 - p)^g (1 - p - g p log p). Checked by
algebra: S at both ends, the bounds, the balance of nuclear norm and decays, |G|_2 at ETF and zero. Read on paper:
1. A critical point that is no strict saddle has |G|_2 <= s: a unit a with W a = 0 gives the curvature -2 (|G|_2 - s)
   (`negative_curvature_direction`). 1'G = 0 makes 1'W = 0, so rank W <= K - 1; without such an a, d = K - 1 = rank W,
   and G G'W = s^2 W with G'1 = 0 gives G G' = s^2 (I - 11'/K), |G|_2 = s. Call |G|_2 <= s admissible.
2. At an admissible point the class means of S are at most (K - 1) c (free bias), the root mean squares at most sqrt(K
   (K - 1)) c (any) (`class_slopes_are_bounded_by_the_decays`).
3. S starts at 1, rises to its maximum at p_infl and falls to 0 (r of `focal_is_convex_exactly_above_one_probability`
   rises), so S < 1 is p > p_1, with p_1 > p_infl. If the bound of 2 is below 1 some sample of class y has S < 1. Let j
   be the one with the largest p: p_j > p_1. Any other i of y has S_i >= S_j: S falls from p_i to p_j if p_i >= p_infl,
   else S_i > 1 > S_j. Hence h_i = h_j (`samples_of_a_class_do_not_cross`), and all p_i > p_1: the point lies in R =
   {all p_i >= p_infl}, which is convex, and g is convex on R.
4. No bias: p_i >= 1/K everywhere (`no_sample_is_below_chance_without_bias`). If 1/K >= p_infl all critical points lie
   in R. Else on p >= 1/K step 3 goes through with S(1/K) in place of 1, since S >= S(1/K) on [1/K, p_infl].
5. An admissible point in R is least on R: for (Z', b') in R convexity gives g(Z' + b'1') >= g + <G, Z' - Z> + <G1, b' -
   b>; -<G, Z> = decay_W |W|^2 = decay_H |H|^2 <= s |Z|_* <= (decay_W |W|^2 + decay_H |H|^2)/2, so all are equal; <G,
   Z'> >= -s |Z'|_*; G1 = -decay_b b. Summed: f(W', H', b') >= f(W, H, b) + decay_b/2 |b' - b|^2.
6. A global minimiser exists: f is coercive but for a constant in a free bias, since a bias far below another sends a p
   to 0 and its loss to infinity. It is admissible, so in R, so every admissible point has its value.
7. Two of them: on the segment between, g is affine, so psi'' (u'v)^2 + psi' var_w(v) = 0 for the change v of each
   sample's logits, with psi'' > 0 but at p_infl: v is constant. With 1'Z = 0 (and Z1 = 0, as H1 = -W'G1/decay_H = 0, if
   the bias is free) Z and b are the same; (W, H) are Z's balanced factors, unique up to rotation.
8. The ETF of margin a > 0 with S = (K - 1) c on the falling branch, b = 0, is critical with |G|_2 = s and in R; zero is
   if S(1/K) <= (K - 1) c and 1/K >= p_infl, which is so where the bounds of 2 to 4 hold.
A critical point of another value is not admissible: by 1 it is a strict saddle.

False twin: (K - 1) c < 1.19 with a free bias. At K = 30, gamma = 3, c = 0.0409664, (K - 1) c = 1.188,
`focal_has_spurious_minima`.
"""

import sympy
from sympy import Expr

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """Class means below 1."""
    return _verdict(sympy.Integer(1))


def refuted() -> Verdict:
    """Class means below 1.19."""
    return _verdict(sympy.Rational(119, 100))


def _verdict(largest: Expr) -> Verdict:
    p, g, K, n, s, S, a, x, y = sympy.symbols("p gamma K n s S a x y", positive=True)
    slope = (1 - p) ** g * (1 - p - g * p * sympy.log(p))
    odds = sympy.Symbol("odds", positive=True)
    N, c = n * K, s * sympy.sqrt(n)
    simplex = S / N * K / (K - 1) * sympy.sqrt(n)  # |G|_2 with g_i = (S/N) K/(K - 1) (1/K - e_y)
    column = (S / N) ** 2 * (1 + 1 / (K - 1))  # |g_i|^2
    return Verdict.of(
        "symbolic",
        [
            step(f"S is {largest} or more on its rising branch: it starts there", _start(slope, p) >= largest),
            step("S ends at 0", sympy.limit(slope.subs(p, 1 / (1 + odds)), odds, 0, "+") == 0),
            step(
                "K (n K) |g|^2/(K - 1) = |G|_2^2: K - 1 equal singular values",
                is_zero(N * column / (K - 1) - simplex**2),
            ),
            step("|G|_2 = s is S = (K - 1) c", is_zero(simplex.subs(S, (K - 1) * c) - s)),
            step("s x y <= (decay_W x^2 + decay_H y^2)/2, equal if balanced", _is_balanced(x, y)),
            step("the ETF has s |Z|_* = (K - 1) c a", is_zero(s * a * sympy.sqrt(n) * (K - 1) - (K - 1) * c * a)),
        ],
        sizes="all gamma > 0, K >= 2, n, d >= K - 1, decays of W and H > 0; the bias free, decayed or absent",
    )


def _start(slope: Expr, p: Expr) -> Expr:
    return sympy.limit(slope, p, 0, "+")


def _is_balanced(x: Expr, y: Expr) -> bool:
    """For singular values x of W, y of H: between the sides is half a square, zero if decay_W x^2 = decay_H y^2."""
    decay_W, decay_H = sympy.symbols("decay_W decay_H", positive=True)
    gap = (decay_W * x**2 + decay_H * y**2) / 2 - sympy.sqrt(decay_W * decay_H) * x * y
    square = (sympy.sqrt(decay_W) * x - sympy.sqrt(decay_H) * y) ** 2 / 2
    return is_zero(gap - square) and is_zero(square.subs(y, sympy.sqrt(decay_W / decay_H) * x))
