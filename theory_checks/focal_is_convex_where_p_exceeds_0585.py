"""Focal loss is convex in the logits wherever every p_y >= 0.0585, whatever gamma and K; 0.0584 is not enough.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), local landscape of focal loss; the region is derived here

Evidence: interval, for all gamma at once: the quadratic of `focal_has_one_margin_up_to_17_classes` at p = 0.0585 has a
negative discriminant, so that r > 0 there and, since r rises, beyond; at p = 0.0584 the discriminant is positive and 2
+ log p negative, so that r < 0 for some gamma > 0. Enclosures of p_infl(gamma) for single gamma by certified sign
changes.

False twin: 0.0584 is enough.
"""

from collections.abc import Callable

from theory_checks.verdict import Verdict, positive, step

GAMMAS = {
    "1/2": 0.0176629285808,
    "1": 0.0432021835238,
    "2": 0.0578463790860,
    "3": 0.0574969081782,
    "5": 0.0502360092869,
}
"""p_infl to 13 decimals, from bisection with 40 digits outside this project."""


def check() -> Verdict:
    """0.0585."""
    return _verdict("0.0585")


def refuted() -> Verdict:
    """0.0584."""
    return _verdict("0.0584")


def _verdict(enough: str) -> Verdict:
    from flint import arb, fmpq

    from theory_checks.intervals import root_between

    def discriminant(p: arb) -> arb:
        return (1 - p) * (2 + p.log()) ** 2 + 4 * p * p.log()

    def condition(gamma: fmpq) -> Callable[[arb], arb]:
        g = arb(gamma)
        return lambda p: (1 - p) * (1 + 2 * g + g * p.log()) - g * g * p * p.log()

    findings = [
        positive(f"minus the discriminant at p = {enough}", float((-discriminant(arb(enough))).lower())),
        positive("the discriminant at p = 0.0584", float(discriminant(arb("0.0584")).lower())),
        step("2 + log 0.0584 < 0: both roots are positive", 2 + arb("0.0584").log() < 0),
    ]
    for text, known in GAMMAS.items():
        root = root_between(condition(fmpq(*map(int, text.split("/")))), 1e-3, 0.5)
        inside = bool(abs(root - arb(known)) < arb("1e-12"))
        findings.append(step(f"gamma = {text}: p_infl in {root.str(15)}, the known value to 1e-12", inside))
    return Verdict.of(
        "interval",
        findings,
        margin_is="distance of a discriminant from zero, lower bound",
        sizes="all gamma > 0, all K",
    )
