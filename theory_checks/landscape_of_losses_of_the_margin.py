"""Poly-1, symmetric cross entropy, generalised and Taylor cross entropy: focal loss's landscape theorem holds with the
constant L of psi in place of 1.

Theme: critical points

Source: Leng et al. 2022 (Poly-1); Wang et al. 2019 (symmetric cross entropy); Zhang and Sabuncu 2018 (generalised cross
entropy); Feng et al. 2020 (Taylor cross entropy); the theorem is derived here

Evidence: symbolic, derived here. psi(x) of x = log sum_{j != y} e^{z_j} - z_y twice differentiable, bounded below, psi'
> 0, psi'' > 0 for x < x_0; L = inf psi' over x >= x_0, in p: over p <= p_0. Balanced classes, d >= K - 1, any n. Benign
(every critical point a global minimiser, the ETF with psi' = (K - 1) c or zero, or a strict saddle) if (K - 1) c < L
with a free bias (psi -> infinity needed), sqrt(K (K - 1)) c < L with any; without bias for every c if p_0 <= 1/K, else
if sqrt(K (K - 1)) c < inf of psi' over 1/K <= p <= p_0. Read on paper, by the steps of
`focal_landscape_is_benign_at_small_decays`:
1. Steps 1, 2, 5, 6 and 7 use psi' > 0 and convexity on x <= x_0 only; the class bound is that of any psi.
2. Step 3: let a class have a sample with psi' < L; it has x < x_0. The sample j of the least x has x_j < x_0 and psi'_j
   < L, since psi' rises there. Any other i has psi'_i >= psi'_j: psi' rises from x_j to x_i if x_i < x_0, else psi'_i
   >= L. So the class is collapsed (`samples_of_a_class_do_not_cross`) with x_i < x_0.
3. Step 4: without bias x <= log(K - 1) (`no_sample_is_below_chance_without_bias`), so only psi' on p >= 1/K counts, and
   a bounded psi will do. Step 8: psi' rises from 0 (psi is bounded below) to psi'(x_0) >= L, so it takes the value (K -
   1) c once on x < x_0: at the ETF if that x is below log(K - 1), else zero is in the region and admissible.
Checked by algebra, p the label's probability, q = 1 - p: psi', the sign of psi'' and L of each. Poly-1, cross entropy +
e q: convex for -1 <= e <= 1 (every c); e > 1: L = 1. Symmetric cross entropy, alpha cross entropy + B q: alpha times
Poly-1 with e = B/alpha, L = alpha. Generalised, (1 - p^r)/r, and Taylor, sum_{k <= t} q^k/k: psi' -> 0 for lost
samples, so L = 0 and nothing is said with a bias; without one p_0 = r/(1 + r), and q_0 = (t + 1)^(-1/t).

False twin: L = psi'(x_0), the value at the end of the convex part. Poly-1 with e > 1 has it above psi' of lost samples.
"""

import sympy
from sympy import Expr

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step

p, excess, alpha, r, t, odds = sympy.symbols("p excess alpha r t odds", positive=True)


def check() -> Verdict:
    """The infimum over lost samples."""
    return _verdict(sympy.Integer(1))


def refuted() -> Verdict:
    """The value where convexity ends."""
    e = 1 + excess
    return _verdict((1 + e) ** 2 / (4 * e))


def _verdict(constant: Expr) -> Verdict:
    """`constant` is L of Poly-1 with e = 1 + excess."""
    q, e = 1 - p, 1 + excess
    poly = q * (1 + e * p)
    end = excess / (2 * e)  # p_0
    share = sympy.Symbol("share", positive=True)  # p = p_0 share/(1 + share) covers 0 < p < p_0
    lost = poly.subs(p, end * share / (1 + share))
    generalised, taylor = p**r * q, q - q ** (t + 1)
    return Verdict.of(
        "symbolic",
        [
            step("Poly-1: psi' = q (1 + e p)", _is_slope(sympy.log(1 + odds) + e * odds / (1 + odds), poly)),
            step("psi'' = p q (1 + e (2 p - 1))", is_zero(_curvature(poly) - p * q * (1 + e * (2 * p - 1)))),
            step("convex part: p > p_0 = (e - 1)/(2 e)", is_zero((1 + e * (2 * p - 1)).subs(p, end))),
            step("psi' >= L for 0 < p < p_0", _is_not_negative(lost - constant)),
            step("psi' -> 1 as p -> 0: L is 1", sympy.limit(poly, p, 0) == 1),
            step("|e| <= 1: 1 + e (2 p - 1) > 0, as its ends 1 -+ e are not negative", _is_convex()),
            step("symmetric cross entropy is alpha times Poly-1", _is_symmetric(q)),
            step("generalised: psi' = p^r q, psi'' = p^r q ((1 + r) p - r)", _is_generalised(generalised)),
            step("Taylor with t terms: psi' = q - q^(t + 1), by induction", _is_taylor()),
            step("its psi'' has the sign of 1 - (t + 1) q^t", _is_taylor_curvature(taylor, q)),
            step("both psi' tend to 0 as p -> 0", _vanish(generalised, taylor)),
        ],
        sizes="all K >= 2, n, d >= K - 1, decays > 0; e > 1 and |e| <= 1, alpha, r, t > 0",
    )


def _is_slope(psi: Expr, slope: Expr) -> bool:
    """d psi/dx, odds = e^x = (1 - p)/p."""
    return is_zero(odds * sympy.diff(psi, odds) - slope.subs(p, 1 / (1 + odds)))


def _curvature(slope: Expr) -> Expr:
    """d/dx = -p (1 - p) d/dp."""
    return -p * (1 - p) * sympy.diff(slope, p)


def _is_not_negative(expression: Expr) -> bool:
    numerator, denominator = sympy.fraction(sympy.factor(expression))
    same = is_positive(sympy.expand(numerator)) and is_positive(sympy.expand(denominator))
    return same or (is_positive(sympy.expand(-numerator)) and is_positive(sympy.expand(-denominator)))


def _is_convex() -> bool:
    """A line in p between 1 - e at p = 0 and 1 + e at p = 1."""
    e = sympy.Symbol("e", real=True)
    line = 1 + e * (2 * p - 1)
    return sympy.diff(line, p, 2) == 0 and is_zero(line.subs(p, 0) - 1 + e) and is_zero(line.subs(p, 1) - 1 - e)


def _is_symmetric(q: Expr) -> bool:
    B = sympy.Symbol("B", positive=True)
    psi = alpha * sympy.log(1 + odds) + B * odds / (1 + odds)
    return _is_slope(psi, alpha * q * (1 + B / alpha * p))


def _is_generalised(slope: Expr) -> bool:
    psi = (1 - (1 + odds) ** (-r)) / r
    sign = (1 + r) * p - r  # psi'' = p^r q times this: positive for p > r/(1 + r)
    return _is_slope(psi, slope) and is_zero(_curvature(slope) / p**r - (1 - p) * sign)


def _is_taylor() -> bool:
    """The first term's slope is q - q^2, and the t-th adds q^t - q^(t + 1)."""
    q, lost = odds / (1 + odds), 1 - p
    return _is_slope(q, lost - lost**2) and _is_slope(q**t / t, lost**t - lost ** (t + 1))


def _is_taylor_curvature(slope: Expr, q: Expr) -> bool:
    return is_zero(_curvature(slope) / (p * q) - (1 - (t + 1) * q**t))


def _vanish(generalised: Expr, taylor: Expr) -> bool:
    return sympy.limit(generalised, p, 0) == 0 and is_zero(taylor.subs(p, 0))
