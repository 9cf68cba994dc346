"""Runs grouped by condition and seed, down to the words; nothing is dropped and nothing counted twice."""

import json

import pytest
import torch

from deepnet.comparison.compare import Sizes
from deepnet.comparison.study import ComparedRun, _conditions, study, trajectory
from deepnet.comparison.transfer import Case
from deepnet.comparison.verdict import grade, verdict
from deepnet.measures.features import LastLayer
from deepnet.measures.measure import measure
from tests.deepnet.comparison.test_compare import DECAY, N_PER_CLASS, D, K, compare, minimiser, reading
from ufm.model.losses import CrossEntropy, LabelSmoothing, SquaredError

SIZES = Sizes(K, N_PER_CLASS, D, DECAY)
NETWORK = json.dumps({"net": "mlp", "width": 1.0, "data": "digits", "epochs": 3})


def run_of(loss, condition: str, seed: int, noise: float = 0.0) -> ComparedRun:
    """A run that ended at the model's minimiser, or beside it."""
    layer = minimiser(loss, 0.0)
    H = layer.H + noise * torch.randn(layer.H.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    layer = LastLayer(H, layer.labels, layer.W, layer.b)
    comparison = compare(layer, loss, DECAY)
    entry = {"run": f"{condition}-{seed}", "seed": seed, "run_setting": {"loss": {"name": "ce"}}}
    entry |= {"measures": measure(layer, loss), "stationarity_by_statistics": {"running": comparison.stationarity}}
    layers = {"train": layer, "test": layer}
    entry |= {"balance_by_statistics": {"running": reading(layer, loss).balance(DECAY)}}
    entry |= {"derived": None, "classifier_over_writers": None}  # a net without batch normalisation
    case = Case(condition, seed, loss, SIZES, reading(layer, loss))
    return ComparedRun(NETWORK, case, layers, entry | comparison.as_dict())


@pytest.fixture(scope="module")
def exact():
    losses = {"ce": CrossEntropy(), "ls": LabelSmoothing(0.1), "mse": SquaredError(15.0, "mean")}
    return study([run_of(loss, name, seed) for name, loss in losses.items() for seed in (0, 1)], [1.0])


def test_minimisers_of_the_model_predict_each_other(exact):
    (network,) = exact["networks"]
    assert [condition["seeds"] for condition in network["conditions"]] == [[0, 1]] * 3
    ours = [entry for entry in network["transfer_errors"] if not entry["is_fitted"]]
    assert [entry["count"] for entry in ours] == [4, 4, 4]  # two sources, two seeds
    for entry in ours:
        worst = {name: value for name, value in entry["worst"].items() if name != "training loss"}
        assert max(worst.values()) < 1e-6, entry["target"]
    assert network["depth_fit"]["depth"] == pytest.approx(1, rel=1e-6)
    assert {pair["agreement"]["count"] for pair in network["similarity"]} == {2}


def test_the_words_follow_the_numbers(exact):
    words = exact["networks"][0]["conditions"][0]["verdict"]
    assert words.startswith("Collapsed (NC1 trace")
    assert "a simplex (4 of 4 dimensions)" in words
    assert "Last layer stationary" in words
    assert exact["networks"][0]["conditions"][0]["balance"]["running"]["mean"] == pytest.approx(1, abs=1e-9)
    assert "identities close" in words
    assert "the model is close" in words
    runs = [run_of(CrossEntropy(), "ce", seed, noise=0.5) for seed in (0, 1)]
    words = study(runs, [1.0])["networks"][0]["conditions"][0]["verdict"]
    assert words.startswith("Not collapsed")
    assert "Last layer not stationary" in words
    assert "Calibrated" not in words  # there is no other condition
    assert [grade(value) for value in (0.05, 0.06, 0.26, float("inf"))] == ["close", "fair", "far", "far"]


def test_spread_over_seeds_is_that_of_the_runs():
    runs = [run_of(CrossEntropy(), "ce", seed, noise=0.2) for seed in (0, 1, 2)]
    (condition,) = _conditions(runs)
    margins = torch.tensor([run.case.reading.margin for run in runs], dtype=torch.float64)
    row = condition["rows"][0]
    assert row["measured"]["mean"] == pytest.approx(float(margins.mean()))
    assert row["measured"]["deviation"] == pytest.approx(float(margins.std()))
    assert row["measured"]["count"] == 3


def test_a_run_given_twice_is_refused():
    run = run_of(CrossEntropy(), "ce", 0)
    with pytest.raises(ValueError, match="runs that differ"):
        study([run, run], [1.0])


def test_epochs_that_cannot_be_compared_stay_in_the_trajectory():
    good = measure(minimiser(CrossEntropy(), 0.0), CrossEntropy())
    lines = [
        {"epoch": 1, **good},
        {"epoch": 2, **good, "norm_h": 0.0},
        {"epoch": 3, **good, "margin": None},
        {"epoch": 4},
    ]
    found = trajectory(lines, CrossEntropy(), SIZES)
    assert [line["epoch"] for line in found] == [1, 2, 3, 4]
    assert found[0]["rows"]["margin"]["measured"] == pytest.approx(found[0]["rows"]["margin"]["predicted"])
    assert found[1]["rows"] is None
    assert found[3]["rows"] is None


def test_a_verdict_without_a_prediction_has_none():
    condition = _conditions([run_of(CrossEntropy(), "ce", 0)])[0]
    assert verdict(condition, [])["prediction_error"] is None


@pytest.mark.parametrize("factor", [0.6, 1.4])
def test_the_error_of_a_norm_that_is_too_small_counts_as_much(factor):
    condition = _conditions([run_of(CrossEntropy(), "ce", 0)])[0]
    row = next(row for row in condition["rows"] if row["name"] == "|w|")
    row["ratio"]["mean"] = factor
    assert verdict(condition, [])["identity_error"] == pytest.approx(0.4)
