"""Grids of settings: `0:8:33` (from:to:count), `1e-5:1e-1:33:log`, `0,1,2.5`, one axis per field."""

import itertools
import math
from collections.abc import Mapping

from ufm.errors import RequestError, check

SYNTAX = "from:to:count, from:to:count:log, or numbers with commas between"
MOST_CELLS = 10**6


def axis(field: str, text: str) -> list[float]:
    """The values of one axis, ends included; a log axis has equal ratios.

    Raises:
        ValueError: if the text is not of the form, a value is not finite or appears twice.
    """
    check(isinstance(field, str), "field", type(field).__name__, "the name of a field")
    argument = f"--grid.{field}"
    check(isinstance(text, str), argument, type(text).__name__, SYNTAX)
    try:
        if "_" in text or not text.isascii():  # numbers of Python that no other option takes
            raise ValueError
        values = _spaced(*text.split(":")) if ":" in text else [float(value) for value in text.split(",")]
    except RequestError:
        raise
    except (ValueError, TypeError, OverflowError):
        raise RequestError(f"`{argument}` must be {SYNTAX}, got {text or 'nothing'}.") from None
    check(all(math.isfinite(value) for value in values), argument, text, "made of finite numbers")
    check(len(set(values)) == len(values), argument, text, "made of different numbers")
    return values


def points(axes: Mapping[str, list[float]]) -> list[dict[str, float]]:
    """All combinations, the last axis running fastest.

    Raises:
        ValueError: if there are more than a million.
    """
    count = math.prod(len(values) for values in axes.values())
    check(count <= MOST_CELLS, "--grid", f"{count} cells", f"of at most {MOST_CELLS} cells")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _spaced(first: str, last: str, count: str, spacing: str = "linear") -> list[float]:
    low, high, steps = float(first), float(last), int(count) - 1
    check(steps < MOST_CELLS, "--grid", f"{count} cells", f"of at most {MOST_CELLS} cells")
    if steps < 1 or spacing not in ("linear", "log") or (spacing == "log" and min(low, high) <= 0):
        raise ValueError
    if spacing == "log":
        inner = [low * (high / low) ** (i / steps) for i in range(1, steps)]
    else:
        inner = [low + (high - low) * i / steps for i in range(1, steps)]
    return [low, *inner, high]
