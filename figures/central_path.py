"""Squared error along training, split into its parts along the central path and the distance from it."""

from pathlib import Path
from typing import Any

from figures import feature_penalty
from figures.style import COLUMN, in_our_style, outside_legend, save, subplots

RECORDS = feature_penalty.RECORDS
JOB = "compare"

TERMS = {
    "loss": "squared error + decays of W, b",
    "nc1": "NC1 term (least squares)",
    "nc23": "NC2/3 term (least squares)",
    "away": "distance from the central path",
}


def fits(record: dict[str, Any]) -> bool:
    """Whether the loss is squared error, the one with a central path."""
    return any("central_path_loss" in run["measures"] for run in record["result"]["runs"])


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Every run in a record of `deepnet compare` that was trained with squared error, terms over epochs."""
    runs = [run for run in record["result"]["runs"] if "central_path_loss" in run["collapse"][-1]]
    figure, axes = subplots(figsize=(COLUMN, 0.55 * COLUMN))
    for index, run in enumerate(runs):
        epochs = [line["epoch"] for line in run["collapse"]]
        for number, (term, label) in enumerate(TERMS.items()):
            values = [line[f"central_path_{term}"] for line in run["collapse"]]
            values = [float("nan") if value is None else value for value in values]
            axes.plot(epochs, values, color=f"C{number}", alpha=0.8, label=label if index == 0 else None)
    axes.set(
        xlabel="epoch",
        ylabel="value of the term",
        yscale="log",
        title="Squared error along the central path, clean training images",
    )
    outside_legend(figure, loc="outside lower center", ncols=2)
    return save(figure, path)
