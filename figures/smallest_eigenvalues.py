"""`ufm verify`: smallest Hessian eigenvalues of the end points, which are minimisers, and of other critical points."""

from pathlib import Path
from typing import Any

import numpy as np

from figures.style import COLOURS, COLUMN, loss_name, save, use_style
from figures.verification import RECORDS as RECORDS

BINS = 20


def draw(record: dict[str, Any], path: Path) -> Path:
    """Left: percentiles over all starts, zero up to rounding; right: one count per kind of other critical point."""
    use_style()
    from matplotlib import pyplot

    verdicts = record["result"]["verdicts"]
    figure, rows = pyplot.subplots(len(verdicts), 2, figsize=(COLUMN, 1.4 * len(verdicts) + 0.6), squeeze=False)
    for (left, right), verdict, colour in zip(rows, verdicts, COLOURS, strict=False):
        minimisers = [value for value in verdict["quantiles"]["smallest eigenvalue"] if value is not None]
        saddles = [row["smallest_eigenvalue"] for row in verdict["saddles"] if row["smallest_eigenvalue"] is not None]
        for axes, values in ((left, minimisers), (right, saddles)):
            axes.hist(values, bins=_bins(values), color=colour)
            axes.axvline(0, color="black", linewidth=0.8)
            axes.locator_params(axis="both", nbins=5)
        left.set_ylabel(f"{loss_name(verdict['spec'])}\npercentiles", fontsize=8)
        right.set_ylabel("kinds", fontsize=8)
    rows[0, 0].set_title("end points: all starts", fontsize=9)
    rows[0, 1].set_title("critical points that are no minimisers", fontsize=9)
    for axes in rows[-1]:
        axes.set_xlabel("smallest eigenvalue of the Hessian")
    return save(figure, path)


def _bins(values: list[float]) -> "np.ndarray":
    """Even bins; where all values are one, a width that can be seen."""
    low, high = min(values), max(values)
    return np.linspace(low, high, BINS + 1) if high > low else np.linspace(low - 1e-12, low + 1e-12, 4)
