"""The loop on a few digits: it learns, it resumes bit for bit, and it stops with a reason."""

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from deepnet.__main__ import COMMANDS
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint
from deepnet.training.epoch import batches
from deepnet.training.optimiser import learning_rate
from deepnet.training.run import opened
from deepnet.training.train import measure_splits, train
from deepnet.training.training import reopen
from ufm.cli.command_line import main

TINY = TrainSetting(
    data="digits",
    net="resnet18",
    width=0.125,
    per_class=6,
    test_per_class=2,
    epochs=4,
    batch_size=20,
    lr=0.02,
    augment=True,
    precision="bf16",
)


def run(setting: TrainSetting, stop_after: int | None = None) -> str | None:
    """Train in `setting.out`, or go on in `setting.resume`; a stop comes as if from the keyboard."""

    def on_epoch(line):
        if line["epoch"] == stop_after:
            raise KeyboardInterrupt

    with opened(setting) as (training, folder):
        return train(training, folder, lambda _: None, on_epoch)


def in_folder(setting: TrainSetting, folder: Path, **changes) -> TrainSetting:
    return dataclasses.replace(setting, out=folder, **changes)


def without_times(folder: Path) -> list[dict]:
    lines = checkpoint.read_metrics(folder)
    return [{key: value for key, value in line.items() if key not in ("seconds", "images_per_s")} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run(in_folder(TINY, folder)) is None
    return folder


@pytest.fixture
def stopped(tmp_path) -> Path:
    """A run of which half is done."""
    folder = tmp_path / "half"
    with pytest.raises(KeyboardInterrupt):
        run(in_folder(TINY, folder), stop_after=2)
    return folder


def assert_same_run(folder: Path, other: Path) -> None:
    """The same metrics, and the same numbers in every state, bit for bit."""
    assert without_times(folder) == without_times(other)
    for read in (checkpoint.load, checkpoint.load_best):
        one, two = read(folder), read(other)
        assert [one["epoch"], one.get("best")] == [two["epoch"], two.get("best")]
        for a, b in zip(tensors(one), tensors(two), strict=True):
            assert torch.equal(a, b)


def test_resume_equals_uninterrupted_bit_for_bit(uninterrupted, stopped):
    with (stopped / checkpoint.METRICS).open("a") as file:
        file.write('{"epoch": 3, "loss": 0.1}\n{"epoch": 4, "lo')  # killed after an epoch's line, and within another
    (stopped / ".checkpoint.pt.x.part").write_bytes(b"half a file")
    assert run(TrainSetting(resume=stopped)) is None
    assert_same_run(stopped, uninterrupted)
    assert not list(stopped.glob(".*"))


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_checkpoint_means_the_one_before(damage, uninterrupted, stopped, capsys):
    path = stopped / checkpoint.CHECKPOINT
    path.unlink() if damage == "missing" else os.truncate(path, 5000)
    assert run(TrainSetting(resume=stopped)) is None
    assert f"Taken instead: {stopped / checkpoint.PREVIOUS}, epoch 1." in capsys.readouterr().err
    assert_same_run(stopped, uninterrupted)


def test_a_kill_between_checkpoint_and_best_is_made_good(uninterrupted, tmp_path):
    folder = tmp_path / "first"
    with pytest.raises(KeyboardInterrupt):
        run(in_folder(TINY, folder), stop_after=1)
    (folder / checkpoint.BEST).unlink()
    assert run(TrainSetting(resume=folder)) is None
    assert_same_run(folder, uninterrupted)


def test_a_lost_best_network_is_said(stopped, capsys):
    state = checkpoint.load(stopped)
    state["best"] = [1, 0.9]
    checkpoint.save(stopped, state)
    (stopped / checkpoint.BEST).unlink()
    assert run(TrainSetting(resume=stopped)) is None
    assert "The best epoch is looked for anew from epoch 3 on." in capsys.readouterr().err
    assert checkpoint.load_best(stopped)["epoch"] in (3, 4)


def test_the_best_network_is_that_of_the_highest_validation_accuracy(uninterrupted):
    accuracies = [line["validation"]["accuracy"] for line in checkpoint.read_metrics(uninterrupted)]
    best = accuracies.index(max(accuracies)) + 1
    assert checkpoint.load(uninterrupted)["best"] == [best, max(accuracies)]
    training = reopen(uninterrupted, "cpu", which="best")
    assert training.epoch == best
    measured = checkpoint.read_metrics(uninterrupted)[best - 1]
    assert measure_splits(training) == {name: measured[name] for name in training.data.splits}


@pytest.mark.parametrize("is_new", [True, False])
def test_a_folder_takes_one_process_at_a_time(is_new, stopped, tmp_path):
    first = in_folder(TINY, tmp_path / "new") if is_new else TrainSetting(resume=stopped)
    with (
        opened(first) as (_, folder),
        pytest.raises(ValueError, match="`--resume` must be a folder in which no other process works"),
        opened(TrainSetting(resume=folder)),
    ):
        pass


def tensors(value) -> list[torch.Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [tensor for entry in value for tensor in tensors(entry)]
    return [value] if isinstance(value, torch.Tensor) else []


def test_another_seed_is_another_run(uninterrupted, tmp_path):
    assert run(in_folder(TINY, tmp_path / "seed", seed=1, epochs=1)) is None
    assert without_times(tmp_path / "seed")[0]["loss"] != without_times(uninterrupted)[0]["loss"]


@pytest.mark.parametrize(
    "loss",
    [{"name": "ce"}, {"name": "ls"}, {"name": "focal"}, {"name": "mse", "rescale": 2.0, "convention": "mean"}],
    ids=lambda spec: spec["name"],
)
def test_every_loss_falls(loss, tmp_path):
    folder = tmp_path / "run"
    setting = in_folder(TINY, folder, loss=loss, epochs=8, augment=False, measure_every=100, precision="fp32")
    assert run(setting) is None
    lines = checkpoint.read_metrics(folder)
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert ["train" in line for line in lines] == [True] + 6 * [False] + [True]


def test_reopened_run_measures_what_its_last_line_says(uninterrupted):
    last = checkpoint.read_metrics(uninterrupted)[-1]
    assert measure_splits(reopen(uninterrupted, "cpu")) == {
        name: last[name] for name in ("train", "validation", "test")
    }


def test_metrics_are_of_clean_images(uninterrupted):
    training = reopen(uninterrupted, "cpu")
    plain = dataclasses.replace(training, setting=dataclasses.replace(training.setting, augment=False))
    assert measure_splits(plain) == measure_splits(training)


def test_a_loss_that_is_no_number_stops_the_run_at_its_last_good_state(uninterrupted, stopped):
    before = (stopped / checkpoint.CHECKPOINT).read_bytes()
    with opened(TrainSetting(resume=stopped)) as (training, _):
        bias = training.net.classifier.bias.data  # no number from the first step on
        failure = train(training, stopped, lambda _: bias.fill_(float("nan")), lambda _: None)
    assert failure == "the loss became nan at step 2 of epoch 3; try a smaller --lr."
    assert (stopped / checkpoint.CHECKPOINT).read_bytes() == before
    assert run(TrainSetting(resume=stopped)) is None
    assert_same_run(stopped, uninterrupted)


def test_parameters_that_are_no_numbers_after_the_last_step_stop_the_run(tmp_path):
    folder = tmp_path / "run"
    failure = run(in_folder(TINY, folder, batch_size=60, lr=1e39))  # one step an epoch, beyond float32
    assert failure == "the parameters stopped being finite at the last step of epoch 1; try a smaller --lr."
    assert checkpoint.load(folder)["epoch"] == 0
    assert checkpoint.read_metrics(folder) == []


def test_no_batch_has_one_sample_and_none_is_lost():
    generator = torch.Generator().manual_seed(0)
    for count, size, expected in ((101, 50, [50, 51]), (102, 50, [50, 50, 2]), (100, 50, [50, 50]), (7, 50, [7])):
        parts = batches(count, size, generator, torch.device("cpu"))
        assert [len(part) for part in parts] == expected
        assert torch.cat(parts).sort().values.tolist() == list(range(count))


def test_schedules():
    step = [learning_rate(dataclasses.replace(TINY, epochs=7), epoch) for epoch in range(7)]
    assert step == pytest.approx([0.02] * 3 + [0.002] * 2 + [0.0002] * 2)
    cosine = [learning_rate(dataclasses.replace(TINY, epochs=4, schedule="cosine"), epoch) for epoch in (0, 2)]
    assert cosine == pytest.approx([0.02, 0.01])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 3}, "`--epochs` must be 4, as the run has it, or left out, got 3"),
        (
            {"momentum": 0.9},
            "`--momentum` must be 0.8, as the run has it, or left out, got 0.9",
        ),  # the default, but given
        ({"loss": {"name": "ls"}}, "`--loss` must be {'name': 'ce'}"),
        ({"out": Path("elsewhere")}, "`--out` must be left out with --resume"),
    ],
)
def test_resume_refuses_another_setting(given, message, tmp_path):
    checkpoint.write_setting(tmp_path, dataclasses.replace(TINY, momentum=0.8))
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        checkpoint.resumed_setting(TrainSetting(resume=tmp_path, given=frozenset(given), **given))


