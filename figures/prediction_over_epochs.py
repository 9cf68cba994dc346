"""When do networks come near the theory? Measured over predicted at every measured epoch, and the residual."""

from pathlib import Path
from typing import Any

from figures import prediction_against_measurement
from figures.style import COLOURS, COLUMN, in_our_style, save, subplots

RECORDS = prediction_against_measurement.RECORDS
JOB = "compare"

NAMES = ("margin", "|w|", "variance between classes / total", "dimensions of class means")


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """One panel a quantity and one for the residual, a line a run, a colour a condition."""
    runs = record["result"]["runs"]
    conditions = list(dict.fromkeys(run["condition"] for run in runs))
    figure, panels = subplots(1, len(NAMES) + 1, figsize=(2.4 * COLUMN, 0.5 * COLUMN))
    for run in runs:
        colour = COLOURS[conditions.index(run["condition"]) % len(COLOURS)]
        lines = [line for line in run["trajectory"] if line["rows"]]
        epochs = [line["epoch"] for line in lines]
        for axes, name in zip(panels, NAMES, strict=False):
            pairs = [line["rows"][name] for line in lines]
            ratios = [p["measured"] / p["predicted"] if p["predicted"] else float("nan") for p in pairs]
            axes.plot(epochs, ratios, color=colour, linewidth=1)
        panels[-1].plot(epochs, [line["stationarity"] for line in lines], color=colour, linewidth=1)
    for axes, name in zip(panels, (*NAMES, "stationarity residual"), strict=True):
        axes.set(title=name, xlabel="epoch", yscale="log")
        axes.title.set_fontsize(8)
    for index, condition in enumerate(conditions):
        panels[0].plot([], [], color=COLOURS[index % len(COLOURS)], label=condition)
    panels[0].set_ylabel("measured / predicted")
    figure.legend(loc="outside lower center", ncols=4)
    return save(figure, path)
