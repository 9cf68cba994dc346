"""One look for all figures: column width, readable type, colours that colour-blind readers can tell apart."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from cycler import cycler

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), without yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LOSSES = {"ce": "cross entropy", "ls": "label smoothing", "focal": "focal", "mse": "squared error"}
"""What the losses are called in print."""
COLUMN = 6.0
"""Width of a figure in inches."""


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
    """Write the figure and close it."""
    from matplotlib import pyplot

    figure.savefig(path)
    pyplot.close(figure)
    return path
