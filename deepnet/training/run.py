"""A run in its folder: opened (new, or where it stopped) and finished, by the first process if there are several.

A run that has reached its last epoch may be resumed too: it ends at once, with its record, or goes on with more epochs,
whose learning rates are those of the longer run.
"""

import platform
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch

from deepnet import distributed
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint, own_code, shapes
from deepnet.training.training import Training, begin
from ufm.cli.output_folder import claimed, output_folder
from ufm.cli.records import HALF_WRITTEN, read_record, write_record
from ufm.errors import RequestError, check


@contextmanager
def opened(setting: TrainSetting) -> Iterator[tuple[Training, Path]]:
    """Open a new run in `setting.out`, or that in `setting.resume` as its checkpoint left it, under a lock.

    Raises:
        ValueError: if the setting cannot be met, or the folder is in use or damaged.
        ConnectionError: if another process of the run has ended, as the first does on such an error.
    """
    if setting.resume is None:
        training = begin(setting)
        with _new_folder(training) as folder:
            distributed.meet()  # where the first was refused the folder, nobody begins
            yield training, folder
    else:
        checkpoint.read_setting(setting.resume)  # refused here if it is no run's
        is_first = distributed.rank() == 0
        with claimed(setting.resume, "--resume") if is_first else nullcontext():
            training = _resumed(setting, setting.resume)
            distributed.meet()
            yield training, setting.resume


def result(training: Training, folder: Path) -> dict[str, Any]:
    """The contents of the record of a run that reached its last epoch."""
    metrics = checkpoint.read_metrics(folder)
    splits = _measures(metrics, training.epoch, list(training.data.splits), folder)
    best = None
    if training.best is not None:
        epoch = training.best[0]
        best = {"epoch": epoch} | _measures(metrics, epoch, ["validation", "test"], folder)
    found = {"splits": splits, "best": best, "metrics": metrics, "geometry_over_epochs": shapes.read(folder)}
    return summary(training, folder) | found


def summary(training: Training, run: Path) -> dict[str, Any]:
    """The main facts about a run, for the reader of a result."""
    metrics = checkpoint.read_metrics(run)
    return {
        "run": str(run),
        "run_setting": checkpoint.plain_setting(training.setting),
        "epoch": training.epoch,
        "images": {name: len(split.labels) for name, split in training.data.splits.items()},
        "parameters": sum(parameter.numel() for parameter in training.net.parameters()),
        "device": _device_name(training.data.mean.device),
        "minutes": sum(line["seconds"] for line in metrics) / 60,
        "images_per_s": statistics.median(line["images_per_s"] for line in metrics) if metrics else None,
        "collapse": [{"epoch": line["epoch"], **line["train"]} for line in metrics if "train" in line],
    }


def _measures(metrics: list[dict[str, Any]], epoch: int, splits: list[str], folder: Path) -> dict[str, Any]:
    """The measures of the splits in an epoch's line.

    Raises:
        ValueError: if it has been changed.
    """
    line = metrics[epoch - 1] if 0 < epoch <= len(metrics) else {}
    lacking = [name for name in splits if not isinstance(line.get(name), dict) or "accuracy" not in line[name]]
    check(not lacking, str(folder / checkpoint.METRICS), f"no {' or '.join(lacking)}", f"measured at epoch {epoch}")
    return {name: line[name] for name in splits}


def finish(training: Training, folder: Path, json: Path | None) -> Path:
    """Write the record of a run that reached its last epoch, unless it exists."""
    path = json or folder / "record.json"
    with suppress(RequestError, KeyError):  # none, or one that was damaged
        if read_record(path)["result"]["epoch"] == training.epoch:
            return path
    return write_record(path, checkpoint.plain_setting(training.setting), result(training, folder))


@contextmanager
def _new_folder(training: Training) -> Iterator[Path]:
    if distributed.rank() > 0:
        yield training.setting.out or Path()
        return
    _clear_of_a_start(training.setting.out)
    with output_folder(training.setting.out, "train") as folder:
        try:
            checkpoint.write_setting(folder, training.setting)
            checkpoint.save(folder, training.state())
        except BaseException:  # a full disk
            if not checkpoint.has_state(folder):
                (folder / checkpoint.SETTING).unlink(missing_ok=True)
            raise
        yield folder


def _clear_of_a_start(folder: Path | None) -> None:
    """Remove the setting of a run that was killed before its first state: alone in a folder, it is of no use."""
    found = [] if folder is None else [path.name for path in folder.glob("*") if not path.match(HALF_WRITTEN)]
    if folder is not None and found == [checkpoint.SETTING]:
        with (
            suppress(RequestError),
            claimed(folder, "--out"),
        ):  # not a run's, or one that begins now: refused in a moment
            checkpoint.read_setting(folder)
            (folder / checkpoint.SETTING).unlink()


def _resumed(setting: TrainSetting, folder: Path) -> Training:
    setting, stored = checkpoint.resumed_setting(setting), checkpoint.read_setting(folder)
    state = checkpoint.load(folder)
    epochs, is_longer = stored["epochs"], setting.epochs > stored["epochs"]
    has_all = state["epoch"] >= epochs or not is_longer
    check(has_all, "--epochs", setting.epochs, f"{epochs}, as the run has it, or left out until it has reached them")
    allowed = f"{epochs}, as the run has it, or left out after a terminal block"
    check(not is_longer or state["epoch"] <= epochs, "--epochs", setting.epochs, allowed)
    if distributed.rank() == 0:
        own_code.say_if_changed(folder, checkpoint.read_sources(folder))
    training = begin(setting)
    training.restore(state, f"the checkpoint in {folder}")
    if distributed.rank() == 0:
        if is_longer or setting.terminal > stored["terminal"]:
            checkpoint.write_setting(folder, setting, checkpoint.read_sources(folder))
        checkpoint.cut_metrics(folder, training.epoch)
        shapes.cut(folder, training.epoch)
        _restore_best(training, folder)
    return training


def _restore_best(training: Training, folder: Path) -> None:
    """Bring `best.pt`, which is written after the checkpoint, in line with it."""
    if training.best is None:
        return
    epoch = training.best[0]
    if epoch == training.epoch:
        checkpoint.save_best(folder, training.state())  # a kill may have come between the two files
        return
    try:
        found = checkpoint.load_best(folder)["epoch"]
        check(found == epoch, str(folder / checkpoint.BEST), f"epoch {found}", f"of epoch {epoch}")
    except RequestError as error:
        training.best = None
        print(f"{error} The best epoch is looked for anew from epoch {training.epoch + 1} on.", file=sys.stderr)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
