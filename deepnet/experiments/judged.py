"""The contents of the record of experiments: judgements, the numbers behind them, and failed trainings."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from deepnet.experiments.conduct import Unit, by_seed
from deepnet.experiments.experiment import Experiment
from deepnet.experiments.run import Run
from deepnet.experiments.statement import judge
from deepnet.training import checkpoint

CURVE = "nc1_trace"
"""The measure of the training split that the record keeps at every measured epoch."""


class Judged(TypedDict, total=False):
    """The contents of the record; before the first training there are no experiments in it.

    Attributes:
        experiments: `name`, `sentence`, `source`, its `runs`, `statements` (the fields of a judgement) and `curves`: of
            each run and seed `epoch` and `nc1_trace`.
        trainings: how many; `distinct_trainings`: how many differ in more than the experiment they are for.
        failures: why trainings failed, by name.
        core_minutes: what the others took, on one core.
    """

    experiments: list[dict[str, Any]]
    trainings: int
    distinct_trainings: int
    failures: dict[str, str]
    core_minutes: float


def as_result(experiments: Sequence[Experiment], units: Sequence[Unit], failures: Mapping[Path, str]) -> Judged:
    """The result for the record: judgements, the numbers behind them, and failed trainings."""
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
    """The number of trainings that differ in more than their experiment; statements on equal ones are dependent."""
    return len({json.dumps(checkpoint.plain_setting(unit.setting), sort_keys=True) for unit in units})


def _minutes(folder: Path) -> float:
    """The minutes that the epochs of a training took on one core."""
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
    """Epochs and values, rounded for a picture."""
    points = [] if run.failure else run.curve(CURVE)
    return {"epoch": [epoch for epoch, _ in points], CURVE: [float(f"{value:.3g}") for _, value in points]}
