"""Focal loss, 0 < gamma <= 20, balanced classes, free bias, d >= K - 1, 1 <= (K - 1) c < S(1/K): every critical point
is a global minimiser or a strict saddle if (K - 1) A > max(a, e).

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; the theorem is derived here

Evidence: interval, derived here. a and -A are the two margins at which S = sigma = (K - 1) c, S as a function of the
margin rising at -A and falling at a > 0; e > 0 solves D(e) (K + e) = 1, D = -S'/S (e = 0 if K D(0) > 1). The minimiser
is the ETF of margin a. At A = a/(K - 1), the c_x of `partial_collapse_ends_the_benign_landscape`, the bound is sharp if
e <= a there. k = K/(K - 1), a_i = log(K - 1) - x_i, ell_i = log S_i + a_i, u_i mean margins of W h_i, beta_y of the
bias. Balls show step 8 for all K at once; algebra the identities of 3, 5, 7 and 9; read on paper:
1. At critical points G1 = 0, H1 = 0, Z1 = 0 and sigma |sum u_i| <= N s |Z|_* <= sum S_i a_i =: sigma T (steps 2, 3 of
   `focal_zero_is_alone_above_its_threshold`).
2. w_iy = e^{a_i - mu_iy}/(K - 1) for y not the label, mu_iy the difference of both logits, whose mean over i not in y
   is mean u - beta_y. Row y of G1 = 0 with arithmetic and geometric mean: beta_y <= log m_y - mean_{i not in y} ell_i +
   T/N, m_y the mean of S over class y.
3. a_i >= beta_y/k - max beta/k (`no_sample_is_below_chance_without_bias`: x_i <= log(K - 1) + u_i'b), so on the class *
   of the largest beta all a_i >= 0. Let B be q samples outside it, a_l = -A_l on B. Add up beta_y(i) (their sum is 0)
   with 2 for i not in B and beta_y(l) <= beta_* - k A_l in B. If class * is collapsed and (3) sum_{not B} [log m_y +
   mean_y ell/(K - 1)] <= sum_{not B} [log S_i + ell_i/(K - 1)], then sum_{not B} a_i (1 - S_i/sigma) + sum_B [S_l
   A_l/sigma - k log(S_*/S_l) - a_*/(K - 1)] <= 0.
4. Take |G|_2 <= s (else a strict saddle: step 1 of `focal_landscape_is_benign_at_small_decays`), so m_y <= sigma
   (`class_slopes_are_bounded_by_the_decays`). Call samples good (a_i >= a), bad (a_i <= -A; none at sigma = 1) or
   middle (S > sigma). B = the bad ones. By `samples_of_a_class_do_not_cross` good ones of a class coincide, good and
   middle ones share no class, and bad ones beside good ones have S_bad < S_good: this is (3), since ell and S of bad
   ones are below those of the class's others and m_y <= sigma < S of middle ones. Class * has a_i >= 0 and a mean <=
   sigma < S(1/K), so a good sample, so only good ones.
5. Middle ones cost at most a (1 - S_l/sigma) for each bad one of their class, and class * gains n a_* (1 - S_*/sigma),
   n >= q/(K - 1). So if B is not empty some bad l has F(A_l) := A_l S_l/sigma + k log S_l - a (1 - S_l/sigma) <= k log
   S_* + a_* S_*/((K - 1) sigma) =: E(a_*).
6. It remains to show F(A') > E(a') for A' >= A, a' >= a. Then there are no bad samples, hence no middle ones, all p_i
   >= p_infl, and steps 5 to 8 of `focal_landscape_is_benign_at_small_decays` end the proof.
7. (K - 1) E' = v - D (K + a' v), v = S/sigma <= 1. D = r(p)/(1/p - g log p/(1 - p)) rises, so E falls beyond max(a, e),
   and before it E <= k log sigma + max(a, e)/(K - 1).
8. F' = (S/sigma) (1 - D_- (A' + a + k sigma/S)), D_- = |S'|/S at -A'. With S >= 1, A' + a <= -log p + log(1 - p) + log
   odds(p_1) (whatever K) and k <= 6/5 (S(1/K) > 1 needs K >= 6) the product is less than 1 for all p < p_infl: F rises,
   F >= F(A) = A + k log sigma.
9. So A > max(a, e)/(K - 1) suffices. It holds on an initial interval of sigma: where a >= e the difference A - a/(K -
   1) falls, as (K - 1) D(a) >= (K - 1)/(K + a) >= 1/(a + k) > D_-(A); where a < e, A falls.

False twin: the proof for gamma <= 60. The bound of step 8 passes 1 near gamma = 30 (what is true there is not known).
"""

