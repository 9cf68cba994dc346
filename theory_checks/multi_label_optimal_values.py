"""The optimal values of five multi-label data sets to ten decimals, without rounding error.

Theme: several labels

Source: Li et al. 2024, multi-label neural collapse (pick-all-label cross entropy; values computed here)

Evidence: interval. rho solves (K - 1) l_W rho^2 = l_H sum_m binom(K, m) n_m t_m(rho)^2 m(K - m)/K, where t_m is the
root of N l_H t (m e^t + K - m) = K rho. Signs at both ends of a bracket, shown by balls, enclose every t_m and rho; the
value sum_m binom(K, m) (n_m/N) m log(m + (K - m) e^(-t_m)) + (K - 1) l_W rho is evaluated on these balls (both decay
terms are equal at the optimum). That this is the global minimum is proved in `multi_label_collapse_is_global`.

False twin: |1_S|^2 = m in place of |1_S - m/K|^2 = m(K - m)/K.
"""

from collections.abc import Callable
from fractions import Fraction
from math import comb

from flint import arb, fmpq

from theory_checks.verdict import Finding, Verdict, deviation

ROWS = (
    (4, {1: 2, 2: 1}, "1/200", "1/200", "0.75588443105736"),
    (4, {1: 3, 2: 2, 3: 1}, "1/500", "1/1000", "1.13911638175511"),
    (5, {1: 1, 2: 2}, "1/200", "1/500", "1.29382529391475"),
    (5, {1: 4, 2: 1, 3: 1}, "1/200", "1/500", "1.38245965476985"),
    (4, {2: 1}, "1/200", "1/200", "1.50383579894762"),
)
"""Classes, samples per set of m labels, decay_W, decay_H, value."""
ALLOWED = 5e-11
"""Half a unit of the tenth decimal."""


def check() -> Verdict:
    """Centred indicators."""
    return _verdict(is_centred=True)


def refuted() -> Verdict:
    """Plain indicators."""
    return _verdict(is_centred=False)


def _verdict(is_centred: bool) -> Verdict:
    findings = [_enclose(*row, is_centred) for row in ROWS]
    return Verdict.of("interval", findings, sizes="K = 4, 5 with sets of up to 3 labels", margin_is="decimal digits")


def _enclose(K: int, counts: dict[int, int], decay_W: str, decay_H: str, stated: str, is_centred: bool) -> Finding:
    """The distance of the stated value from every point of the ball that holds the optimal one."""
    l_W, l_H = (arb(fmpq(q.numerator, q.denominator)) for q in (Fraction(decay_W), Fraction(decay_H)))
    N = sum(comb(K, m) * n for m, n in counts.items())

    def margin(m: int, rho: arb) -> arb:
        return _root(lambda t: N * l_H * t * (m * t.exp() + K - m) - K * rho, 0.0, 50.0)

    def excess(rho: arb) -> arb:
        squares = arb(0)
        for m, n in counts.items():
            size = arb(m) * (K - m) / K if is_centred else arb(m)
            squares += comb(K, m) * n * size * margin(m, rho) ** 2
        return (K - 1) * l_W * rho**2 - l_H * squares

    rho = _root(excess, 1e-3, 1e3)
    value = (K - 1) * l_W * rho
    for m, n in counts.items():
        value += comb(K, m) * n * m * (m + (K - m) * (-margin(m, rho)).exp()).log() / N
    return deviation(
        f"K = {K}, n = {counts}: {stated} against {value.str(12)}", float(abs(value - arb(stated)).upper()), ALLOWED
    )


def _root(function: Callable[[arb], arb], low: float, high: float) -> arb:
    """The ball of a bracket whose ends are shown to have values below and above zero: it holds a root."""
    if not (function(arb(low)) < 0 and function(arb(high)) > 0):
        raise ValueError(f"no change of sign between {low} and {high} could be shown.")
    while True:
        middle = (low + high) / 2
        value = function(arb(middle))
        if not low < middle < high or not (value < 0 or value > 0):
            return arb((arb(low) + high) / 2, (arb(high) - low) / 2)
        low, high = (middle, high) if value < 0 else (low, middle)
