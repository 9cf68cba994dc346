"""A run over its epochs: the loss falls, accuracy reaches its end, and then the features go on collapsing."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from figures.style import COLUMN, in_our_style, save, subplots

TRAIN = (
    "python -m deepnet train --data-folder data --per-class 50 --test-per-class 50 --net resnet18 --width 0.125 "
    "--batch-size 50 --decay 0.01 --lr 0.02 --schedule cosine --epochs 200 --measure-every 10"
)
"""The setting of the runs of the repository's records, without the loss."""
RECORDS = {"train": f"{TRAIN} --loss ce --json figures/data/train.json"}
JOB = "train"
FILE = "training.png"

SPLITS = ("train", "validation", "test")
COLLAPSE = {"nc1_quotient": "NC1", "nc2_etf_distance": "NC2", "nc3_self_duality": "NC3"}


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Loss, accuracies and NC1-NC3 on clean images, from a record of `deepnet train`."""
    metrics = record["result"]["metrics"]
    measured = [line for line in metrics if "train" in line]
    figure, (loss, accuracy, collapse) = subplots(1, 3, figsize=(1.5 * COLUMN, COLUMN / 2))
    _curve(loss, metrics, "while training", lambda line: line["loss"])
    for split in (split for split in SPLITS if split in measured[-1]):
        _curve(loss, measured, split, lambda line, split=split: line[split]["loss"])
        _curve(accuracy, measured, split, lambda line, split=split: line[split]["accuracy"])
    for (key, name), style in zip(COLLAPSE.items(), ("-", "--", ":"), strict=True):
        _curve(collapse, measured, name, lambda line, key=key: line["train"][key], style)
    for axes, title in ((loss, "mean loss"), (accuracy, "accuracy"), (collapse, "collapse of the training features")):
        axes.set(title=title, xlabel="epoch", yscale="linear" if axes is accuracy else "log")
        axes.legend()
    return save(figure, path)


def _curve(axes: Axes, lines: list[dict[str, Any]], label: str, value: Any, style: str = "-") -> None:
    """One quantity over the epochs; what was not a number leaves a gap."""
    values = [float("nan") if (v := value(line)) is None else v for line in lines]
    axes.plot([line["epoch"] for line in lines], values, style, label=label, marker="." if len(lines) < 40 else "")
