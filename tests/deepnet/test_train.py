"""The loop on a few digits: it learns, it resumes bit for bit, and it stops with a reason."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch

from deepnet import checkpoint
from deepnet.epoch import batches
from deepnet.optimiser import learning_rate
from deepnet.settings import TrainSetting
from deepnet.train import measure_splits, train
from deepnet.training import Training, begin, reopen

TINY = TrainSetting(
    data="digits",
    width=0.25,
    per_class=6,
    test_per_class=2,
    epochs=4,
    batch_size=20,
    lr=0.02,
    augment=True,
    precision="bf16",
)


def start(setting: TrainSetting, folder: Path) -> Training:
    folder.mkdir()
    training = begin(setting)
    checkpoint.write_setting(folder, setting)
    checkpoint.save(folder, training.state())
    return training


def run(training: Training, folder: Path, stop_after: int | None = None) -> str | None:
    def on_epoch(line):
        if line["epoch"] == stop_after:
            raise KeyboardInterrupt

    return train(training, folder, lambda _: None, on_epoch)


def without_times(folder: Path) -> list[dict]:
    lines = checkpoint.read_metrics(folder)
    return [{key: value for key, value in line.items() if key not in ("seconds", "images_per_s")} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run(start(TINY, folder), folder) is None
    return folder


def resume(folder: Path, given: TrainSetting | None = None) -> Training:
    setting = checkpoint.resumed_setting(given or TrainSetting(resume=folder))
    training = begin(setting)
    training.restore(checkpoint.load(folder))
    checkpoint.cut_metrics(folder, training.epoch)
    return training


def test_resume_equals_uninterrupted_bit_for_bit(uninterrupted, tmp_path):
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        run(start(TINY, folder), folder, stop_after=2)
    with (folder / checkpoint.METRICS).open("a") as file:
        file.write('{"epoch": 3, "loss": 0.1}\n{"epoch": 4, "lo')  # killed after an epoch's line, and within another
    assert run(resume(folder), folder) is None
    assert without_times(folder) == without_times(uninterrupted)
    one, other = checkpoint.load(folder), checkpoint.load(uninterrupted)
    for part in ("net", "optimiser", "generator"):
        for a, b in zip(tensors(one[part]), tensors(other[part]), strict=True):
            assert torch.equal(a, b)


def tensors(value) -> list[torch.Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [tensor for entry in value for tensor in tensors(entry)]
    return [value] if isinstance(value, torch.Tensor) else []


def test_another_seed_is_another_run(uninterrupted, tmp_path):
    setting = dataclasses.replace(TINY, seed=1, epochs=1)
    assert run(start(setting, tmp_path / "seed"), tmp_path / "seed") is None
    assert without_times(tmp_path / "seed")[0]["loss"] != without_times(uninterrupted)[0]["loss"]


@pytest.mark.parametrize(
    "loss",
    [{"name": "ce"}, {"name": "ls"}, {"name": "focal"}, {"name": "mse", "rescale": 2.0, "convention": "mean"}],
    ids=lambda spec: spec["name"],
)
def test_every_loss_falls(loss, tmp_path):
    setting = dataclasses.replace(TINY, loss=loss, epochs=8, augment=False, measure_every=100, precision="fp32")
    folder = tmp_path / "run"
    assert run(start(setting, folder), folder) is None
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


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    folder = tmp_path / "run"
    training = start(TINY, folder)
    before = (folder / checkpoint.CHECKPOINT).read_bytes()
    training.net.classifier.bias.data[0] = float("nan")
    assert run(training, folder) == "the loss became nan at step 1 of epoch 1; try a smaller --lr."
    assert (folder / checkpoint.CHECKPOINT).read_bytes() == before


def test_parameters_that_are_no_numbers_after_the_last_step_stop_the_run(tmp_path):
    folder = tmp_path / "run"
    setting = dataclasses.replace(TINY, batch_size=60, lr=1e39)  # one step an epoch, beyond float32
    failure = run(start(setting, folder), folder)
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
    ("change", "message"),
    [
        ({"epochs": 9}, "`--epochs` must be 4, as the run has it, got 9"),
        ({"loss": {"name": "ls"}}, "`--loss` must be {'name': 'ce'}"),
        ({"out": Path("elsewhere")}, "`--out` must be left out with --resume"),
    ],
)
def test_resume_refuses_another_setting(change, message, uninterrupted):
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        checkpoint.resumed_setting(dataclasses.replace(TrainSetting(resume=uninterrupted), **change))


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
    with pytest.raises(ValueError, match=r"checkpoint\.pt must be a checkpoint of `deepnet train`"):
        checkpoint.load(tmp_path)
