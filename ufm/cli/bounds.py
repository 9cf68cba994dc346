"""Bounds that several commands share, each a sentence with the option, the value and what is allowed."""

import os

from ufm.errors import check


def check_integer(option: str, value: int, least: int, most: int) -> None:
    """Refuse a value that is not an integer in [least, most]."""
    check(least <= value <= most, option, value, f"an integer in [{least}, {most}]")


def check_decay(option: str, value: float) -> None:
    """Refuse a weight decay that is not positive, or so large that its square overflows."""
    check(0 < value <= 1e100, option, value, "in (0, 1e100]")


def check_memory(option: str, value: object, needed: int) -> None:
    """Refuse a request that needs more bytes than half of the machine's memory."""
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    allowed = f"such that the work fits into half of the memory ({needed / 1e9:.1f} of {half / 1e9:.1f} GB)"
    check(needed <= half, option, value, allowed)


def check_bias_decay(value: float | None) -> None:
    """Refuse a decay of the bias that is negative, or so large that its square overflows; None is no bias."""
    allowed = "in (0, 1e100] (decayed), 0 (free) or null (no bias)"
    check(value is None or 0 <= value <= 1e100, "--decay-b", value, allowed)


def check_tolerance(value: float) -> None:
    """Refuse a tolerance on the norm of a gradient that is out of bounds."""
    check(0 < value < 1, "--tolerance", value, "in (0, 1)")
