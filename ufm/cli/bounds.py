"""Bounds that several commands share, each a sentence with the option, the value and what is allowed."""

import math
import os

from ufm.errors import check


def check_integer(option: str, value: int, least: int, most: int) -> None:
    """An integer in [least, most]."""
    check(least <= value <= most, option, value, f"an integer in [{least}, {most}]")


def check_decay(option: str, value: float) -> None:
    """A weight decay that is there; beyond the bound its square overflows."""
    check(0 < value <= 1e100, option, value, "in (0, 1e100]")


def check_memory(option: str, value: object, needed: int) -> None:
    """What is needed at the least, in bytes, fits into half of the machine's memory."""
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    allowed = f"such that the work fits into half of the memory ({needed / 1e9:.1f} of {half / 1e9:.1f} GB)"
    check(needed <= half, option, value, allowed)


def check_bias_decay(value: float | None) -> None:
    """The bias may also be free, or absent."""
    allowed = "finite and > 0 (decayed), 0 (free) or null (no bias)"
    check(value is None or 0 <= value < math.inf, "--decay-b", value, allowed)


def check_tolerance(value: float) -> None:
    """Of the norm of a gradient."""
    check(0 < value < 1, "--tolerance", value, "in (0, 1)")
