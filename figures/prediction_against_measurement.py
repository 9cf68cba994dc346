"""Measured over predicted, one panel of rows: identities test the last layer, predictions test the features."""

import math
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from figures.style import COLOURS, COLUMN, LOSSES, save, use_style

RECORDS = {
    "compare": "python -m deepnet compare --runs '[runs/ce, runs/ls, runs/focal, runs/mse]' "
    "--json figures/data/compare.json"
}

TICKS = (0, 0.5, 1, 1.5, 2, 5, 10, 20, 50, 100)
MARKERS = {"calibration": "s", "identity": "o", "prediction": "D"}


def draw(record: dict[str, Any], path: Path) -> Path:
    """Every row of every run in a record of `deepnet compare`, on the axis measured / predicted."""
    use_style()
    runs = record["result"]["runs"]
    names = list(dict.fromkeys(row["name"] for run in runs for row in run["rows"]))
    kinds = {row["name"]: row["kind"] for run in runs for row in run["rows"]}
    figure, axes = pyplot.subplots(figsize=(1.3 * COLUMN, 0.3 * len(names) + 1.4))
    axes.axvline(1, color="0.5", linewidth=1)
    for index, run in enumerate(runs):
        colour, shift = COLOURS[index % len(COLOURS)], 0.5 * ((index + 0.5) / len(runs) - 0.5)
        for row in run["rows"]:
            ratio = math.nan if row["ratio"] is None else row["ratio"]
            axes.plot(ratio, names.index(row["name"]) + shift, MARKERS[row["kind"]], color=colour, markersize=5)
        axes.plot([], [], "o", color=colour, label=_label(run))
    axes.set(xlabel="measured / predicted", title="Trained last layer against the unconstrained feature model")
    axes.set_xscale("symlog", linthresh=2, linscale=3)
    limits = axes.get_xlim()
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.set_xlim(limits)
    axes.set_yticks(range(len(names)), [f"{name}\n({kinds[name]})" for name in names], fontsize=7)
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2)
    return save(figure, path)


def _label(run: dict[str, Any]) -> str:
    setting = run["run_setting"]
    return f"{LOSSES[setting['loss']['name']]}, {setting['data']}, epoch {run['epoch']}"