import itertools
from collections.abc import Callable
from functools import partial

import sympy
from flint import arb

from theory_checks.intervals import Ball, Cover, ball, least, positive_on
from theory_checks.symbols import is_positive, is_zero, tangent_line_of_exp
from theory_checks.verdict import Finding, Verdict, positive, step

BLOCKS = {
    (0, 1): ("0.119", "1.07"),
    (1, 2): ("0.164", "1.16"),
    (2, 3): ("0.168", "1.23"),
    (3, 4): ("0.168", "1.29"),
    (4, 6): ("0.161", "1.38"),
    (6, 8): ("0.144", "1.46"),
    (8, 10): ("0.128", "1.52"),
    (10, 13): ("0.115", "1.60"),
    (13, 16): ("0.100", "1.66"),
    (16, 20): ("0.088", "1.73"),
}
"""Range of gamma: a p above p_1, where S falls through 1, and a number above S's maximum; balls show both."""
BEYOND = {(20, 60): ("0.076", "2.10")}
PIECES = 8
"""Balls for a unit of gamma."""
FIRST, LAST = 2.83, 30.0
"""-log p: p_infl < 0.0585 = e^-2.8387 (`focal_is_convex_where_p_exceeds_0585`); beyond the last, a bound by hand."""


def check() -> Verdict:
    """Up to 20."""
    return _verdict(BLOCKS)


def refuted() -> Verdict:
    """Up to 60."""
    return _verdict(BLOCKS | BEYOND)


def _verdict(blocks: dict[tuple[int, int], tuple[str, str]]) -> Verdict:
    return Verdict.of(
        "interval",
        [
            step("a sample outside B adds -a_i (1 - S_i/sigma), one in B the bracket", _is_summed()),
            step("(K - 1) E' = v - D (K + a v)", _is_slope_of_E()),
            step("F' = (S/sigma) (1 - D_- (A + a + k sigma/S))", _is_slope_of_F()),
            step("D = r(p)/(1/p - g log p/(1 - p)), whose denominator falls", _is_rising()),
            step("(K - 1) (a + k) >= K + a for K >= 2", _is_ordered()),
            *(finding for block, bounds in blocks.items() for finding in _rises(block, *bounds)),
        ],
        sizes=f"all n, d >= K - 1, K; all gamma in (0, {max(last for _, last in blocks)}]",
        margin_is="distance of D_- (A + a + k sigma/S) below 1, or of a bound it uses, lower bound",
    )


def _rises(block: tuple[int, int], p_one: str, highest: str) -> list[Finding]:
    """That F rises, and what this uses of p_1 and the maximum of S, for every gamma of a block."""
    first, last = map(float, block)
    count = int(PIECES * (last - first))
    edges = [first + (last - first) * i / count for i in range(count + 1)]
    gammas = [ball(*pair) for pair in itertools.pairwise(edges)]
    p, top = arb(p_one), arb(highest)
    below_one = positive_on(lambda gamma: 1 - _slope(-p.log(), gamma), first, last)
    below_top = least(*(_on_small_p(partial(_below, gamma, top)) for gamma in gammas))
    rising = least(*(_on_small_p(partial(_short_of_one, gamma, p, top)) for gamma in gammas))
    # Beyond LAST: D_- <= g p u, S <= 1 + g p u, and p u (u + 6/5 top) falls with u.
    far = arb(last) * (-arb(LAST)).exp() * LAST
    name = f"gamma in [{block[0]}, {block[1]}]"
    return [
        step(f"{name}: S < 1 at p = {p_one}, S < {highest} everywhere", below_one.least is not None and below_top > 0),
        positive(f"{name}: 1 - D_- (A + a + k sigma/S), at least", rising),
        step(f"{name}: and beyond p = e^-{LAST:g}", far * (LAST + 2 * top) < 1 and 1 + far < top),
    ]