def resumed(folder: Path, **given) -> TrainSetting:
    return TrainSetting(resume=folder, given=frozenset(given), **given)


def test_a_run_that_has_ended_may_be_given_more_epochs(tmp_path):
    """The rates of the longer run: TINY's steps are at 3/7 and 5/7 of 4 epochs, then of 7."""
    folder = tmp_path / "run"
    assert run(in_folder(TINY, folder)) is None
    with pytest.raises(ValueError, match="`--epochs` must be 4, as the run has it, or left out, got 2"):
        run(resumed(folder, epochs=2))
    with pytest.raises(KeyboardInterrupt):
        run(resumed(folder, epochs=7), stop_after=5)
    with pytest.raises(
        ValueError, match="`--epochs` must be 7, as the run has it, or left out until it has reached them"
    ):
        run(resumed(folder, epochs=9))
    assert run(resumed(folder)) is None
    lines = checkpoint.read_metrics(folder)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert [line["lr"] for line in lines] == pytest.approx([0.02, 0.002, 0.0002, 0.0002, 0.002, 0.0002, 0.0002])
    assert checkpoint.read_setting(folder)["epochs"] == reopen(folder, "cpu").epoch == 7
    assert checkpoint.load_best(folder)["epoch"] <= 7


def test_a_kill_between_the_new_number_of_epochs_and_their_first_loses_nothing(uninterrupted, tmp_path):
    folder = shutil.copytree(uninterrupted, tmp_path / "run")
    with opened(resumed(folder, epochs=5)):
        pass  # killed here
    assert reopen(folder, "cpu", which="best").epoch <= 4
    assert run(resumed(folder)) is None
    assert len(checkpoint.read_metrics(folder)) == 5


