"""Focal loss at seven (K, gamma), K = 20 to 1000: at one c_M zero and an ETF of positive margin tie, both strict minima
of the ETF ray.

Theme: focal loss

Source: Zhou et al. 2022 (all losses) on focal loss; the first-order exchange (Maxwell point) is derived here

Evidence: interval, for F(a) = phi(a) + (K - 1) c a on the ETF ray and S = -phi'. Balls enclose a root a_M > 0 of phi(a)
+ a S(a) - phi(0); c_M = S(a_M)/(K - 1) makes F(a_M) = F(0) and F'(a_M) = 0, and balls show F''(a_M) > 0 and F'(0) =
S(a_M) - S(0) > 0. S' has one sign change in a, from + to -: its sign is minus that of r = 1 + 2 g + g log p - g^2 p log
p/(1 - p), whose derivative in p, g/p + g^2 (p - 1 - log p)/(1 - p)^2, is positive (the form is checked by algebra). So
at c_M the two are the only minima of the ray; as (K - 1) c a tells, the ETF is lower for c < c_M and zero for c > c_M:
the best margin jumps. c_M lies above S(0)/(K - 1), where zero stops being a saddle
(`zero_is_a_saddle_below_a_threshold`).

False twin: K = 17, gamma = 3, where S falls from a = 0 on and the margin goes to zero continuously.
"""

import sympy
from flint import arb

from theory_checks.intervals import Ball, root_between
from theory_checks.symbols import is_zero, tangent_line_of_exp
from theory_checks.verdict import Finding, Verdict, positive, step
from ufm.proof.margin_enclosure import focal_slope_ball, focal_value_ball

CASES = [(20, 3.0), (30, 3.0), (50, 3.0), (100, 3.0), (1000, 3.0), (100, 1.0), (100, 5.0)]
FEW = [(17, 3.0)]
FIRST = (0.01, 0.1, 0.5, 1.0, 2.0)
"""Margins at which the exchange may still lie ahead; LAST lies beyond it."""
LAST = 8.0


def check() -> Verdict:
    """Many classes."""
    return _verdict(CASES)


def refuted() -> Verdict:
    """Few."""
    return _verdict(FEW)


def _verdict(cases: list[tuple[int, float]]) -> Verdict:
    findings = [finding for K, gamma in cases for finding in _exchange(K, gamma)]
    return Verdict.of(
        "interval",
        [*findings, step("r' is a sum of two positive terms", _has_positive_slope())],
        sizes=f"(K, gamma) = {cases}, the whole ray a >= 0, every c",
        margin_is="least certified slope or curvature at the two minima",
    )


def _exchange(K: int, gamma: float) -> list[Finding]:
    def slope(a: Ball) -> Ball:
        return focal_slope_ball(a, K, arb(gamma))

    def surplus(a: Ball) -> Ball:
        return focal_value_ball(a, K, arb(gamma)) + a * slope(a) - focal_value_ball(arb(0), K, arb(gamma))

    name = f"K = {K}, gamma = {gamma:g}"
    ahead = [a for a in FIRST if surplus(arb(a)) > 0]
    if not ahead:
        return [step(f"{name}: phi(a) + a S(a) > phi(0) for some a", False)]
    a = root_between(surplus, ahead[-1], LAST)
    c, threshold = slope(a) / (K - 1), slope(arb(0)) / (K - 1)
    text = f"{name}: a_M in {a.str(10)}, c_M in {c.str(12)}, zero is no saddle from c = {threshold.str(12)} on"
    return [
        step(text, a > 0),
        positive(f"{name}: F'(0) at c_M, at least", float((slope(a) - slope(arb(0))).lower())),
        positive(f"{name}: F''(a_M), at least", float(_curvature(a, K, arb(gamma)).lower())),
    ]


def _curvature(a: Ball, K: int, gamma: Ball) -> Ball:
    """phi'' = p (1 - p)^(g + 1) r(p)."""
    odds = (K - 1) * (-a).exp()
    p, q, log_p = 1 / (1 + odds), odds / (1 + odds), -(1 + odds).log()
    r = 1 + 2 * gamma + gamma * log_p - gamma**2 * p * log_p / q
    return p * ((gamma + 1) * q.log()).exp() * r


def _has_positive_slope() -> bool:
    p, g, a, q = sympy.symbols("p g a q", positive=True)
    r = 1 + 2 * g + g * sympy.log(p) - g**2 * p * sympy.log(p) / (1 - p)
    is_form = is_zero(sympy.diff(r, p) - g / p - g**2 * (p - 1 - sympy.log(p)) / (1 - p) ** 2)
    of_margin = 1 / (1 + q * sympy.exp(-a))
    phi = -((1 - p) ** g) * sympy.log(p)
    speed = p * (1 - p)  # dp/da
    is_speed = is_zero(sympy.diff(of_margin, a) - of_margin * (1 - of_margin))
    second = speed * sympy.diff(speed * sympy.diff(phi, p), p)
    is_curvature = is_zero((second / (1 - p) ** g) - p * (1 - p) * r)
    return is_form and is_speed and is_curvature and tangent_line_of_exp()  # p - 1 > log p: u = log p
