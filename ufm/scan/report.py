"""The output of `scan`."""

from typing import Any

from rich.table import Table

from ufm.cli.table import console, table
from ufm.scan.agreement import most_common
from ufm.scan.cells import Row
from ufm.scan.outcomes import STATES
from ufm.scan.scan import Scan


def show(scan: Scan, rows: list[Row | None], counts: dict[str, int], failures: list[dict[str, Any]]) -> None:
    """Print one line per value of the first axis, where prediction and end states agree, and which units failed."""
    out = console()
    out.print(_table(scan, rows))
    if scan.without_simplex:
        out.print(scan.without_simplex, soft_wrap=True, highlight=False)
    if counts["predicted"]:
        out.print(
            f"most starts end in the predicted state in {counts['as_predicted']} of {counts['predicted']} cells with a "
            f"prediction; in {counts['within_one_cell']} more the boundary is off by one cell, in {counts['further']} "
            f"by more, and in {counts['neither']} most starts end neither in the ETF nor in zero",
            soft_wrap=True,
            highlight=False,
        )
    for failure in failures:
        line = f"unit {failure['unit']} ({len(failure['cells'])} cells) failed: {failure['error']}"
        out.print(line, style="bold red", soft_wrap=True, highlight=False)


def _table(scan: Scan, rows: list[Row | None]) -> Table:
    setting = scan.setting
    first, *others = setting.axes
    across = f" over {', '.join(others)}" if others else ""
    sizes = f"K = {setting.classes}, d = {setting.dim}, n = {setting.per_class}"
    title = f"{setting.loss['name']}, {sizes} where the grid does not say, {setting.starts} starts a cell{across}"
    numbers = ("not converged", "cells predicted zero", "mostly zero", "best - predicted", "smallest eigenvalue")
    found = table(title, first, *STATES, *numbers, own=[first], section="scan")
    width = len(rows) // len(setting.axes[first])
    for i, value in enumerate(setting.axes[first]):
        done = [row for row in rows[i * width : (i + 1) * width] if row is not None]
        found.add_row(f"{value:g}", *(_cells(done, setting.starts) if done else ["failed"]))
    return found


def _cells(rows: list[Row], starts: int) -> list[str]:
    shares = [f"{sum(row[state] for row in rows) / len(rows):.1%}" for state in STATES]
    lost = sum(starts - row["converged"] for row in rows)
    predicted = [row["predicted_state"] == "zero" for row in rows if row["predicted_state"]]
    zero = str(sum(predicted)) if predicted else "-", str(sum(most_common(row) == "zero" for row in rows))
    above = [row["best_minus_predicted"] for row in rows if row["best_minus_predicted"] is not None]
    furthest = f"{max(above, key=abs):.1e}" if above else "-"
    lowest = min((row["smallest_eigenvalue"] for row in rows if row["smallest_eigenvalue"] is not None), default=None)
    return [*shares, str(lost), *zero, furthest, "-" if lowest is None else f"{lowest:.1e}"]
