"""Measured over predicted, one row a quantity: identities test the last layer, predictions test the features."""

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from figures.style import COLOURS, COLUMN, in_our_style, save, subplots

RECORDS = {
    "compare": "python -m deepnet compare --depths '[1, 3]' --runs '[runs/ce-0, runs/ls-0, runs/focal-0, runs/mse-0, "
    "runs/ce-1, runs/ls-1, runs/focal-1, runs/mse-1, runs/ce-2, runs/ls-2, runs/focal-2, runs/mse-2]' "
    "--json figures/data/compare.json"
}
JOB = "compare"

TICKS = (0, 0.5, 1, 1.5, 2, 5, 10, 20, 50, 100)
MARKERS = {"calibration": "s", "identity": "o", "prediction": "D"}


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Every row of every condition in a record of `deepnet compare`; lines reach from the lowest to the highest run."""
    runs = record["result"]["runs"]
    names = list(dict.fromkeys(row["name"] for run in runs for row in run["rows"]))
    kinds = {row["name"]: row["kind"] for run in runs for row in run["rows"]}
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault(_label(run), []).append(run)
    figure, axes = subplots(figsize=(1.3 * COLUMN, 0.3 * len(names) + 1.4))
    axes.axvline(1, color="0.5", linewidth=1)
    for index, (label, group) in enumerate(groups.items()):
        shift = 0.5 * ((index + 0.5) / len(groups) - 0.5)
        _draw_group(axes, group, names, shift, COLOURS[index % len(COLOURS)])
        axes.plot([], [], "o", color=COLOURS[index % len(COLOURS)], label=label)
    axes.set(xlabel="measured / predicted", title="Trained last layer against the unconstrained feature model")
    axes.set_xscale("symlog", linthresh=2, linscale=3)
    limits = axes.get_xlim()
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.set_xlim(limits)
    axes.set_yticks(range(len(names)), [f"{name}\n({kinds[name]})" for name in names], fontsize=7)
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2)
    return save(figure, path)


def _draw_group(axes: Axes, group: list[dict[str, Any]], names: list[str], shift: float, colour: str) -> None:
    """One condition: a marker a run, and a line through them."""
    for position, name in enumerate(names):
        rows = [row for run in group for row in run["rows"] if row["name"] == name]
        ratios = [math.nan if row["ratio"] is None else row["ratio"] for row in rows]
        if rows:
            axes.plot(
                ratios, [position + shift] * len(rows), MARKERS[rows[0]["kind"]] + "-", color=colour, markersize=4
            )


def _label(run: dict[str, Any]) -> str:
    setting = run["run_setting"]
    return f"{run['condition']} ({setting['net']}, {setting['data']}, epoch {run['epoch']})"
