"""Every entry of every registry goes through every command: it works, or one sentence says why not."""

import json
import re
from pathlib import Path

import pytest
import torch

import deepnet.__main__
import ufm.__main__
from deepnet.data.load import DATA_SETS
from deepnet.nets.heads import HEADS
from deepnet.nets.nets import NETS
from ufm.cli.command_line import main
from ufm.collapse import FeatureStats, collapse_metrics
from ufm.parallel import one_torch_thread
from ufm.specs import LOSS_NAMES
from ufm.theory.model_choice import MODELS

SIZES = ["--classes", "3", "--dim", "3"]
VERIFY = ["verify", *SIZES, "--per-class", "2", "--starts", "6", "--saddle-classes", "3", "--saddle-dim", "3"]
VERIFY += ["--saddle-starts", "8"]
ATLAS = ["atlas", *SIZES, "--starts", "24", "--max-rounds", "1"]
SCAN = ["scan", *SIZES, "--per-class", "1", "--starts", "2", "--workers", "0", "--grid.decay", "0.05,0.1"]
CARD = ["report-card", *SIZES, "--per-class", "1", "--starts", "8"]
TRAIN = ["train", "--data", "digits", "--width", "0.0625", "--per-class", "2", "--test-per-class", "1", "--epochs", "2"]
TRAIN += ["--batch-size", "10"]
DOWNLOADED = ("cifar10", "cifar100", "fashion_mnist")
SENTENCE = re.compile(r"python -m \w+: [`a-z][^\n]*\.\n")


def _slow(values, slow):
    return [pytest.param(value, marks=pytest.mark.slow) if value in slow else value for value in values]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def asked(package, words: list[str], capsys) -> int:
    """The exit code: 0, or 1 for a claim that does not hold, with a record; or 2 with one sentence and no folder."""
    name = package.__name__.split(".")[0]
    try:
        code = main(f"python -m {name}", "", package.COMMANDS, [*words, "--out", "out"])
    except SystemExit as end:
        code = int(str(end.code))
    error = capsys.readouterr().err
    if code == 2:
        assert SENTENCE.fullmatch(error), error
        assert not Path("out").exists()
    else:
        assert code in (0, 1), error
        assert json.loads(Path("out/record.json").read_text())["result"]
    return code


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize(
    "command", [VERIFY, ATLAS, SCAN, pytest.param(CARD, marks=pytest.mark.slow)], ids=lambda words: words[0]
)
def test_losses(name, command, capsys):
    assert asked(ufm.__main__, [*command, "--loss", name], capsys) in (0, 1)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_losses_train_nets_that_are_compared(name, capsys):
    assert asked(deepnet.__main__, [*TRAIN, "--net", "mlp", "--loss", name], capsys) == 0
    Path("out").rename("run")
    assert asked(deepnet.__main__, ["compare", "--runs", "[run]"], capsys) == 0  # also without a predicted minimum


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("name", _slow(MODELS, ["imbalance", "deep"]))
def test_models_verify_every_loss_or_say_why_not(name, loss, capsys):
    code = asked(ufm.__main__, [*VERIFY, "--dim", "4", "--saddle-dim", "4", "--model", name, "--loss", loss], capsys)
    assert code in (0, 1) if loss in MODELS[name].LOSSES else code in (0, 1, 2)


def test_all_losses_of_a_model_are_losses():
    assert all({*model.LOSSES} <= {*LOSS_NAMES} for model in MODELS.values())


@pytest.mark.parametrize("name", _slow(MODELS, ["deep"]))
def test_models_have_an_atlas(name, capsys):
    options = ["--model.sizes", "[2,1,1]"] if name == "imbalance" else []
    loss = (MODELS[name].LOSSES or LOSS_NAMES)[0]
    assert asked(ufm.__main__, [*ATLAS, "--model", name, *options, "--loss", loss], capsys) in (0, 1)


def _metrics() -> list[str]:
    H, W, b = torch.randn(6, 3), torch.randn(3, 3), torch.zeros(3)
    return list(collapse_metrics(FeatureStats.from_features(H, torch.arange(6) % 3, W, b)))


def test_every_metric_is_shown_also_one_that_was_just_added(monkeypatch, capsys):
    """And where its claim fails, the sentence names it."""

    def with_a_new_one(stats):
        found = collapse_metrics(stats)
        return found | {"farthest_from_home": found["nc1_trace"] + torch.arange(len(found["nc1_trace"])).double()}

    def of_the_prediction(stats):
        return with_a_new_one(stats) if stats.W.dim() > 2 else collapse_metrics(stats) | {"farthest_from_home": 0.0}

    monkeypatch.setattr("ufm.verify.end_point_claims.collapse_metrics", of_the_prediction)
    with one_torch_thread():  # all starts in one chunk, which the new metric numbers
        assert main("python -m ufm", "", ufm.__main__.COMMANDS, [*VERIFY, "--loss", "ce", "--out", "out"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("farthest_from_home") == 2
    assert "start 1 is the first to break: farthest_from_home (5 starts do)" in printed
    claims = json.loads(Path("out/record.json").read_text())["result"]["verdicts"][0]["claims"]
    assert {*_metrics(), "farthest_from_home"} <= set(claims)


@pytest.mark.parametrize("net", _slow(NETS, ["wide_resnet"]))
def test_nets_are_trained_and_measured(net, capsys):
    assert asked(deepnet.__main__, [*TRAIN, "--net", net], capsys) == 0
    Path("out").rename("run")
    assert asked(deepnet.__main__, ["measure", "--run", "run"], capsys) == 0


@pytest.mark.parametrize("head", HEADS)
def test_heads_are_trained_measured_and_compared(head, capsys):
    assert asked(deepnet.__main__, [*TRAIN, "--net", "mlp", "--head", head], capsys) == 0
    Path("out").rename("run")
    assert asked(deepnet.__main__, ["measure", "--run", "run"], capsys) == 0
    Path("out").rename("measured")
    assert asked(deepnet.__main__, ["compare", "--runs", "[run]"], capsys) == (0 if head == "linear" else 2)


@pytest.mark.parametrize("name", DATA_SETS)
def test_data_sets_train_or_say_what_is_lacking(name, capsys):
    words = [*TRAIN, "--data", name, "--net", "mlp", "--data-folder", "nothing"]
    assert asked(deepnet.__main__, words, capsys) == (2 if name in DOWNLOADED else 0)
