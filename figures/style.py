"""One look for all figures: column width, readable type, colours that colour-blind readers can tell apart.

Figures are drawn to files, beside `pyplot` and its state: your own plots, backend and `matplotlibrc` neither change
them nor are changed.
"""

import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from ufm.cli.records import atomic_file

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")

# Okabe and Ito (2008), without yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LOSSES = {"ce": "cross entropy", "ls": "label smoothing", "focal": "focal", "mse": "squared error"}
"""The names of losses in print."""
FEW_DECADES = 300
"""The ratio of the ends of a logarithmic axis up to which its numbers are written plainly."""
COLUMN = 6.0
"""Width of a figure in inches."""
PAPER = {1: 3.25, 2: 6.75}
"""Width in inches of one and of both columns of a paper (those of ICML; IEEE's are 3.5 and 7.16)."""
PAPER_LOOK = {
    "font.size": 7,
    "legend.fontsize": 6,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "figure.titlesize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "lines.linewidth": 0.9,
    "lines.markersize": 3,
    "axes.linewidth": 0.6,
}
"""What is smaller in a paper: type of 6 and 7 points beside text of 10."""
_NUMBER = r"[-−]?\d[\d.]*(?:(?:\\times\d+)?\^\{[-−]?[\d.]+\})?"
POWER = re.compile(rf"\$(?:\\mathdefault\{{{_NUMBER}\}}|{_NUMBER})\$")
"""A number along an axis, as matplotlib has it typeset."""
LEAST_HEIGHT = 0.75
"""The least share of its height that a figure keeps in a narrow column: its words need room."""
_columns: ContextVar[int | None] = ContextVar("columns", default=None)


@contextmanager
def for_a_paper(columns: int | None) -> Iterator[None]:
    """Within, figures are as wide as so many columns of a paper; None: as on a page."""
    token = _columns.set(columns)
    try:
        yield
    finally:
        _columns.reset(token)


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
    "axes.titlesize": 9,
    "figure.titlesize": 9,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType, which journals ask for
}
"""The parameters that differ from matplotlib's defaults, besides colours."""


def in_our_style(draw: Callable[Arguments, Path]) -> Callable[Arguments, Path]:
    """Decorator of a function that draws a figure: it draws in our style, and restores the user's afterwards."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Path:
        from cycler import cycler
        from matplotlib import style

        paper = PAPER_LOOK if _columns.get() else {}
        with style.context(["default", LOOK | paper | {"axes.prop_cycle": cycler(color=COLOURS)}]):
            return draw(*args, **kwargs)

    return drawn


def subplots(
    rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], is_wide: bool = False, **options: Any
) -> "tuple[Figure, Any]":
    """A figure of that size in inches and its axes, as of `pyplot.subplots`; no window is opened for it.

    In a paper it is as wide as is asked; in one column panels side by side stand one below the other, and a figure
    that `is_wide` or has rows and columns of panels takes both.
    """
    from matplotlib.figure import Figure

    if (paper := _columns.get()) is None:
        figure = Figure(figsize=figsize)
        return figure, figure.subplots(rows, columns, **options)
    paper = 2 if is_wide or (rows > 1 and columns > 1) else paper
    is_stacked = paper == 1 and rows == 1 < columns
    share, high = (figsize[0] / columns, columns) if is_stacked else (figsize[0], 1)
    height = figsize[1] * min(1.0, max(PAPER[paper] / share, LEAST_HEIGHT)) * high
    figure = Figure(figsize=(PAPER[paper], height))
    if not is_stacked:
        return figure, figure.subplots(rows, columns, **options)
    options["height_ratios"] = options.pop("width_ratios", None)
    return figure, figure.subplots(columns, rows, **options).T


def outside_legend(figure: "Figure", *entries: Any, ncols: int = 1, **options: Any) -> None:
    """A legend beside the panels, of at most so many columns and of no more than fit into the width."""
    for columns in range(ncols, 0, -1):
        made = figure.legend(*entries, ncols=columns, **options)
        _as_it_reads(figure)
        if columns == 1 or made.get_window_extent().width <= figure.bbox.width:
            return
        made.remove()


def plain_numbers(axis: "Axis") -> None:
    """Write 0.2, 0.5, 1 along a logarithmic axis of few decades, not powers of ten and multiples of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    if low > 0 and high < FEW_DECADES * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def save(figure: "Figure", path: Path) -> Path:
    """Write the figure in the format that `path` is named after, whole or not at all.

    Raises:
        ValueError: if nothing in it has a finite place: a blank figure would say nothing about what is missing.
    """
    if not any(axes.has_data() and np.isfinite(axes.dataLim.get_points()).all() for axes in figure.axes):
        raise ValueError("there is nothing finite to draw")
    _as_it_reads(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for what the font lacks
        _fit(figure)
        with atomic_file(path, "wb") as file:
            figure.savefig(file, format=path.suffix.removeprefix("."))
    return path


def _as_it_reads(figure: "Figure") -> None:
    """Typeset powers of ten only: `$` in the name of a file is no formula.

    A text without `$` is left as it is: it may be a tick's, which becomes a power when the axis is drawn.
    """
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    for axis in figure.findobj(Axis):
        axis.get_ticklabels(which="both")  # writes them
    for text in figure.findobj(Text):
        if "$" in text.get_text():
            text.set_parse_math(bool(POWER.fullmatch(text.get_text())))


def _fit(figure: "Figure") -> None:
    """Break titles that are wider than what they belong to."""
    figure.draw_without_rendering()
    titles = [(axes.title, axes.bbox.width) for axes in figure.axes]
    for title, width in titles + [(text, figure.bbox.width) for text in figure.texts]:
        wide = title.get_window_extent().width
        if wide > width > 0:
            lines = title.get_text().splitlines()
            letters = max(8, int(0.95 * max(map(len, lines)) * width / wide))
            title.set_text("\n".join(textwrap.fill(line, letters) for line in lines))
