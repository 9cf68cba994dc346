"""The rule that judges statements, the folder that lists itself, and one experiment from beginning to end."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from deepnet.__main__ import COMMANDS
from deepnet.experiments.experiment import find, list_experiments, setting_of
from deepnet.experiments.measures import cosine_between_rows, share_of_top
from deepnet.experiments.run import Run
from deepnet.experiments.squared_error_stays_on_the_central_path import signal_to_noise
from deepnet.experiments.statement import Judgement, Statement, judge
from deepnet.features import LastLayer
from deepnet.settings import ExperimentSetting
from ufm.command_line import main
from ufm.losses import SquaredError


def judged(values, failure="", predicted=None, **bounds) -> Judgement:
    """The judgement on runs that stand for their number; the first one has failed if there is a failure."""
    seeds = [{"run": Run(Path(str(value)), failure if i == 0 else "")} for i, value in enumerate(values)]
    return judge(Statement("", lambda runs: float(str(runs["run"].folder)), predicted=predicted, **bounds), seeds)


def outcome(values, *failure, **bounds) -> str:
    return judged(values, *failure, **bounds).outcome


@pytest.mark.parametrize(
    ("values", "bounds", "expected"),
    [
        ((0.5, 0.6, 0.7), {"high": 1.0}, "showed"),
        ((1.5, 1.6, 1.7), {"high": 1.0}, "did not show"),
        ((0.5, 0.9, 1.3), {"high": 1.0}, "not decided"),  # 0.9 +- 0.67
        ((0.5, 0.6, 0.7), {"low": 0.7}, "not decided"),  # 0.6 +- 0.17
        ((0.5, 0.6, 0.7), {"low": 0.8}, "did not show"),
        ((0.5, 0.6, 0.7), {"low": 0.4, "high": 0.8}, "showed"),
        ((1.0, 1.0), {"low": 1.0, "high": 1.0}, "showed"),
        ((0.5, math.nan, 0.7), {"high": 1.0}, "not decided"),
        ((0.5,), {"high": 1.0}, "not decided"),
    ],
)
def test_the_rule(values, bounds, expected):
    assert outcome(values, **bounds) == expected


def test_a_prediction_is_judged_by_the_ratio():
    assert outcome((2.0, 2.1, 1.9), low=0.9, high=1.1, predicted=lambda _: 2.0) == "showed"
    assert outcome((2.0, 2.1, 1.9), low=0.9, high=1.1, predicted=lambda _: 4.0) == "did not show"
    assert outcome((-0.11, -0.12, -0.1), low=0.8, high=1.2, predicted=lambda _: -1 / 9) == "showed"
    assert outcome((2.0, 2.1, 1.9), low=0.9, high=1.1, predicted=lambda _: 0.0) == "not decided"


def test_a_failed_run_decides_nothing():
    assert outcome((0.5, 0.6, 0.7), "the loss became nan", high=1.0) == "not decided"


def test_a_ratio_to_zero_decides_nothing():
    assert judge(Statement("", lambda runs: 1 / len(runs.get("none", "")), high=1.0), [{}, {}]).outcome == "not decided"


def test_the_interval_is_students():
    assert judged((1.0, 2.0, 3.0), high=1.0).half_width == pytest.approx(2.919986 / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("experiment", list_experiments(), ids=lambda experiment: experiment.name)
def test_every_experiment_is_well_formed(experiment):
    assert experiment.source
    assert experiment.sentence.endswith(".")
    assert len(experiment.statements) >= 3
    assert all(math.isfinite(s.low) or math.isfinite(s.high) for s in experiment.statements)
    for changes in experiment.runs.values():
        assert setting_of(ExperimentSetting().common, changes, 1).seed == 1


def test_all_neighbours_have_an_experiment():
    sources = " ".join(experiment.source for experiment in list_experiments())
    for paper in ("Yaras", "Zhu", "Han", "Guo", "Li et al", "Jiang", "Tirer", "Ergen", "Fang"):
        assert paper in sources


def test_signal_to_noise_of_known_features():
    """Three classes on the axes at distances 1, 2, 3 from a common point, noise of variance 1/4 in each direction."""
    means = torch.diag(torch.tensor([1.0, 2, 3], dtype=torch.float64))
    noise = torch.cat([torch.eye(3), -torch.eye(3)]).double() * math.sqrt(3) / 2
    H = (means[:, None] + noise).reshape(18, 3)
    layer = LastLayer(H, torch.arange(3).repeat_interleave(6), torch.eye(3).double(), torch.zeros(3).double())
    found = signal_to_noise(layer, SquaredError())
    expected = torch.linalg.svdvals(means - means.mean(0))[:2] / 0.5
    assert list(found.values()) == pytest.approx(expected.tolist(), rel=1e-12)


def test_small_measures():
    rows = torch.tensor([[1.0, 0], [0, 1], [1, 0]], dtype=torch.float64)
    assert cosine_between_rows(rows) == pytest.approx(1 / 3)
    assert share_of_top(torch.diag(torch.tensor([3.0, 2, 1])), 2) == pytest.approx(13 / 14)


NAME = "squared_error_stays_on_the_central_path"
SMALL = ["experiment", NAME, "--seeds", "2", "--epochs", "8", "--per-class", "20"]


@pytest.fixture(scope="module")
def conducted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment") / "out"
    assert main("python -m deepnet", "", COMMANDS, [*SMALL, "--out", str(folder)]) == 0
    return folder


def test_an_experiment_from_beginning_to_end(conducted):
    result = json.loads((conducted / "record.json").read_text())["result"]
    (experiment,) = result["experiments"]
    assert result["trainings"] == 2
    assert result["failures"] == {}
    assert all(len(row["measured"]) == 2 for row in experiment["statements"])
    assert {row["outcome"] for row in experiment["statements"]} <= {"showed", "did not show", "not decided"}
    assert (conducted / "experiments.png").stat().st_size > 1000


def test_the_decomposition_adds_up_at_every_epoch(conducted):
    lines = (conducted / NAME / "squared_error-seed0" / "metrics.jsonl").read_text().splitlines()
    splits = [line[name] for line in map(json.loads, lines) if "train" in line for name in ("train", "test")]
    assert len(splits) == 14
    for split in splits:
        loss, *terms = (split[f"central_path_{name}"] for name in ("loss", "nc1", "nc23", "away"))
        assert sum(terms) == pytest.approx(loss, rel=1e-10)
        assert min(terms) > 0


def test_it_goes_on_and_does_nothing_twice(conducted):
    run = conducted / NAME / "squared_error-seed0"
    before = (run / "metrics.jsonl").stat().st_mtime_ns
    lost = conducted / NAME / "squared_error-seed1"
    for file in lost.iterdir():
        if file.name != "setting.json":
            file.unlink()  # killed before its first checkpoint
    assert main("python -m deepnet", "", COMMANDS, [*SMALL, "--out", str(conducted)]) == 0
    assert (run / "metrics.jsonl").stat().st_mtime_ns == before
    assert len((lost / "metrics.jsonl").read_text().splitlines()) == 24


def test_another_number_of_seeds_is_refused(conducted, capsys):
    assert main("python -m deepnet", "", COMMANDS, [*SMALL, "--seeds", "3", "--out", str(conducted)]) == 2
    assert "`--seeds` must be 2 to continue" in capsys.readouterr().err


def test_a_run_of_another_setting_is_refused(conducted, capsys):
    (experiment,) = find(NAME)
    path = conducted / experiment.name / "squared_error-seed0" / "setting.json"
    stored = path.read_text()
    path.write_text(json.dumps(json.loads(stored) | {"lr": 0.5}))
    assert main("python -m deepnet", "", COMMANDS, [*SMALL, "--out", str(conducted)]) == 2
    assert "must hold a run of the setting asked for" in capsys.readouterr().err
    path.write_text(stored)
    assert dataclasses.is_dataclass(experiment)
