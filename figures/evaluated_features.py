"""Neural collapse of features from elsewhere: bars for one set, curves over several, such as checkpoints in order."""

from pathlib import Path
from typing import Any

from figures.style import COLUMN, in_our_style, save, subplots

JOB = "evaluate"
METRICS = {
    "nc1_pinv": "NC1\npinv",
    "nc1_trace": "NC1\ntrace",
    "nc1_cdnv": "NC1\nCDNV",
    "nc2_equinorm": "NC2\nlengths",
    "nc2_equiangular": "NC2\nangles",
    "nc2_etf": "NC2\nsimplex",
    "nc3": "NC3",
    "nc4": "NC4",
    "nc4_test": "NC4\ntest",
}
"""Those that are 0 at collapse."""
STYLES = {"nc1": "-", "nc2": "--"}
"""Of the curves, for there are more of them than colours."""
NAMED = 12
"""Files up to which each has its name below the axis."""


def fits(record: dict[str, Any]) -> bool:
    """Whether anything can be drawn on a scale of powers: not where all is 0, or undefined as for one class."""
    values = (next(iter(each["layers"].values())) for each in record["result"]["evaluations"])
    return any(each.get(name) for each in values for name in METRICS)


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """The metrics of a record of `deepnet evaluate`; what is 0 or was no number leaves a gap.

    Raises:
        ValueError: if nothing else is left.
    """
    found = record["result"]["evaluations"]
    values = [next(iter(each["layers"].values())) for each in found]
    names = [name for name in METRICS if any(name in each for each in values)]
    figure, axes = subplots(figsize=(1.3 * COLUMN, 0.6 * COLUMN))
    if len(values) == 1:
        axes.bar(range(len(names)), [values[0].get(name) or float("nan") for name in names])
        axes.set_xticks(range(len(names)), [METRICS[name] for name in names])
    else:
        for name in names:
            curve = [each.get(name) or float("nan") for each in values]
            style = STYLES.get(name[:3], ":")
            axes.plot(curve, style, label=METRICS[name].replace("\n", " "), marker="." if len(values) < 40 else "")
        stems = [Path(each["source"]).stem for each in found]
        if len(stems) <= NAMED:
            axes.set_xticks(range(len(stems)), stems, rotation=30, ha="right")
        axes.legend(ncols=2)
    title = Path(found[0]["source"]).name if len(found) == 1 else f"{len(found)} sets of features, in order"
    axes.set(yscale="log", ylabel="distance from collapse", title=title)
    return save(figure, path)
