"""`ufm verify`: smallest Hessian eigenvalues of the end points, which are minimisers, and of other critical points."""

from pathlib import Path
from typing import Any

import numpy as np

from figures import verification
from figures.style import COLOURS, COLUMN, in_our_style, loss_name, save, subplots

RECORDS = verification.RECORDS

BINS = 24
UNIT = 1e-11
"""The eigenvalues of the end points are zero up to rounding and are drawn in this unit."""


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Left: percentiles over all starts, zero up to rounding; right: one count per kind of other critical point."""
    verdicts = record["result"]["verdicts"]
    figure, rows = subplots(len(verdicts), 2, figsize=(COLUMN, 1.4 * len(verdicts) + 0.6), squeeze=False, sharex="col")
    minimisers = [_finite(verdict["quantiles"]["smallest eigenvalue"], UNIT) for verdict in verdicts]
    saddles = [_finite([row["smallest_eigenvalue"] for row in verdict["saddles"]], 1.0) for verdict in verdicts]
    for column, found in enumerate((minimisers, saddles)):
        every = [0.0, *(value for values in found for value in values)]
        bins = np.linspace(min(every), max(every), BINS + 1)
        for axes, values, colour in zip(rows[:, column], found, COLOURS, strict=False):
            axes.hist(values, bins=bins, color=colour)
            axes.axvline(0, color="black", linewidth=0.8)
            axes.locator_params(axis="both", nbins=5)
    for (left, right), verdict in zip(rows, verdicts, strict=True):
        left.set_ylabel(loss_name(verdict["spec"]).replace(" (", "\n("))
        right.set_ylabel("kinds")
    rows[0, 0].set_title("end points: share of starts, %")
    rows[0, 1].set_title("other critical points: kinds")
    rows[-1, 0].set_xlabel(f"smallest eigenvalue, from below / {UNIT:g}")
    rows[-1, 1].set_xlabel("smallest eigenvalue")
    return save(figure, path)


def _finite(values: list[float | None], unit: float) -> list[float]:
    return [value / unit for value in values if value is not None]