def _on_small_p(function: Callable[[Ball], Ball]) -> Cover:
    return positive_on(function, FIRST, LAST)


def _slope(u: Ball, gamma: Ball) -> Ball:
    """S at p = e^-u."""
    p = (-u).exp()
    return (gamma * (1 - p).log()).exp() * (1 - p + gamma * p * u)


def _below(gamma: Ball, top: Ball, u: Ball) -> Ball:
    return top - _slope(u, gamma)


def _short_of_one(gamma: Ball, p_one: Ball, top: Ball, u: Ball) -> Ball:
    """1 less a bound of D_- (A + a + k sigma/S) for every K >= 6 where D_- > 0, p = e^-u."""
    p = (-u).exp()
    q = 1 - p
    relative = p * (q * (gamma * u - 1 - 2 * gamma) - gamma**2 * p * u) / (q + gamma * p * u)
    return 1 - relative * (u + (q * p_one / (1 - p_one)).log() + arb(6) / 5 * top)


def _is_summed() -> bool:
    """The terms of step 3, sample by sample: (3), k times the sum of ell, T, and the bound of beta in B."""
    K, S, best, sigma = sympy.symbols("K S S_star sigma", positive=True)
    a, A, a_best = sympy.symbols("a A a_star", real=True)
    k = K / (K - 1)
    ell = sympy.log(S) + a
    outside = sympy.log(S) + ell / (K - 1) - k * ell + S * a / sigma
    ell_wrong = sympy.log(S) - A
    inside = sympy.log(best) + (sympy.log(best) + a_best) / (K - 1) - k * ell_wrong - S * A / sigma - k * A
    bracket = S * A / sigma - k * (sympy.log(best) - sympy.log(S)) - a_best / (K - 1)
    return is_zero(outside + a * (1 - S / sigma)) and is_zero(inside + bracket)


def _is_slope_of_E() -> bool:
    K, sigma, D, S = sympy.symbols("K sigma D S", positive=True)
    a = sympy.Symbol("a", real=True)
    f = sympy.Function("f")(a)
    E = K / (K - 1) * sympy.log(f) + a * f / ((K - 1) * sigma)
    slope = sympy.diff(E, a).subs(sympy.diff(f, a), -D * f).subs(f, S) * (K - 1)
    return is_zero(slope - (S / sigma - D * (K + a * S / sigma)))


def _is_slope_of_F() -> bool:
    k, sigma, D, S, best = sympy.symbols("k sigma D S a", positive=True)
    A = sympy.Symbol("A", real=True)
    f = sympy.Function("f")(A)
    F = A * f / sigma + k * sympy.log(f) - best * (1 - f / sigma)
    slope = sympy.diff(F, A).subs(sympy.diff(f, A), -D * f).subs(f, S)
    return is_zero(slope - S / sigma * (1 - D * (A + best + k * sigma / S)))


def _is_rising() -> bool:
    """D's form; r rises (`focal_is_convex_exactly_above_one_probability`), and -log p/(1 - p) falls: t - 1 > log t."""
    p, g, odds = sympy.symbols("p gamma odds", positive=True)
    S = (1 - p) ** g * (1 - p - g * p * sympy.log(p))
    r = 1 + 2 * g + g * sympy.log(p) - g**2 * p * sympy.log(p) / (1 - p)
    D = -p * (1 - p) * sympy.diff(S, p) / S
    fall = sympy.diff(-sympy.log(p) / (1 - p), p) + (1 / p - 1 - sympy.log(1 / p)) / (1 - p) ** 2
    at = {p: 1 / (1 + odds)}
    form = (D - r / (1 / p - g * sympy.log(p) / (1 - p))).subs(at)
    return is_zero(form) and is_zero(sympy.expand_log(fall)) and tangent_line_of_exp()


def _is_ordered() -> bool:
    a, others = sympy.symbols("a others", positive=True)  # others = K - 1
    K = others + 1
    gap = sympy.expand((K - 1) * (a + K / (K - 1)) - K - a)
    return is_zero(gap - (others - 1) * a) and is_positive((gap + a) / a)