def test_a_run_that_was_resumed_with_its_data_elsewhere_can_be_read(stopped, tmp_path):
    assert run(resumed(stopped, data_folder=tmp_path)) is None
    assert reopen(stopped, "cpu").epoch == TINY.epochs
    assert run(resumed(stopped)) is None


def test_a_run_killed_before_its_first_state_is_begun_anew(uninterrupted, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    checkpoint.write_setting(folder, dataclasses.replace(TINY, epochs=9))
    (folder / ".checkpoint.pt.part").write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"but there is none .a run that was stopped before its first one begins anew"):
        run(resumed(folder))
    assert run(in_folder(TINY, folder)) is None
    assert_same_run(folder, uninterrupted)


@pytest.mark.parametrize("content", ["{}", '{"grid": {}, "grids": []}', "mine"])
def test_a_setting_that_is_no_runs_is_kept(content, tmp_path):
    (tmp_path / checkpoint.SETTING).write_text(content)
    with pytest.raises(ValueError, match=r"new or empty folder, got .* \(it holds setting\.json\)"):
        run(in_folder(TINY, tmp_path))
    assert (tmp_path / checkpoint.SETTING).read_text() == content


def test_a_start_that_finds_no_room_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(checkpoint, "save", full)
        with pytest.raises(OSError, match="No space left"):
            run(in_folder(TINY, tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_resume_takes_its_own_setting_and_another_place(uninterrupted):
    given = {"epochs": 4, "device": "cuda", "data_folder": Path("elsewhere"), "download": True}
    setting = checkpoint.resumed_setting(TrainSetting(resume=uninterrupted, given=frozenset(given), **given))
    assert setting == dataclasses.replace(TINY, resume=uninterrupted, **given)


def test_a_checkpoint_of_another_setting_is_refused(uninterrupted, tmp_path):
    (tmp_path / checkpoint.CHECKPOINT).write_bytes((uninterrupted / checkpoint.CHECKPOINT).read_bytes())
    stored = checkpoint.read_setting(uninterrupted) | {"momentum": 0.5}
    (tmp_path / checkpoint.SETTING).write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"momentum is 0\.5 there, 0\.9 here"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "code"])
def test_a_damaged_checkpoint_is_refused(damage, uninterrupted, tmp_path):
    content = bytearray((uninterrupted / checkpoint.CHECKPOINT).read_bytes())
    (tmp_path / checkpoint.SETTING).write_bytes((uninterrupted / checkpoint.SETTING).read_bytes())
    path = tmp_path / checkpoint.CHECKPOINT
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "code":
        torch.save({"setting": os.system}, path)
    wanted = "hold tensors and plain values" if damage == "code" else "be a checkpoint of `deepnet train`"
    with pytest.raises(ValueError, match=rf"checkpoint\.pt must {wanted}"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 7, 100])
def test_the_first_epoch_has_the_learning_rate_asked_for(schedule, epochs):
    setting = dataclasses.replace(TINY, epochs=epochs, schedule=schedule)
    rates = [learning_rate(setting, epoch) for epoch in range(epochs)]
    assert rates[0] == setting.lr
    assert rates == sorted(rates, reverse=True)


def test_one_step_an_epoch_is_worth_a_warning(tmp_path, capsys):
    words = ["--data", "digits", "--net", "mlp", "--width", "0.0625", "--per-class", "4", "--test-per-class", "2"]
    for size, warning in (("40", "warning: one step an epoch, 1 in all: `--batch-size` 40 takes all 40 "), ("20", "")):
        out = ["--batch-size", size, "--epochs", "1", "--out", str(tmp_path / size)]
        assert main("it", "", COMMANDS, ["train", *words, *out]) == 0
        assert capsys.readouterr().err.startswith(warning)
