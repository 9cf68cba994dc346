"""Variability within classes over the epochs, one panel an experiment, and how many of its statements showed."""

from collections import Counter
from pathlib import Path
from typing import Any

from figures.style import COLOURS, COLUMN, in_our_style, save, subplots

RECORDS = {"experiments": "python -m deepnet experiment --json figures/data/experiments.json"}
JOB = "experiment"

ACROSS = 2
MEASURE = "nc1_trace"


def fits(record: dict[str, Any]) -> bool:
    """Whether a training has ended."""
    return len(record["result"]["failures"]) < record["result"]["trainings"]


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """A thin line a seed, a colour a kind of run."""
    experiments = record["result"]["experiments"]
    down = -(-len(experiments) // ACROSS)
    size = (ACROSS * COLUMN * 0.8, down * COLUMN * 0.55)
    figure, panels = subplots(down, ACROSS, figsize=size, squeeze=False)
    for panel, experiment in zip(panels.flat, experiments, strict=False):
        for (name, seeds), colour in zip(experiment["curves"].items(), COLOURS, strict=False):
            for number, curve in enumerate(seeds):
                label = name.replace("_", " ") if number == 0 else None
                panel.plot(curve["epoch"], curve[MEASURE], color=colour, label=label, linewidth=1)
        counts = Counter(row["outcome"] for row in experiment["statements"])
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        panel.set_title(f"{experiment['name'].replace('_', ' ')}\n{outcomes}", fontsize=8)
        panel.set(xlabel="epoch", ylabel="NC1 (trace form)", yscale="log")
        panel.legend(fontsize=7)
    for panel in panels.flat[len(experiments) :]:
        panel.set_axis_off()
    return save(figure, path)
