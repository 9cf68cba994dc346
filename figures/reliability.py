"""Is the network right as often as it says? Accuracy over confidence in bins, before and after temperature scaling."""

from pathlib import Path
from typing import Any

from figures import measured_splits
from figures.style import COLUMN, in_our_style, save, subplots

RECORDS = measured_splits.RECORDS
JOB = "measure"


def fits(record: dict[str, Any]) -> bool:
    """Whether calibration was measured: not of images with several labels."""
    return bool(record["result"]["calibration"])


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """The reliability diagram of the test images in a record of `deepnet measure`; empty bins have no point."""
    found = record["result"]["calibration"]
    figure, axes = subplots(figsize=(0.7 * COLUMN, 0.7 * COLUMN))
    axes.plot([0, 1], [0, 1], ":", color="0.5")
    curves = {"as trained": "as_trained", f"temperature {found.get('temperature', 1):.3g}": "scaled"}
    for label, key in curves.items():
        if key in found:
            bins = [entry for entry in found[key]["reliability"] if entry["count"]]
            points = ([entry["confidence"] for entry in bins], [entry["accuracy"] for entry in bins])
            axes.plot(*points, "o-", markersize=4, label=f"{label}: ECE {found[key]['ece']:.3g}")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title="Reliability, test images")
    axes.legend()
    return save(figure, path)
