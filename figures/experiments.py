"""What every statement on trained nets is judged by: the interval of its number beside the bounds it must keep."""

import math
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from figures.style import COLOURS, in_our_style, outside_legend, save, subplots

RECORDS = {"experiments": "python -m deepnet experiment --json figures/data/experiments.json"}
JOB = "experiment"

OUTCOMES = {
    "showed": (COLOURS[0], "o"),
    "not decided": ("0.45", "D"),
    "did not show": (COLOURS[1], "s"),
}
LETTERS = 74
"""Of a line of a sentence."""
BAND, NUMBER, END = 4.05, 6.0, 7.8
"""Where the intervals begin, where the numbers do, and the width of all, in inches; sentences begin at 0."""
LINE = 0.12
"""Inches between lines of text."""
GAP = 0.7
"""Lines between sentences."""
PADDING = 0.2
"""The share of what is shown of a number's axis that is added on both sides."""


def fits(record: dict[str, Any]) -> bool:
    """Whether a training has ended."""
    return len(record["result"]["failures"]) < record["result"]["trainings"]


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """A row a statement, each on a scale of its own: the 90 % interval of its mean, and the bounds as a shaded part."""
    experiments = record["result"]["experiments"]
    rows = [row for experiment in experiments for row in experiment["statements"]]
    sentences = [textwrap.wrap(row["sentence"], LETTERS) for row in rows]
    height = sum(LINE * (len(lines) + GAP) for lines in sentences) + 3.2 * LINE * len(experiments)
    figure, axes = subplots(figsize=(END, height + 0.6), is_wide=True)
    place, rest, size = 0.0, iter(sentences), 7 * figure.get_figwidth() / END
    for experiment in experiments:
        place += 2.2 * LINE
        _heading(axes, place, experiment, size)
        place += LINE
        for row in experiment["statements"]:
            lines = next(rest)
            middle = place + LINE * (len(lines) + GAP) / 2
            axes.text(0, middle, "\n".join(lines), va="center", fontsize=size)
            _interval(axes, middle, row)
            axes.text(NUMBER, middle, _number(row), va="center", fontsize=size)
            place += LINE * (len(lines) + GAP)
    for outcome, (colour, marker) in OUTCOMES.items():
        axes.plot([], [], marker + "-", color=colour, label=outcome)
    axes.fill_between([], [], color="0.5", alpha=0.2, label="what the interval must lie in, each row on its own scale")
    axes.set(xlim=(0, END), ylim=(place + LINE, 0))
    axes.axis("off")
    outside_legend(figure, loc="outside upper center", ncols=4, fontsize=size)
    return save(figure, path)


def _heading(axes: Axes, place: float, experiment: dict[str, Any], size: float) -> None:
    counts = Counter(row["outcome"] for row in experiment["statements"])
    outcomes = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    axes.text(0, place, experiment["name"].replace("_", " "), va="center", fontsize=size + 1, weight="bold")
    axes.text(BAND, place, outcomes, va="center", fontsize=size)


def _interval(axes: Axes, place: float, row: dict[str, Any]) -> None:
    """The interval and the bounds; a bound at infinity is the end of the row."""
    interval = [] if row["half_width"] is None else [row["mean"] - row["half_width"], row["mean"] + row["half_width"]]
    bounds = [value for value in (row["low"], row["high"]) if value is not None]
    first, last = min([*interval, *bounds]), max([*interval, *bounds])
    padding = PADDING * (last - first) or 1.0
    width = last - first + 2 * padding

    def at(value: float | None, missing: float) -> float:
        share = missing if value is None else (value - first + padding) / width
        return BAND + share * (NUMBER - BAND - 0.15)

    axes.fill_between(
        [at(row["low"], 0), at(row["high"], 1)], place - 0.7 * LINE, place + 0.7 * LINE, color="0.5", alpha=0.2, lw=0
    )
    if interval:
        colour, marker = OUTCOMES[row["outcome"]]
        axes.plot([at(value, math.nan) for value in interval], [place, place], color=colour, linewidth=1.5)
        axes.plot(at(row["mean"], math.nan), place, marker, color=colour, markersize=4)


def _number(row: dict[str, Any]) -> str:
    """The number with its interval, a ratio to the prediction where there is one, and the bounds."""
    above, below = (">", "<") if row["strict"] else ("≥", "≤")
    low, high = row["low"], row["high"]
    wanted = f"{above} {low:g}" if high is None else f"{below} {high:g}" if low is None else f"{low:g} to {high:g}"
    judged = "no number" if row["half_width"] is None else f"{row['mean']:.3g} ± {row['half_width']:.2g}"
    return f"{'' if row['predicted'] is None else 'ratio '}{judged} ({wanted})"
