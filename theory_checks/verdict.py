"""The verdict of a check: evidence line by line, its rank, and the margin by which the claim holds."""

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Rigour = Literal["symbolic", "interval", "certificate", "numeric"]
"""Rank of evidence, strongest first.

symbolic: computer algebra shows identities and signs for all parameters named; what else the argument uses is read on
paper, in the docstring. interval: balls of real numbers cover the whole region named (outward rounding). certificate: a
dual point, whose feasibility is checked, bounds the optimum from below (in floating point). numeric: floating point at
the sizes and starts named.
"""

MOST_DIGITS = 16.0
"""The digits that a deviation of exactly zero counts as."""
DIGITS = "decimal digits between the worst deviation and the allowed one"
"""The meaning of the margin of `deviation`."""


@dataclass(frozen=True)
class Finding:
    """One line of evidence; `margin` > 0 is by how much it holds (None: an identity, or a yes-or-no step)."""

    text: str
    holds: bool
    margin: float | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class Verdict:
    """The verdict of one check.

    Attributes:
        rigour: rank of the evidence, that of the weakest step that a machine checks and that the claim rests on; a
            cross-check in floating point must hold too.
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
        """The verdict from findings: the claim holds if there are findings and all hold."""
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
    """A finding that holds or not; None (computer algebra cannot decide) counts as false.

    Raises:
        TypeError: if `holds` is a number: a count holds whenever it is not zero, which is seldom what is meant.
    """
    if isinstance(holds, int | float) and not isinstance(holds, bool):
        raise TypeError(f"`holds` of the step {text!r} must be a truth value, got the number {holds}.")
    return Finding(text, bool(holds))


def deviation(text: str, worst: float, allowed: float) -> Finding:
    """A finding that a measured deviation is at most what rounding or a solver's tolerance allows; nan fails."""
    digits = math.nan
    if not math.isnan(worst):
        digits = min(MOST_DIGITS, math.log10(allowed) - math.log10(max(worst, sys.float_info.min)))
    return Finding(f"{text}: {worst:.2g}, allowed {allowed:.2g}", bool(worst <= allowed), digits, worst)


def cross_check(text: str, worst: float, allowed: float) -> Finding:
    """A deviation that must hold but does not count for the claim's margin."""
    return dataclasses.replace(deviation(text, worst, allowed), margin=None)


def positive(text: str, value: float) -> Finding:
    """A finding that a number, or a lower bound of one, is positive; nan fails."""
    return Finding(f"{text}: {value:.6g}", bool(value > 0), value)
