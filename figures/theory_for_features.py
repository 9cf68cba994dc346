"""A last layer from anywhere beside theory: measured over predicted, a row a quantity, and how far from stationary."""

import math
import textwrap
from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, save, subplots

JOB = "compare_features"
MARKERS = {"calibration": "s", "identity": "o", "prediction": "D"}
LEAST = 1e-16
"""What a difference of 0 is drawn at."""


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """The relative difference of each row of a record of `deepnet compare --features`, and the residuals."""
    found = record["result"]["comparison"]
    figure, axes = subplots(figsize=(1.3 * COLUMN, 0.25 * (len(found["rows"]) + len(found["residuals"])) + 1.2))
    for position, row in enumerate(found["rows"]):
        size = abs(row["predicted"] or 0) or 1.0
        measured = math.nan if row["measured"] is None else row["measured"]
        off = abs(measured - (row["predicted"] or 0)) / size
        axes.plot(max(off, LEAST), position, MARKERS[row["kind"]], color=COLOURS[0], markersize=5)
    names = [f"{row['name']} ({row['kind']})" for row in found["rows"]]
    for position, value in enumerate(found["residuals"].values(), len(names)):
        residual = math.nan if value is None else value
        axes.plot(max(residual, LEAST), position, "x", color=COLOURS[1], markersize=5)
    names += [f"residual of the {name}" for name in found["residuals"]]
    axes.set(xscale="log", xlabel="|measured - predicted| / |predicted|", title=textwrap.fill(found["theory"], 42))
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    return save(figure, path)
