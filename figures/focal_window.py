"""`ufm focal-window`: values of zero, the ETF and m-class collapse against the strength of the decays."""

from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, outside_legend, save, subplots

RECORDS = {"focal_window": "python -m ufm focal-window --classes 30 --gamma 3 --json figures/data/focal_window.json"}
JOB = "focal-window"


def fits(record: dict[str, Any]) -> bool:
    """Whether there is a window, and curves over it."""
    return record["result"]["curves"] is not None


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Values less zero's; on the right the part in which a partial state is lowest."""
    result, setting = record["result"], record["setting"]
    figure, axes = subplots(1, 2, figsize=(1.5 * COLUMN, 3.6))
    for panel in axes:
        _curves(panel, result, setting["classes"])
        panel.set_xlabel("c = sqrt(n decay_W decay_H)")
    axes[0].set_ylabel("objective less its value at zero")
    for name, label in (("low", "c_low"), ("maxwell", "c_M"), ("high", "c_high")):
        axes[0].axvline(result["thresholds"][name], color="grey", linewidth=0.6)
        place, frame = (result["thresholds"][name], 0.04), ("data", "axes fraction")
        box = {"facecolor": "white", "linewidth": 0, "pad": 1}
        axes[0].annotate(label, place, xycoords=frame, ha="center", bbox=box)
    if result["window"]:
        first, last = result["window"]
        margin = 0.3 * (last - first)
        axes[1].set_xlim(first - margin, last + margin)
        gain = min(row["value"] for row in result["states"]) - result["value_at_zero"]
        axes[1].set_ylim(2 * gain, -gain)
        axes[1].axvspan(first, last, color="grey", alpha=0.15, linewidth=0)
        axes[1].set_title("shaded: neither zero nor the ETF is lowest")
        axes[1].locator_params(axis="x", nbins=4)
    axes[0].set_title(f"focal {setting['gamma']:g}, K = {setting['classes']}")
    outside_legend(figure, *axes[0].get_legend_handles_labels(), loc="outside right center")
    return save(figure, path)


def _curves(axes: Any, result: dict[str, Any], K: int) -> None:
    c, values = result["curves"]["c"], result["curves"]["values"]
    from matplotlib import colormaps

    for m, curve in values.items():
        less = [None if value is None else value - result["value_at_zero"] for value in curve]
        points = [(x, y) for x, y in zip(c, less, strict=True) if y is not None]
        if int(m) == K:
            axes.plot(*zip(*points, strict=True), color=COLOURS[1], linewidth=2, label="ETF")
        elif points:
            shade = colormaps["viridis"](int(m) / K)
            axes.plot(*zip(*points, strict=True), color=shade, linewidth=0.8, label=f"m = {m}")
    axes.axhline(0, color=COLOURS[0], linewidth=2, label="zero")
