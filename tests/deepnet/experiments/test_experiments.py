"""The rule that judges statements, the folder that lists itself, and one experiment from beginning to end."""

import dataclasses
import json
import math
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from deepnet.__main__ import COMMANDS
from deepnet.experiments import more_classes_than_dimensions
from deepnet.experiments.conduct import Unit, train_unit
from deepnet.experiments.experiment import find, list_experiments, setting_of
from deepnet.experiments.measures import (
    LEVELS,
    cosines_between_rows,
    distance_from_simplex,
    ratio_of_first_epochs,
    share_of_top,
)
from deepnet.experiments.rare_classes_come_together import Centred, balanced_problem
from deepnet.experiments.run import Run
from deepnet.experiments.squared_error_stays_on_the_central_path import signal_to_noise
from deepnet.experiments.statement import Judgement, Statement, judge
from deepnet.measures.features import LastLayer
from deepnet.settings import ExperimentSetting, TrainSetting
from deepnet.training import checkpoint
from deepnet.training.training import begin
from ufm.cli.command_line import main
from ufm.model.losses import CrossEntropy, SquaredError
from ufm.model.problem import Problem
from ufm.theory.imbalance import imbalanced_target
from ufm.theory.softmax_codes import margin_at_temperature, packing_margin


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
        ((1.0, 1.0), {"high": 1.0}, "showed"),
        ((1.0, 1.0), {"high": 1.0, "strict": True}, "did not show"),
        ((1.0, 1.0), {"low": 1.0, "strict": True}, "did not show"),
        ((0.9, 0.9), {"high": 1.0, "strict": True}, "showed"),
        ((1.1, 1.1), {"high": 1.0, "strict": True}, "did not show"),
        ((0.0, 1.0), {"high": 0.0, "strict": True}, "not decided"),
        ((0.5, math.inf, 0.7), {"high": 1.0}, "not decided"),
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


def with_nc1(folder: Path, *values: float) -> Run:
    """A run whose NC1, in both forms, was these values at epochs 4, 8, ..."""
    folder.mkdir()
    numbers = {"lr": 0.1, "loss": 1.0, "accuracy": 0.5, "images_per_s": 1.0, "seconds": 1.0}
    lines: list[dict] = [{"epoch": epoch, **numbers} for epoch in range(1, 4 * len(values) + 1)]
    for line, value in zip(lines[3::4], values, strict=True):
        line["train"] = dict.fromkeys(LEVELS, float(value))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Run(folder)


def test_epochs_until_collapse(tmp_path):
    never, early, late = (
        with_nc1(tmp_path / name, *values)
        for name, values in {"never": (5, 5, 5, 5), "early": (5, 0.01, 5, 5), "late": (5, 5, 0.01, 0.01)}.items()
    )
    assert [run.first_epoch("nc1_trace", 0.05) for run in (never, early, late)] == [math.inf, 8, 12]
    assert ratio_of_first_epochs(early, late, "nc1_trace") == 8 / 12
    assert ratio_of_first_epochs(late, never, "nc1_trace") == 12 / 16  # at most: the other is not there at epoch 16
    assert ratio_of_first_epochs(never, late, "nc1_trace") == math.inf
    assert math.isnan(ratio_of_first_epochs(never, never, "nc1_trace"))


@pytest.mark.parametrize("name", ["label_smoothing_collapses_sooner", "normalised_layers_collapse_sooner"])
@pytest.mark.parametrize("other", [5.0, 0.001], ids=["neither collapses", "the other one collapses"])
def test_no_net_that_never_collapses_is_sooner(name, other, tmp_path):
    (experiment,) = find(name)
    slow, fast = ("label_smoothing", "cross_entropy") if "smoothing" in name else ("normalised", "free")
    seeds = [
        {slow: with_nc1(tmp_path / f"slow{seed}", 5, 5, 5), fast: with_nc1(tmp_path / f"fast{seed}", 5, other, other)}
        for seed in range(3)
    ]
    until = [statement for statement in experiment.statements if statement.sentence.startswith("epochs until")]
    assert [judge(statement, seeds).outcome for statement in until] == ["not decided", "not decided"]


