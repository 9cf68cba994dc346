"""What a check found: evidence line by line, its rank, and by how much the claim holds."""

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Rigour = Literal["symbolic", "interval", "certificate", "numeric"]
"""Rank of evidence, strongest first.

symbolic: computer algebra shows it for all parameters named. interval: balls of real numbers cover the whole region
named (outward rounding). certificate: a dual point, whose feasibility is checked, bounds the optimum from below (in
floating point). numeric: floating point at the sizes and starts named.
"""

MOST_DIGITS = 16.0
"""What a deviation of exactly zero counts as."""
DIGITS = "decimal digits between the worst deviation and the allowed one"
"""What the margin of `deviation` measures."""


@dataclass(frozen=True)
class Finding:
    """One line of evidence; `margin` > 0 is by how much it holds (None: an identity, or a yes-or-no step)."""

    text: str
    holds: bool
    margin: float | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        rigour: rank of the evidence, that of its weakest necessary step.
        holds: whether every finding does.
        margin: the smallest margin of the findings, > 0 where the claim holds; None where all are identities.
        margin_is: what the margin measures.
        findings: the evidence.
        sizes: problem sizes looked at, or the range of parameters covered.
        starts: random starts or random points used (None: none).
        worst: the largest deviation from what the claim predicts (None: nothing measured in floating point).
    """

    rigour: Rigour
    holds: bool
    margin: float | None
    margin_is: str
    findings: tuple[Finding, ...]
    sizes: str
    starts: int | None
    worst: float | None

    @classmethod
    def of(
        cls,
        rigour: Rigour,
        findings: Sequence[Finding],
        *,
        sizes: str,
        margin_is: str = "exact: identities and signs, nothing to spare",
        starts: int | None = None,
    ) -> "Verdict":
        """The conjunction of the findings; without any, nothing is shown."""
        margins = [finding.margin for finding in findings if finding.margin is not None]
        worst = [finding.deviation for finding in findings if finding.deviation is not None]
        return cls(
            rigour,
            bool(findings) and all(finding.holds for finding in findings),
            math.nan if any(map(math.isnan, margins)) else min(margins, default=None),
            margin_is,
            tuple(findings),
            sizes,
            starts,
            max(worst, default=None),
        )


def step(text: str, holds: object) -> Finding:
    """A step that is true or not; None (computer algebra cannot say) is not.

    Raises:
        TypeError: if `holds` is a number: a count holds whenever it is not zero, which is seldom what is meant.
    """
    if isinstance(holds, int | float) and not isinstance(holds, bool):
        raise TypeError(f"`holds` of the step {text!r} must be a truth value, got the number {holds}.")
    return Finding(text, bool(holds))


def deviation(text: str, worst: float, allowed: float) -> Finding:
    """A measured deviation against what rounding, or the solver's tolerance, allows; nan does not hold."""
    digits = math.nan
    if not math.isnan(worst):
        digits = min(MOST_DIGITS, math.log10(allowed) - math.log10(max(worst, sys.float_info.min)))
    return Finding(f"{text}: {worst:.2g}, allowed {allowed:.2g}", bool(worst <= allowed), digits, worst)


def cross_check(text: str, worst: float, allowed: float) -> Finding:
    """A deviation beside the evidence proper: it must hold, but the claim's margin is not its."""
    return dataclasses.replace(deviation(text, worst, allowed), margin=None)


def positive(text: str, value: float) -> Finding:
    """A number (a lower bound, where the evidence is one) that has to be positive; nan does not hold."""
    return Finding(f"{text}: {value:.6g}", bool(value > 0), value)
