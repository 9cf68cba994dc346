"""The output of `experiment`: judgements as a table."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ufm.cli.table import Marked, console, table

WIDTH = 170
"""Of the table where there is no terminal."""

COLOURS = {"showed": "green", "did not show": "bold red", "not decided": "yellow"}


def show(result: Mapping[str, Any]) -> None:
    """Print one row per statement, and the number of statements of each outcome."""
    out = console(WIDTH)
    columns = ("statement", "source", "measured: mean (spread over seeds)", "predicted", "90 % interval", "judged in")
    text = ("statement", "source", "outcome")
    found = table("What papers say of trained nets", *columns, "outcome", left=text, lines=True)
    for experiment in result["experiments"]:
        for row in experiment["statements"]:
            tried = f". Tried: {row['tried']}" if row["outcome"] == "did not show" and row["tried"] else ""
            outcome = Marked(f"[{COLOURS[row['outcome']]}]{row['outcome']}[/]")
            found.add_row(f"{row['sentence']}{tried}", experiment["source"], *cells(row), outcome)
    out.print(found)
    counts = Counter(row["outcome"] for experiment in result["experiments"] for row in experiment["statements"])
    counted = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS)
    out.print(
        f"{counts.total()} statements, each tested on its own: {counted}; {result['trainings']} trainings "
        f"({result['distinct_trainings']} distinct), {len(result['failures'])} failed; "
        f"{result['core_minutes']:.1f} minutes of one core",
        highlight=False,
    )


def cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Measured, predicted, interval of the judged number and its bounds, as text."""
    predicted = "-" if row["predicted"] is None else _number(_mean(row["predicted"]))
    unit = "" if row["predicted"] is None else " x predicted"
    judged = "-"
    if math.isfinite(_float(row["half_width"])):
        judged = f"{row['mean']:.3g} ± {row['half_width']:.2g}{unit}"
    measured = [_float(value) for value in row["measured"]]
    spread = f" ({statistics.stdev(measured):.2g})" if all(map(math.isfinite, measured)) else ""
    return f"{_number(_mean(measured))}{spread}", predicted, judged, bounds_of(row)


def bounds_of(row: Mapping[str, Any]) -> str:
    """The bounds of the judged number as text."""
    low, high = _float(row["low"], -math.inf), _float(row["high"], math.inf)
    above, below = (">", "<") if row["strict"] else ("≥", "≤")
    if math.isinf(high):
        return f"{above} {low:g}"
    return f"{below} {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def _mean(values: Sequence[float | None]) -> float:
    return statistics.fmean(map(_float, values))


def _float(value: float | None, missing: float = math.nan) -> float:
    return missing if value is None else value


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
