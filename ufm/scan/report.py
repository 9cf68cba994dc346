"""A scan as a table for people and as a result for the record."""

from itertools import product
from typing import Any

from rich.console import Console
from rich.table import Table

from ufm.scan.cells import Row
from ufm.scan.outcomes import STATES
from ufm.scan.scan import Scan

COLUMNS = (
    *("converged", *STATES, "best_state", "best_active", "best_minus_predicted", "smallest_eigenvalue"),
    *("condition_number", "duality_gap", "steps_mean", "nc1_trace", "nc2_etf_distance", "nc3_self_duality"),
    *("predicted_state", "predicted_value", "is_proved_global", "c", "c_zero_stable", "c_zero_best", "c_etf_ends"),
    "landscape",
)
"""What the record holds of every cell, null where older rows lack it; the folder has everything."""


def as_result(scan: Scan, rows: list[Row | None], failures: list[dict[str, Any]], commits: list[str]) -> dict[str, Any]:
    """The record's result: columns in the order of the grid, null where a cell failed."""
    columns = {name: [row and row.get(name) for row in rows] for name in COLUMNS}
    agreement = agreements(scan, rows)
    return {
        "axes": scan.setting.axes,
        "cells": columns,
        "agreement": agreement,
        "without_simplex": scan.without_simplex or None,
        "failures": failures,
        "rows_of": commits,
    }


def most_common(row: Row) -> str:
    """The state in which most starts end."""
    return max(STATES, key=lambda state: float(row[state]))


def agreements(scan: Scan, rows: list[Row | None]) -> dict[str, int]:
    """In how many cells most starts end in the predicted state, in how many others a neighbour is predicted so."""
    places = list(product(*(range(len(values)) for values in scan.setting.axes.values())))
    at = {place: row for place, row in zip(places, rows, strict=True) if row and row["predicted_state"]}
    counts = {"predicted": len(at), "as_predicted": 0, "within_one_cell": 0, "further": 0, "neither": 0}
    for place, row in at.items():
        found = most_common(row)
        near = (
            at.get(tuple(map(sum, zip(place, step, strict=True)))) for step in product((-1, 0, 1), repeat=len(place))
        )
        if found == row["predicted_state"]:
            counts["as_predicted"] += 1
        elif any(other is not None and other["predicted_state"] == found for other in near):
            counts["within_one_cell"] += 1
        elif found not in ("etf", "zero"):
            counts["neither"] += 1
        else:
            counts["further"] += 1
    return counts


def show(scan: Scan, rows: list[Row | None], failures: list[dict[str, Any]]) -> None:
    """Print one line per value of the first axis, and what did not go as it should."""
    console = Console()
    if not console.is_terminal:
        console.width = 150
    console.print(_table(scan, rows))
    if scan.without_simplex:
        console.print(scan.without_simplex, soft_wrap=True, highlight=False)
    counts = agreements(scan, rows)
    if counts["predicted"]:
        console.print(
            f"most starts end in the predicted state in {counts['as_predicted']} of {counts['predicted']} cells with a "
            f"prediction; in {counts['within_one_cell']} more the boundary is off by one cell, in {counts['further']} "
            f"by more, and in {counts['neither']} most starts end neither in the ETF nor in zero",
            soft_wrap=True,
            highlight=False,
        )
    for failure in failures:
        line = f"unit {failure['unit']} ({len(failure['cells'])} cells) failed: {failure['error']}"
        console.print(line, style="bold red", soft_wrap=True, highlight=False)


def _table(scan: Scan, rows: list[Row | None]) -> Table:
    setting = scan.setting
    first, *others = setting.axes
    across = f" over {', '.join(others)}" if others else ""
    sizes = f"K = {setting.classes}, d = {setting.dim}, n = {setting.per_class}"
    table = Table(
        title=f"{setting.loss['name']}, {sizes} where the grid does not say, {setting.starts} starts a cell{across}",
        title_justify="left",
    )
    for column in (
        first,
        *STATES,
        "not converged",
        "cells predicted zero",
        "mostly zero",
        "best - predicted",
        "smallest eigenvalue",
    ):
        table.add_column(column, justify="right")
    width = len(rows) // len(setting.axes[first])
    for i, value in enumerate(setting.axes[first]):
        done = [row for row in rows[i * width : (i + 1) * width] if row is not None]
        table.add_row(f"{value:g}", *(_cells(done, setting.starts) if done else ["failed"]))
    return table


def _cells(rows: list[Row], starts: int) -> list[str]:
    shares = [f"{sum(row[state] for row in rows) / len(rows):.1%}" for state in STATES]
    lost = sum(starts - row["converged"] for row in rows)
    zero = sum(row["predicted_state"] == "zero" for row in rows), sum(most_common(row) == "zero" for row in rows)
    above = [row["best_minus_predicted"] for row in rows if row["best_minus_predicted"] is not None]
    furthest = f"{max(above, key=abs):.1e}" if above else "-"
    lowest = min((row["smallest_eigenvalue"] for row in rows if row["smallest_eigenvalue"] is not None), default=None)
    return [*shares, str(lost), *map(str, zero), furthest, "-" if lowest is None else f"{lowest:.1e}"]
