"""One look for all figures: column width, readable type, colours that colour-blind readers can tell apart.

Figures are drawn to files, beside `pyplot` and its state: your own plots, backend and `matplotlibrc` neither change
them nor are changed.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from ufm.cli.records import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")

# Okabe and Ito (2008), without yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LOSSES = {"ce": "cross entropy", "ls": "label smoothing", "focal": "focal", "mse": "squared error"}
"""The names of losses in print."""
COLUMN = 6.0
"""Width of a figure in inches."""


def loss_name(spec: dict[str, Any]) -> str:
    """The loss in words, its parameters in brackets; a class of one's own by its name."""
    name = spec["name"]
    parameters = ", ".join(str(value).removesuffix(".0") for key, value in spec.items() if key != "name")
    words = LOSSES.get(name, name.rpartition(".")[2])
    return f"{words} ({parameters})" if parameters else words


LOOK = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
"""The parameters that differ from matplotlib's defaults, besides colours."""


def in_our_style(draw: Callable[Arguments, Path]) -> Callable[Arguments, Path]:
    """Decorator of a function that draws a figure: it draws in our style, and restores the user's afterwards."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Path:
        from cycler import cycler
        from matplotlib import style

        with style.context(["default", LOOK | {"axes.prop_cycle": cycler(color=COLOURS)}]):
            return draw(*args, **kwargs)

    return drawn


def subplots(rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], **options: Any) -> "tuple[Figure, Any]":
    """A figure of that size in inches and its axes, as of `pyplot.subplots`; no window is opened for it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize)
    return figure, figure.subplots(rows, columns, **options)


def save(figure: "Figure", path: Path) -> Path:
    """Write the figure in the format that `path` is named after, whole or not at all.

    Raises:
        ValueError: if nothing in it has a finite place: a blank figure would say nothing about what is missing.
    """
    if not any(axes.has_data() and np.isfinite(axes.dataLim.get_points()).all() for axes in figure.axes):
        raise ValueError("there is nothing finite to draw")
    with atomic_file(path, "wb") as file:
        figure.savefig(file, format=path.suffix.removeprefix("."))
    return path
