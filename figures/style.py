"""One look for all figures: column width, readable type, colours that colour-blind readers can tell apart."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from cycler import cycler

from ufm.records import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LOSSES = {"ce": "cross entropy", "ls": "label smoothing", "focal": "focal", "mse": "squared error"}
"""What the losses are called in print."""
COLUMN = 6.0
"""Width of a figure in inches."""


def loss_name(spec: dict[str, Any]) -> str:
    """The loss in words, its parameters in brackets; a class of one's own by its name."""
    name = spec["name"]
    parameters = ", ".join(str(value).removesuffix(".0") for key, value in spec.items() if key != "name")
    words = LOSSES.get(name, name.rpartition(".")[2])
    return f"{words} ({parameters})" if parameters else words


def use_style() -> None:
    """Set the look, drawing to files only."""
    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "figure.dpi": 150,
            "font.size": 9,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
        }
    )


def save(figure: "Figure", path: Path) -> Path:
    """Write the figure in the format that `path` is named after, whole or not at all, and close it.

    Raises:
        ValueError: if nothing in it has a finite place: a blank figure would say nothing about what is missing.
    """
    from matplotlib import pyplot

    try:
        if not any(axes.has_data() and np.isfinite(axes.dataLim.get_points()).all() for axes in figure.axes):
            raise ValueError("there is nothing finite to draw")
        with atomic_file(path, "wb") as file:
            figure.savefig(file, format=path.suffix.removeprefix("."))
    finally:
        pyplot.close(figure)
    return path
