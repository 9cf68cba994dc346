"""`deepnet train`, one run a loss: NC1, NC2, NC3 and NC4 of the training features against epochs."""

from pathlib import Path
from typing import Any

from figures import accuracies
from figures.style import COLOURS, COLUMN, in_our_style, loss_name, outside_legend, plain_numbers, save, subplots

RECORDS = accuracies.RECORDS

METRICS = {
    "nc1_quotient": "NC1: within-class variability",
    "nc2_etf_distance": "NC2: distance to the ETF",
    "nc3_self_duality": "NC3: self-duality",
    "nc4_disagreement": "NC4: disagreement with nearest mean",
}


@in_our_style
def draw(*records: dict[str, Any], path: Path) -> Path:
    """A panel per metric, a curve per record; NC4 is a share of samples and may be 0."""
    figure, panels = subplots(2, 2, figsize=(1.2 * COLUMN, 0.8 * COLUMN), sharex=True)
    for axes, (name, title) in zip(panels.flat, METRICS.items(), strict=True):
        for colour, record in zip(COLOURS, records, strict=False):
            lines = [(line["epoch"], line["train"][name]) for line in record["result"]["metrics"] if "train" in line]
            points = [(epoch, value) for epoch, value in lines if value is not None]
            if points:
                axes.plot(*zip(*points, strict=True), ".-", color=colour, label=loss_name(record["setting"]["loss"]))
        axes.set_title(title)
        if axes.has_data() and name != "nc4_disagreement":
            axes.set_yscale("log")
            plain_numbers(axes.yaxis)
    for axes in panels[1]:
        axes.set_xlabel("epoch")
    outside_legend(figure, *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return save(figure, path)
