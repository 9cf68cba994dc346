"""Judgements as a table for people and as a result for the record."""

import dataclasses
import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deepnet.experiments.conduct import Unit, by_seed
from deepnet.experiments.experiment import Experiment
from deepnet.experiments.run import Run
from deepnet.experiments.statement import judge
from deepnet.training import checkpoint

CURVE = "nc1_trace"
"""The measure of the training split that the record keeps at every measured epoch."""
COLOURS = {"showed": "green", "did not show": "bold red", "not decided": "yellow"}


def as_result(experiments: Sequence[Experiment], units: Sequence[Unit], failures: Mapping[Path, str]) -> dict[str, Any]:
    """The record's result: judgements, what they rest on, and the trainings that failed."""
    entries = [_entry(experiment, by_seed(units, failures, experiment.name)) for experiment in experiments]
    minutes = sum(_minutes(unit.folder) for unit in units if unit.folder not in failures)
    failed = {unit.name: failures[unit.folder] for unit in units if unit.folder in failures}
    return {
        "experiments": entries,
        "trainings": len(units),
        "distinct_trainings": distinct(units),
        "failures": failed,
        "core_minutes": minutes,
    }


def distinct(units: Sequence[Unit]) -> int:
    """How many trainings differ in more than the experiment they are for; statements on the same ones are dependent."""
    return len({json.dumps(checkpoint.plain_setting(unit.setting), sort_keys=True) for unit in units})


def show(result: dict[str, Any]) -> None:
    """One row a statement, and how many ended how."""
    console = Console()
    if not console.is_terminal:
        console.width = 170
    table = Table(title="What papers say of trained nets", title_justify="left", show_lines=True)
    table.add_column("statement", ratio=6)
    table.add_column("source", ratio=2)
    for column in ("measured: mean (spread over seeds)", "predicted", "90 % interval", "judged in", "outcome"):
        table.add_column(column)
    for experiment in result["experiments"]:
        for row in experiment["statements"]:
            tried = f". Tried: {row['tried']}" if row["outcome"] == "did not show" and row["tried"] else ""
            outcome = f"[{COLOURS[row['outcome']]}]{row['outcome']}[/]"
            table.add_row(f"{row['sentence']}{tried}", experiment["source"], *cells(row), outcome)
    console.print(table)
    counts = Counter(row["outcome"] for experiment in result["experiments"] for row in experiment["statements"])
    counted = ", ".join(f"{counts[outcome]} {outcome}" for outcome in COLOURS)
    console.print(
        f"{counts.total()} statements, each tested on its own: {counted}; {result['trainings']} trainings "
        f"({result['distinct_trainings']} distinct), {len(result['failures'])} failed; "
        f"{result['core_minutes']:.1f} minutes of one core",
        highlight=False,
    )


def cells(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Measured, predicted, interval of the judged number and its bounds, as text."""
    predicted = "-" if row["predicted"] is None else _number(_mean(row["predicted"]))
    unit = "" if row["predicted"] is None else " x predicted"
    judged = "-"
    if math.isfinite(_float(row["half_width"])):
        judged = f"{row['mean']:.3g} ± {row['half_width']:.2g}{unit}"
    measured = [_float(value) for value in row["measured"]]
    spread = f" ({statistics.stdev(measured):.2g})" if all(map(math.isfinite, measured)) else ""
    return f"{_number(_mean(measured))}{spread}", predicted, judged, bounds_of(row)


def bounds_of(row: Mapping[str, Any]) -> str:
    """The bounds of the judged number as text."""
    low, high = _float(row["low"], -math.inf), _float(row["high"], math.inf)
    above, below = (">", "<") if row["strict"] else ("≥", "≤")
    if math.isinf(high):
        return f"{above} {low:g}"
    return f"{below} {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def _minutes(folder: Path) -> float:
    """What the epochs of a training took, on one core."""
    return sum(line["seconds"] for line in checkpoint.read_metrics(folder)) / 60


def _entry(experiment: Experiment, seeds: list[dict[str, Run]]) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "sentence": experiment.sentence,
        "source": experiment.source,
        "runs": experiment.runs,
        "statements": [dataclasses.asdict(judge(statement, seeds)) for statement in experiment.statements],
        "curves": {name: [_curve(runs[name]) for runs in seeds] for name in experiment.runs},
    }


def _curve(run: Run) -> dict[str, list[Any]]:
    """Epochs and values, rounded to what a picture shows."""
    points = [] if run.failure else run.curve(CURVE)
    return {"epoch": [epoch for epoch, _ in points], CURVE: [float(f"{value:.3g}") for _, value in points]}


def _mean(values: Sequence[float | None]) -> float:
    return statistics.fmean(map(_float, values))


def _float(value: float | None, missing: float = math.nan) -> float:
    return missing if value is None else value


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
