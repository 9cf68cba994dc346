"""Several processes and one give the same run up to rounding, also when they take over from it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from deepnet.nets.batch_norm import BatchNorm2d
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint, terminal
from deepnet.training.training import begin
from tests.deepnet.training.test_train import in_folder, run
from tests.torchrun import torchrun

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
TRAIN = ("-m", "deepnet", "train")
ROUNDING = 2e-5
"""Of the losses, relative: float32 (7e-7 measured), grown over the steps since the processes differ."""


TERMINAL = dataclasses.replace(
    SETTING, width=0.125, per_class=6, test_per_class=2, validation=0.2, epochs=1, batch_size=20, decay=0.01,
    terminal=3, terminal_iterations=50, terminal_residual=1e-9, schedule="step", augment=False,
)  # fmt: skip


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


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_take_over_from_one(processes, alone, tmp_path):
    folder = tmp_path / "shared"
    with pytest.raises(KeyboardInterrupt):
        run(in_folder(SETTING, folder), stop_after=1)
    done = torchrun(processes, *TRAIN, "--resume", folder)
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


@pytest.mark.slow
def test_what_is_not_shared_the_first_does_alone(tmp_path):
    np.savez(tmp_path / "f.npz", features=np.eye(4).repeat(3, 0), labels=np.arange(4).repeat(3))
    done = torchrun(2, "-m", "deepnet", "evaluate", tmp_path / "f.npz", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("record: ") == 1
    assert "the first process runs evaluate; process 1 ends." in done.stderr
    assert (tmp_path / "out" / "record.json").exists()


@pytest.mark.slow
def test_a_wrong_request_is_said_once(tmp_path):
    done = torchrun(2, *TRAIN, "--data=digits", "--per-class=1000", "--out", tmp_path / "run")
    assert done.returncode != 0
    assert done.stderr.count("`--per-class` must be at most 117") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_refused_folder_ends_every_process(tmp_path):
    (tmp_path / "mine").touch()
    done = torchrun(2, *TRAIN, "--data=digits", "--per-class=2", "--net=mlp", "--out", tmp_path)
    assert done.stderr.count("`--out` must be a new or empty folder") == 1
    assert done.stderr.count("another process of this run has ended") == 1
    assert "deepnet/training/train.py" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others_with_a_sentence(tmp_path):
    """The second dies within a step: the first waits for its share of a sum."""
    program = tmp_path / "die.py"
    program.write_text(
        "import os, signal, sys\n"
        "from deepnet import distributed\n"
        "from deepnet.training import train\n"
        "from deepnet.__main__ import program\n"
        "step = train.train_epoch\n"
        "def dying(training, on_step):\n"
        "    if training.epoch == 1 and distributed.rank() == 1:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return step(training, on_step)\n"
        "train.train_epoch = dying\n"
        "sys.exit(program())\n"
    )
    folder = tmp_path / "run"
    words = ["train", "--data=digits", "--per-class=5", "--net=resnet18", "--width=0.0625", "--epochs=3"]
    # The launcher looks for lost processes once in so many seconds, and then ends the others whatever they have said.
    done = torchrun(2, "--monitor-interval=5", program, *words, "--out", folder)
    sentence = "another process of this run has ended, or cannot be reached; the last good state is kept, go on with: "
    assert f"python -m deepnet: {sentence}python -m deepnet train --resume {folder}\n" in done.stderr
    assert "deepnet/training/job.py" not in done.stderr  # no traceback of ours
    assert checkpoint.load(folder)["epoch"] == 1


BLOCK = dataclasses.replace(TERMINAL, terminal_iterations=10)
BLOCKS = """
import dataclasses, sys, torch
from deepnet import distributed
from deepnet.nets import batch_norm
from deepnet.training import terminal
from tests.deepnet.test_distributed import BLOCK, in_double
with distributed.process_group("cpu"):
    training = in_double(BLOCK)
    losses, _ = terminal.terminal_block(training, lambda _: None)
    state = torch.cat([value.double().flatten() for value in training.net.state_dict().values()])
    agreed = distributed.total(state.clone()) / 2
    assert torch.equal(agreed, state)  # the processes have one net, bit for bit
    batch_norm._total = lambda own: own.clone()  # false twin: moments of their own shares
    objective = terminal._Objective(in_double(BLOCK))
    of_shares = float(objective()[1])
    if distributed.rank() == 0:
        torch.save([torch.tensor(losses), state, of_shares], sys.argv[1])
"""


def in_double(setting: TrainSetting):
    """A training before its first terminal block, in float64."""
    training = begin(setting)
    data = dataclasses.replace(training.data, mean=training.data.mean.double(), std=training.data.std.double())
    training.net.double()
    training.data, training.epoch = data, setting.epochs
    return training


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_in_a_terminal_block(tmp_path):
    """In float64, as 50 iterations enlarge rounding some 1e5 times: 4e-14 measured, 1e-2 in single precision."""
    program = tmp_path / "blocks.py"
    program.write_text(BLOCKS)
    done = torchrun(2, program, tmp_path / "found.pt")
    assert done.returncode == 0, done.stderr
    losses, state, of_shares = torch.load(tmp_path / "found.pt")
    training = in_double(BLOCK)
    alone, _ = terminal.terminal_block(training, lambda _: None)
    torch.testing.assert_close(losses, torch.tensor(alone), rtol=1e-10, atol=0)
    whole = torch.cat([value.double().flatten() for value in training.net.state_dict().values()])
    torch.testing.assert_close(state, whole, rtol=1e-7, atol=1e-8)
    assert abs(of_shares / alone[0] - 1) > 1e-3


@pytest.mark.slow
def test_two_processes_end_a_terminal_phase_where_one_does(tmp_path):
    """One process begins, two take over in the terminal phase, through the command; in single precision as it is.

    Measured: 7e-5 in the objective, 2e-4 in margin and norms; a start that is 1e-7 off moves one process as much.
    """
    assert run(in_folder(TERMINAL, tmp_path / "alone", terminal=4)) is None
    with pytest.raises(KeyboardInterrupt):
        run(in_folder(TERMINAL, tmp_path / "shared", terminal=4), stop_after=2)
    done = torchrun(2, *TRAIN, "--resume", tmp_path / "shared")
    assert done.returncode == 0, done.stderr
    one, two = (checkpoint.read_metrics(tmp_path / name) for name in ("alone", "shared"))
    assert two[-1]["objective"] == pytest.approx(one[-1]["objective"], rel=1e-3)
    for name in ("margin", "norm_w", "norm_h"):
        assert two[-1]["train"][name] == pytest.approx(one[-1]["train"][name], rel=2e-3)
    assert two[-1]["residual"] < 0.02
