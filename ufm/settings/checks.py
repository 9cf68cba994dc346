"""Bounds that several commands share, each a sentence with the option, the value and what is allowed."""

import math

from ufm.command_line import check


def check_integer(option: str, value: int, least: int, most: int) -> None:
    """An integer in [least, most]."""
    check(least <= value <= most, option, value, f"an integer in [{least}, {most}]")


def check_decay(option: str, value: float) -> None:
    """A weight decay that is there."""
    check(0 < value < math.inf, option, value, "finite and > 0")


def check_bias_decay(value: float | None) -> None:
    """The bias may also be free, or absent."""
    allowed = "finite and > 0 (decayed), 0 (free) or null (no bias)"
    check(value is None or 0 <= value < math.inf, "--decay-b", value, allowed)


def check_tolerance(value: float) -> None:
    """Of the norm of a gradient."""
    check(0 < value < 1, "--tolerance", value, "in (0, 1)")
