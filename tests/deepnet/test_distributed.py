"""Several processes and one give the same run up to rounding, also when they take over from it."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepnet.nets.batch_norm import BatchNorm2d
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint
from tests.deepnet.training.test_train import in_folder, run

# Batches of 12 leave one of 2 at the end: of three processes one has no share of it.
SETTING = TrainSetting(
    data="digits",
    net="resnet18",
    width=0.0625,
    per_class=5,
    test_per_class=1,
    epochs=3,
    batch_size=12,
    lr=0.05,
    schedule="cosine",
    augment=True,
    clip=5.0,
)
ROUNDING = 2e-5
"""Of the losses, relative: float32 (7e-7 measured), grown over the steps since the processes differ."""


def torchrun(processes: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    command = [*launcher, "-m", "deepnet", "train", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def assert_same_curve(folder: Path, other: Path) -> None:
    one, two = checkpoint.read_metrics(folder), checkpoint.read_metrics(other)
    assert [line["epoch"] for line in one] == [line["epoch"] for line in two]
    for a, b in zip(one, two, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=ROUNDING)
        assert a["train"]["loss"] == pytest.approx(b["train"]["loss"], rel=1e-3)
        assert a["train"]["nc1_trace"] == pytest.approx(b["train"]["nc1_trace"], rel=1e-3)
    states = [checkpoint.load(each) for each in (folder, other)]
    for name, value in states[0]["net"].items():
        torch.testing.assert_close(value, states[1]["net"][name], rtol=1e-2, atol=1e-3)
    assert torch.equal(states[0]["generator"], states[1]["generator"])


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "alone"
    assert run(in_folder(SETTING, folder)) is None
    return folder


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_processes_take_over_from_one(processes, alone, tmp_path):
    folder = tmp_path / "shared"
    with pytest.raises(KeyboardInterrupt):
        run(in_folder(SETTING, folder), stop_after=1)
    done = torchrun(processes, "--resume", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/3") == 1  # the other processes are silent
    assert "Warning" not in done.stderr
    assert_same_curve(folder, alone)


def test_statistics_of_their_own_shares_would_be_seen(tmp_path, monkeypatch):
    """False twin: each half of a batch normalised by itself, as two processes would that share no statistics."""
    setting = dataclasses.replace(SETTING, batch_size=10, epochs=1)
    assert run(in_folder(setting, tmp_path / "shared")) is None
    forward = BatchNorm2d.forward

    def by_halves(self, x, *others):
        if not self.training:
            return forward(self, x, *others)
        y = torch.empty_like(x)
        for share in (slice(0, None, 2), slice(1, None, 2)):
            y[share] = forward(self, *(None if each is None else each[share] for each in (x, *others)))
        return y

    monkeypatch.setattr(BatchNorm2d, "forward", by_halves)
    assert run(in_folder(setting, tmp_path / "own")) is None
    shared, own = (checkpoint.read_metrics(tmp_path / name)[0]["loss"] for name in ("shared", "own"))
    assert abs(own / shared - 1) > 100 * ROUNDING
    with pytest.raises(AssertionError):
        assert_same_curve(tmp_path / "own", tmp_path / "shared")


def test_a_wrong_request_is_said_once(tmp_path):
    done = torchrun(2, "--data=digits", "--per-class=1000", "--out", tmp_path / "run")
    assert done.returncode != 0
    assert done.stderr.count("`--per-class` must be at most 117") == 1
    assert not (tmp_path / "run").exists()
