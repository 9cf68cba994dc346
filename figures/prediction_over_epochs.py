"""When do networks come near the theory? Measured over predicted at every measured epoch, and the residual."""

from pathlib import Path
from typing import Any

from figures import prediction_against_measurement
from figures.style import COLOURS, COLUMN, in_our_style, outside_legend, plain_numbers, save, subplots

RECORDS = prediction_against_measurement.RECORDS
JOB = "compare"
fits = prediction_against_measurement.fits

NAMES = ("margin", "|w|", "|h|", "variance between classes / total", "dimensions of class means")


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """One panel a quantity and one for the residual, a line a run, a colour a condition."""
    runs = record["result"]["runs"]
    conditions = list(dict.fromkeys(run["condition"] for run in runs))
    figure, panels = subplots(2, 3, figsize=(1.4 * COLUMN, 0.8 * COLUMN), sharex=True)
    *ratios, residual = panels.flat
    for run in runs:
        colour = COLOURS[conditions.index(run["condition"]) % len(COLOURS)]
        lines = [line for line in run["trajectory"] if line["rows"]]
        epochs = [line["epoch"] for line in lines]
        for axes, name in zip(ratios, NAMES, strict=True):
            axes.plot(epochs, [_ratio(line["rows"][name]) for line in lines], color=colour, linewidth=1)
        residual.plot(epochs, [line["stationarity"] for line in lines], color=colour, linewidth=1)
    for axes, name in zip(ratios, NAMES, strict=True):
        axes.axhline(1, color="0.5", linewidth=0.8, zorder=0)
        axes.set_title(name)
    residual.set_title("residual of the last layer")
    for axes in panels.flat:
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
    for index, condition in enumerate(conditions):
        residual.plot([], [], color=COLOURS[index % len(COLOURS)], label=condition)
    for axes in panels[:, 0]:
        axes.set_ylabel("measured / predicted")
    residual.set_ylabel("|G'H + decay W| / |decay W|", fontsize="small")
    for axes in panels[1]:
        axes.set_xlabel("epoch")
    outside_legend(figure, loc="outside lower center", ncols=4)
    return save(figure, path)


def _ratio(row: dict[str, float]) -> float:
    return row["measured"] / row["predicted"] if row["predicted"] else float("nan")