@pytest.mark.parametrize("experiment", list_experiments(), ids=lambda experiment: experiment.name)
def test_every_experiment_is_well_formed(experiment):
    assert experiment.source
    assert experiment.sentence.endswith(".")
    assert len(experiment.statements) >= 3
    assert all(math.isfinite(s.low) or math.isfinite(s.high) for s in experiment.statements)
    for statement in experiment.statements:
        words = statement.sentence.split()
        assert statement.strict == ("below" in words or "above" in words), statement.sentence
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
    assert sorted(cosines_between_rows(rows).tolist()) == pytest.approx([0, 0, 0, 0, 1, 1])
    assert share_of_top(torch.diag(torch.tensor([3.0, 2, 1])), 2) == pytest.approx(13 / 14)


def test_antipodal_pairs_are_no_simplex():
    """Their mean cosine is that of a simplex, as of all unit rows whose sum is 0."""
    basis = torch.linalg.qr(torch.randn(8, 5, generator=torch.Generator().manual_seed(0)).double())[0].mT
    pairs = torch.cat([basis, -basis])
    simplex = torch.eye(10, dtype=torch.float64) - 1 / 10
    for rows in (pairs, simplex):
        assert float(cosines_between_rows(rows).mean()) == pytest.approx(-1 / 9, abs=1e-12)
    assert distance_from_simplex(simplex) < 1e-12
    assert distance_from_simplex(pairs) == pytest.approx(8 / 9)


@pytest.mark.parametrize(
    ("d", "temperature", "expected"),
    [(2, 5.0, 1 - math.cos(math.pi / 5)), (2, 30.0, 1 - math.cos(math.pi / 5)), (3, 5.0, 0.5695), (3, 30.0, 0.5833)],
)
def test_margin_of_the_minimiser_at_a_temperature(d, temperature, expected):
    """In the plane the regular polygon at any temperature; in space less than the softmax code's."""
    found = margin_at_temperature(10, d, temperature)
    assert found == pytest.approx(expected, abs=5e-5)
    assert found < (packing_margin(10, d) or 1)


def test_the_experiment_on_codes_says_the_margin_of_the_best_one_known():
    said = " ".join(more_classes_than_dimensions.__doc__.split())
    assert f"{packing_margin(10, 3):.4f} of the best code known" in said


def test_the_models_minimum_moved_by_a_common_mean_is_read_as_the_model():
    """Features of the model without its bias, whose mean is taken away, on a common mean orthogonal to the rows."""
    K, decay = 4, 5e-3
    model = Problem(CrossEntropy(), K, K, 2, decay, 1e-3, None, sizes=(3, 3, 1, 1))
    W, H, _ = model.unpack(imbalanced_target(model).point)
    mu = torch.tensor([0.0] * K + [2.0], dtype=torch.float64)
    H0 = torch.nn.functional.pad(H - H.mean(0), (0, 1))
    rows = torch.nn.functional.pad(W, (0, 1)) + torch.outer(torch.tensor([1.0, 2, -1, -2]).double(), mu)
    layer = LastLayer(H0 + mu, model.labels(), rows, torch.zeros(K).double())
    centred = Centred.of(layer)
    torch.testing.assert_close(centred.W[:, :K], W - W.mean(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(centred.H, H0, rtol=0, atol=1e-12)
    problem = balanced_problem(layer, decay)
    assert problem.sizes == (3, 3, 1, 1)
    assert problem.decay_b == pytest.approx(decay / 5)
    assert problem.decay_H == pytest.approx(decay * float((W - W.mean(0)).square().sum() / H0.square().sum()))


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
    assert result["trainings"] == result["distinct_trainings"] == 2
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


@pytest.mark.slow
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


@pytest.mark.parametrize(("epoch", "residual", "is_over"), [(4, 1e-3, True), (4, 0.5, False), (8, 0.5, True)])
def test_a_run_that_its_terminal_phase_stopped_is_not_taken_up_again(tmp_path, monkeypatch, epoch, residual, is_over):
    setting = TrainSetting(data="digits", net="mlp", width=0.0625, per_class=2, test_per_class=2, epochs=2, terminal=6)
    checkpoint.write_setting(tmp_path, setting)
    checkpoint.save(tmp_path, begin(setting).state() | {"epoch": epoch, "residual": residual})
    taken_up = []
    monkeypatch.setattr("deepnet.experiments.conduct.opened", taken_up.append)
    unit = Unit(NAME, "run", 0, tmp_path, setting)
    with nullcontext() if is_over else pytest.raises(TypeError):
        assert train_unit(unit) == ""
    assert len(taken_up) == (0 if is_over else 1)


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
