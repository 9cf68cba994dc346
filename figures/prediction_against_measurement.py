"""Measured over predicted, one row a quantity: identities test the last layer, predictions test the features."""

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from figures.style import COLOURS, COLUMN, in_our_style, outside_legend, save, subplots

_RUNS = ", ".join(f"runs/usual-{loss}-{seed}" for seed in range(3) for loss in ("ce", "ls", "focal", "mse"))
RECORDS = {
    "compare": f"python -m deepnet compare --depths '[1, 3]' --runs '[{_RUNS}]' --json figures/data/compare.json"
}
JOB = "compare"

LINEAR = 2
"""Ratios up to this are drawn to scale, larger ones on a logarithmic one."""
MARKERS = {"calibration": "s", "identity": "o", "prediction": "D"}


def fits(record: dict[str, Any]) -> bool:
    """Whether the model predicts the minimum of one of the runs."""
    return any(run["no_prediction"] is None for run in record["result"]["runs"])


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Every row of every condition in a record of `deepnet compare`; lines reach from the lowest to the highest run."""
    runs = record["result"]["runs"]
    names = list(dict.fromkeys(row["name"] for run in runs for row in run["rows"]))
    sources = list(dict.fromkeys(_source(run) for run in runs))
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        label = run["condition"] if len(sources) == 1 else f"{run['condition']} ({_source(run)})"
        groups.setdefault(label, []).append(run)
    figure, axes = subplots(figsize=(1.3 * COLUMN, (0.26 + 0.02 * len(groups)) * len(names) + 1.4), is_wide=True)
    axes.axvline(1, color="0.5", linewidth=1)
    for index, (label, group) in enumerate(groups.items()):
        shift = 0.6 * ((index + 0.5) / len(groups) - 0.5)
        _draw_group(axes, group, names, shift, COLOURS[index % len(COLOURS)])
        axes.plot([], [], "o", color=COLOURS[index % len(COLOURS)], label=label)
    kinds = [axes.plot([], [], marker, color="0.4", markersize=4, label=kind)[0] for kind, marker in MARKERS.items()]
    axes.set_title(
        f"Trained last layer against the model: {sources[0]}" if len(sources) == 1 else "Trained last layers"
    )
    _scale(axes)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    handles = [line for line in axes.lines if line.get_label() in groups]
    outside_legend(figure, handles=handles, loc="outside lower center", ncols=2)
    axes.legend(handles=kinds)
    return save(figure, path)


def _scale(axes: Axes) -> None:
    """A linear axis, with what is beyond on a logarithmic one, and words that say so."""
    axes.set_xscale("symlog", linthresh=LINEAR, linscale=3)
    low, high = axes.get_xlim()
    ticks = [tick for tick in ticks_between(low, high) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" if tick < 1e4 else f"$10^{{{math.log10(tick):.0f}}}$" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)
    beyond = f" (linear up to {LINEAR}, logarithmic beyond)" if high > LINEAR else ""
    axes.set_xlabel(f"measured / predicted{beyond}")


def ticks_between(low: float, high: float) -> list[float]:
    """Numbers to write on the axis: 0.5 apart where it is linear, beyond 1, 2 and 5 or only powers of ten."""
    linear = [0.5 * step for step in range(-4, 5)] if low < 0 else [0, 0.5, 1, 1.5, 2]
    powers = [10.0**power for power in range(1, 1 + math.ceil(math.log10(max(high, 10))))]
    every = max(1, len(powers) // 6)
    return linear + ([5, 10, 20, 50, 100, 200, 500] if high <= 500 else powers[::every])


def _draw_group(axes: Axes, group: list[dict[str, Any]], names: list[str], shift: float, colour: str) -> None:
    """One condition: a marker a run, and a line through them."""
    for position, name in enumerate(names):
        rows = [row for run in group for row in run["rows"] if row["name"] == name]
        ratios = [math.nan if row["ratio"] is None else row["ratio"] for row in rows]
        if rows:
            look = MARKERS[rows[0]["kind"]] + "-"
            axes.plot(ratios, [position + shift] * len(rows), look, color=colour, markersize=4, linewidth=1)


def _source(run: dict[str, Any]) -> str:
    setting = run["run_setting"]
    return f"{setting['net']}, {setting['data']}, epoch {run['epoch']}"
