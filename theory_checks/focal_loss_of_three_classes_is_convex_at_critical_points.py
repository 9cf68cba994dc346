"""Focal loss, K = 3, equal class sizes, 0 < gamma <= 20, any bias, n, d and decays: at every critical point every
sample has p_y >= p_infl, so that all critical points lie where the loss is convex.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; the statement is derived here

Evidence: interval, derived here: balls show the inequalities of 5 to 8 for every gamma. W need not be critical, only
(H, b). x = log(1/p - 1) is a sample's deficit, S(x) = psi' rises up to x_infl, where p = p_infl, and then falls to 1
(`focal_is_convex_exactly_above_one_probability`); S(x_1) = 1 at x_1 < x_infl; T(x) = S(min(x, x_infl)) >= S rises. w_ij
are the probabilities of the other classes among themselves, H(w) their entropy, mean_k is over class k. On paper:
1. Without bias p >= 1/3 > p_infl (`no_sample_is_below_chance_without_bias`). With one suppose that x_i > x_infl for a
   sample i of class y, so S_i > 1. Then S_j > 1, x_j > x_1 for all j of y: if x_j >= x_i since S > 1 there; if x_j <
   x_i and S_j <= S_i both had one feature (`samples_of_a_class_do_not_cross`).
2. First order in h (u'W h <= 0) gives x_j <= H(w_j) + sum_m w_jm b_m - b_y <= log(sum_{m /= y} exp(b_m - b_y)).
3. Row m of G 1 = -decay_b b reads sum_{k /= m} mean_k S w_.m = mean_m S - 3 decay_b b_m, as the sizes are equal; sum b
   = 0 (if the bias is free it is taken so).
4. If b_y is the largest, x_i <= log 2 < x_infl.
5. If b_l <= b_y <= b_m, let beta = b_m - b_y. By 2 x_j <= log 2 + w_jm beta for all j of y, so w_jm beta > x_1 - log 2,
   beta > x_infl - log 2; on class m x <= log 2 - beta. Row m, b_m >= 0: mean_y S w_.m <= mean_m S, so (x_1 - log 2)/
   beta < T(log 2 - beta), which is false for all these beta.
6. If b_y is the least, let lambda = b_l - b_y >= beta = b_m - b_y >= 0; exp(beta) + exp(lambda) > exp(x_infl). Row y,
   b_y <= 0: 1 < mean_y S <= A_m + A_l, A_k = mean_k S w_.y. On class l, with w = w_.y, x <= H(w) + (1 - w) beta -
   lambda, so A_l <= sup_w T(that) w. Row l, b_l >= 0: mean_m S w_.l <= mean_l S <= s = T(log(1 + exp(beta)) - lambda).
   On class m, with v = w_.l, x <= H(v) + v lambda - beta, so for any mu >= 0 A_m <= mu s + sup_v T(that) max(0, 1 - (1
   + mu) v). But A_m + A_l < 1: in boxes for lambda <= 300.
7. Beyond, let delta = lambda - beta, D = 2 log lambda + 5; T(x) <= (1 + gamma) exp(x). If delta >= D: A_l <= s <= 2 (1
   + gamma) exp(-delta); mu = lambda and t = v lambda give A_m <= lambda s + sup_{0<=t<=1} T(H(1/(1 + lambda)) + t) (1 -
   t).
8. If delta < D, with mu = 0: 1 - v, or w, is below (D + log 2 + L)/lambda, or T is below (1 + gamma) exp(-L), so both A
   are at most S_max (D + log 2 + L)/lambda + (1 + gamma) exp(-L), L = 5 + log(1 + gamma). The bounds of 7 and 8 fall
   with lambda and are small enough at 300.
So (H, b) is one function of W, and n drops out (`ufm/complete/reduction.py`). Equal sizes enter in 3 and 4 to 6, three
classes in 5 and 6. For the last finding take K - 1 classes on a simplex of margin t, the last at w = h = 0 with a bias
B below theirs: critical for a c of its own if row y of G 1 = 0, S(log(K - 1) + B) = (K - 1) S(o) w_oy, gives B.

False twin: 17 classes. At gamma = 2.4, t = 0.4 the class at zero has p_y < p_infl, though 1/17 > p_infl.
"""

from itertools import pairwise

from flint import arb, ctx

from theory_checks.intervals import Ball, ball, root_between
from theory_checks.verdict import Finding, Verdict, positive, step
from ufm.complete.convex_region import PRECISION, bend, is_below, is_between, is_beyond, rise_of, slope

GAMMAS = (0.0, 1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 13.0, 20.0)
"""Ends of the balls of gamma."""
SEEN, MARGIN = "2.4", "0.4"
"""gamma and t of the state looked at."""


def check() -> Verdict:
    """Three classes."""
    return _verdict(3)


def refuted() -> Verdict:
    """Seventeen; what is shown for three is shown again."""
    return _verdict(17)


def _verdict(K: int) -> Verdict:
    with ctx.workprec(PRECISION):
        shown = [finding for ends in pairwise(GAMMAS) for finding in _of_gammas(*ends)]
        curvature = bend(_deficit_at_zero(K), arb(SEEN))
    name = f"K = {K}, gamma = {SEEN}: the sign's number of psi'' of a class at zero, at least"
    return Verdict.of(
        "interval",
        [*shown, positive(name, float(curvature.lower()))],
        sizes=f"K = {K}, gamma in (0, {GAMMAS[-1]:g}], all n, d, decays; the bias free, decayed or absent",
        margin_is="a number of the sign of psi'' at a critical point, lower bound",
    )


def _of_gammas(low: float, high: float) -> list[Finding]:
    gamma, name = ball(low, high), f"gamma in [{low:g}, {high:g}]:"
    rise = rise_of(gamma)
    return [
        step(f"{name} 5, beta T(log 2 - beta) < x_1 - log 2", is_between(gamma, rise)),
        step(f"{name} 6, A_m + A_l < 1 in boxes", is_below(gamma, rise)),
        step(f"{name} 7 and 8, A_m + A_l < 1 beyond", is_beyond(gamma, rise)),
    ]


def _deficit_at_zero(K: int) -> Ball:
    """log(K - 1) + B of the state with one class at zero."""
    t, gamma = arb(MARGIN), arb(SEEN)

    def excess(B: Ball) -> Ball:
        label = (-t * (K - 2) / (K - 1) - B).exp()
        odds = (K - 2) * (-t).exp() + label
        return slope(arb(K - 1).log() + B, gamma) - (K - 1) * slope(odds.log(), gamma) * label / odds

    return arb(K - 1).log() + root_between(excess, -0.5, 0.5)
