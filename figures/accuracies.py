"""`deepnet train`, one run a loss: training, validation and test accuracy on clean images against epochs."""

from pathlib import Path
from typing import Any

from figures import training_curves
from figures.style import COLOURS, COLUMN, in_our_style, loss_name, outside_legend, save, subplots
from figures.training_curves import SPLITS, TRAIN

RECORDS = training_curves.RECORDS | {
    "train_ls": f"{TRAIN} --loss ls --json figures/data/train_ls.json",
    "train_focal": f"{TRAIN} --loss focal --json figures/data/train_focal.json",
    "train_mse": f"{TRAIN} --loss mse --loss.rescale 15 --loss.convention mean --json figures/data/train_mse.json",
}


@in_our_style
def draw(*records: dict[str, Any], path: Path) -> Path:
    """A panel per split, a curve per record."""
    figure, panels = subplots(1, 3, figsize=(1.5 * COLUMN, 0.5 * COLUMN), sharey=True)
    for axes, split in zip(panels, SPLITS, strict=True):
        for colour, record in zip(COLOURS, records, strict=False):
            lines = [line for line in record["result"]["metrics"] if split in line]
            points = [(line["epoch"], line[split]["accuracy"]) for line in lines if line[split]["accuracy"] is not None]
            label = loss_name(record["setting"]["loss"])
            axes.plot(*zip(*points, strict=True), marker=".", color=colour, label=label)
        axes.set(title=split, xlabel="epoch", ylim=(0, 1.03))
    panels[0].set_ylabel("accuracy")
    outside_legend(figure, *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(records))
    return save(figure, path)
