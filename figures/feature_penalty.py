"""What networks pay for their features: log |W|^2 against log |h| of runs that differ in loss, decay and seed."""

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from figures.style import COLOURS, COLUMN, in_our_style, save, subplots

_RUNS = ", ".join(f"runs/usual-mlp-{loss}-{seed}" for seed in range(3) for loss in ("ce", "ls", "focal", "mse"))
RECORDS = {
    "compare_mlp": "python -m deepnet compare --depths '[1, 3]' "
    f"--runs '[{_RUNS}]' --json figures/data/compare_mlp.json"
}
JOB = "compare"


def fits(record: dict[str, Any]) -> bool:
    """Whether the conditions have a line, and so an m."""
    return any(network["depth_fit"] for network in record["result"]["networks"])


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """One panel a network: its runs, the line fitted to them, and the model's slope 2 (m = 1) through their mean."""
    networks = [network for network in record["result"]["networks"] if network["depth_fit"]]
    figure, panels = subplots(1, max(1, len(networks)), figsize=(COLUMN, 0.7 * COLUMN), squeeze=False)
    for axes, network in zip(panels[0], networks, strict=False):
        _panel(axes, network)
    return save(figure, path)


def _panel(axes: Axes, network: dict[str, Any]) -> None:
    points: list[tuple[float, float]] = []
    for index, condition in enumerate(network["conditions"]):
        found = [(math.log(x), math.log(y)) for x, y in condition["norms"]]
        points += found
        axes.plot(*zip(*found, strict=True), "o", color=COLOURS[index % len(COLOURS)], label=condition["condition"])
    centre = [sum(values) / len(points) for values in zip(*points, strict=True)]
    ends = [min(x for x, _ in points), max(x for x, _ in points)]
    slope = network["depth_fit"]["slope"]
    for rate, style, label in (
        (slope, "-", f"fitted, slope {slope:.2g}"),
        (2.0, ":", "slope 2: the model, decay |H|² (m = 1)"),
    ):
        axes.plot(ends, [centre[1] + rate * (x - centre[0]) for x in ends], style, color="0.4", label=label)
    axes.set(xlabel="log |h|", ylabel="log |W|²", title="Balance of norms, |W|² ~ |h|^slope")
    axes.legend()
