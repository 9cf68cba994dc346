"""`deepnet compare`: NC1, NC2, NC3 and NC4 of the training features against epochs, every run of the record."""

from pathlib import Path
from typing import Any

from figures import prediction_against_measurement
from figures.style import COLOURS, COLUMN, loss_name, save, use_style

RECORDS = prediction_against_measurement.RECORDS

METRICS = {
    "nc1_quotient": "NC1: within-class variability",
    "nc2_etf_distance": "NC2: distance to the ETF",
    "nc3_self_duality": "NC3: self-duality",
    "nc4_disagreement": "NC4: disagreement with nearest mean",
}


def draw(record: dict[str, Any], path: Path) -> Path:
    """A panel per metric, a curve per run, a colour per loss; NC4 is a share of samples and may be 0."""
    use_style()
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 2, figsize=(1.2 * COLUMN, 0.8 * COLUMN), sharex=True)
    for axes, (name, title) in zip(panels.flat, METRICS.items(), strict=True):
        labelled: dict[str, str] = {}
        for run in record["result"]["runs"]:
            lines = [line for line in run["collapse"] if line[name] is not None]
            label = loss_name(run["run_setting"]["loss"])
            colour = labelled.get(label, COLOURS[len(labelled) % len(COLOURS)])
            epochs, values = [line["epoch"] for line in lines], [line[name] for line in lines]
            axes.plot(epochs, values, ".-", color=colour, label="_" * (label in labelled) + label)
            labelled[label] = colour
        axes.set_title(title, fontsize=9)
        axes.set_yscale("linear" if name == "nc4_disagreement" else "log")
    for axes in panels[1]:
        axes.set_xlabel("epoch")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    return save(figure, path)
