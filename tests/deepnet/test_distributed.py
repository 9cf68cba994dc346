"""Two processes and one give the same run up to rounding, also when one takes over from the other."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepnet import checkpoint
from deepnet.settings import TrainSetting
from tests.deepnet.test_train import in_folder, run

# Batches of 12 leave one of 2 at the end.
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


def torchrun(processes: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    command = [*launcher, "-m", "deepnet", "train", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def assert_same_curve(folder: Path, other: Path) -> None:
    """Float32 rounding, grown over the steps since the processes differ."""
    one, two = checkpoint.read_metrics(folder), checkpoint.read_metrics(other)
    assert [line["epoch"] for line in one] == [line["epoch"] for line in two]
    for a, b in zip(one, two, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
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


def test_two_processes_take_over_from_one(alone, tmp_path):
    folder = tmp_path / "shared"
    with pytest.raises(KeyboardInterrupt):
        run(in_folder(SETTING, folder), stop_after=1)
    done = torchrun(2, "--resume", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/3") == 1  # the second process is silent
    assert "Warning" not in done.stderr
    assert_same_curve(folder, alone)


@pytest.mark.slow
def test_one_process_takes_over_from_three_with_batches_of_two(tmp_path):
    words = "--data=digits --net=resnet18 --width=0.0625 --per-class=5 --test-per-class=1 --epochs=2 --batch-size=8"
    words += " --lr=0.02 --schedule=cosine"
    assert torchrun(3, *words.split(), "--out", tmp_path / "three").returncode == 0  # its last batch has two images
    command = [sys.executable, "-m", "deepnet", "train", *words.split(), "--out", str(tmp_path / "one")]
    subprocess.run(command, check=True, capture_output=True)
    assert_same_curve(tmp_path / "three", tmp_path / "one")


def test_a_wrong_request_is_said_once(tmp_path):
    done = torchrun(2, "--data=digits", "--per-class=1000", "--out", tmp_path / "run")
    assert done.returncode != 0
    assert done.stderr.count("`--per-class` must be at most 117") == 1
    assert not (tmp_path / "run").exists()
