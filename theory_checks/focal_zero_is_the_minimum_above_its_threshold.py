"""Focal loss, free bias, balanced classes, d >= K - 1, K = 10, 2.2 <= gamma <= 10: from c = S(1/K)/(K - 1) on every
critical point but zero is a strict saddle.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; the theorem is derived here

Evidence: interval, derived here for every K <= 1/p_infl with S_0 = S(1/K) > 1, if (i) (K - gamma) log K <= 2 (K - 1)
and (ii) S(-A) >= S_0 at A = 2 S_max log S_0, S as a function of the margin; balls show both on the range named. sigma =
(K - 1) c >= S_0, k = K/(K - 1); the other letters are those of `focal_landscape_is_benign_up_to_partial_collapse`,
whose steps 1 to 3 hold at every critical point. Read on paper:
1. A critical point with (W, H) not zero has |G|_2 >= s, as G G'W = s^2 W. |G|_2 <= (2 sqrt(n)/N) S_max: the columns of
   S_i e_y(i) have disjoint rows, those of S_i w_i have sums <= S_max and, by the free bias, rows of sum n m_y <= n
   S_max. So sigma <= 2 S_max/k. Where (W, H) is zero step 1 there holds with any sigma, as sum u_i = 0 <= sum S_i a_i:
   take S_0, which is below 2 S_max/k too.
2. Let B be the samples with a_l < 0. The others have S falling at a >= 0, so those of a class coincide, and S_l < S_j
   for l of B beside such a j, else they would coincide too (`samples_of_a_class_do_not_cross`). Hence (3) of step 3
   there; class * is collapsed; a_i (1 - S_i/sigma) >= 0 outside B; and n >= q/(K - 1) as there.
3. So if B is not empty some l has A S(-A)/sigma + k log S(-A) <= E(a_*) = k log S_* + a_* S_*/((K - 1) sigma), a_* >=
   0.
4. E falls on a >= 0: (K - 1) E' = v - D (K + a v) with v = S/sigma <= 1 and K D >= 1, as D rises and K D(0) >= 1 is
   (i). So E <= k log S_0. If S(-A) >= S_0 the left side of 3 is larger. Else S(-A) > 1 and A > A_0, S(-A_0) = S_0: the
   left side is above A_0/sigma >= A_0 k/(2 S_max) >= k log S_0 by (ii).
5. B is empty: all p >= 1/K >= p_infl, and steps 1, 5 and 7 of `focal_landscape_is_benign_at_small_decays` leave zero.

False twin: condition (i) for gamma from 2 on. It is (K - gamma) log K <= 2 (K - 1), and 8 log 10 = 18.4.
"""

import sympy
from flint import arb

from theory_checks.intervals import Ball, least, positive_on
from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, positive, step

K, LAST, HIGHEST = 10, 10.0, "1.52"
"""S_max < 1.52 for gamma <= 10: `focal_landscape_is_benign_up_to_partial_collapse`."""


def check() -> Verdict:
    """From 2.2 on."""
    return _verdict(2.1999)


def refuted() -> Verdict:
    """From 2 on."""
    return _verdict(2.0)


def _verdict(first: float) -> Verdict:
    falls = positive_on(lambda gamma: 2 * arb(K - 1) - (K - gamma) * arb(K).log(), first, LAST)
    return Verdict.of(
        "interval",
        [
            step("K D(0) >= 1 is (i)", _is_condition()),
            positive("(i): 2 (K - 1) - (K - gamma) log K, at least", least(falls)),
            positive("(ii): S(-A) - S_0, at least", least(positive_on(_surplus, first, LAST))),
            positive("S_0 - 1, at least", least(positive_on(lambda gamma: _slope(arb(0), gamma) - 1, first, LAST))),
        ],
        sizes=f"K = {K}, gamma in [{first:g}, {LAST:g}], all n, d >= K - 1, every c >= c_low; free bias",
        margin_is="distance of (i), (ii) and S_0 > 1 from equality, lower bound",
    )


def _slope(margin: Ball, gamma: Ball) -> Ball:
    odds = (K - 1) * (-margin).exp()
    rest = odds / (1 + odds)
    return (gamma * rest.log()).exp() * (rest + gamma * (1 + odds).log() / (1 + odds))


def _surplus(gamma: Ball) -> Ball:
    """S(-A) - S_0 at an A above 2 S_max log S_0; S >= S_0 holds up to A_0 and no further."""
    at_zero = _slope(arb(0), gamma)
    return _slope(-2 * arb(HIGHEST) * at_zero.log(), gamma) - at_zero


def _is_condition() -> bool:
    """K D(0) - 1, D = r/(1/p - g log p/(1 - p)) at p = 1/K, times its denominator."""
    classes, g, log_K = sympy.symbols("K gamma log_K", positive=True)
    p = 1 / classes
    r = 1 + 2 * g - g * log_K + g**2 * p * log_K / (1 - p)
    below = 1 / p + g * log_K / (1 - p)
    claimed = classes * g / (classes - 1) * (2 * (classes - 1) - (classes - g) * log_K)
    return is_zero(classes * r - below - claimed)
