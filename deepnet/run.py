"""A run in its folder: opened (new, or where it stopped) and finished, by the first process if there are several."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from deepnet import checkpoint, distributed
from deepnet.report import summary
from deepnet.settings import TrainSetting
from deepnet.training import Training, begin
from ufm.command_line import RequestError, check
from ufm.output_folder import claimed, output_folder
from ufm.records import write_record


@contextmanager
def opened(setting: TrainSetting) -> Iterator[tuple[Training, Path]]:
    """A new run in `setting.out`, or the one in `setting.resume` as its checkpoint left it; held alone meanwhile.

    Raises:
        ValueError: if the setting cannot be met, the folder is in use or damaged, or the run is finished.
    """
    if setting.resume is None:
        training = begin(setting)
        with _new_folder(training) as folder:
            yield training, folder
    else:
        checkpoint.read_setting(setting.resume)  # refused here if it is no run's
        is_first = distributed.rank() == 0
        with claimed(setting.resume, "--resume") if is_first else nullcontext():
            yield _resumed(setting, setting.resume), setting.resume


def result(training: Training, folder: Path) -> dict[str, Any]:
    """What the record of a run that reached its last epoch says."""
    metrics = checkpoint.read_metrics(folder)
    splits = {name: metrics[-1][name] for name in training.data.splits}
    best = None
    if training.best is not None:
        line = metrics[training.best[0] - 1]
        best = {"epoch": line["epoch"]} | {name: line[name] for name in ("validation", "test")}
    return summary(training, folder) | {"splits": splits, "best": best, "metrics": metrics}


def finish(training: Training, folder: Path, json: Path | None) -> Path:
    """Write the record of a run that reached its last epoch."""
    path = json or folder / "record.json"
    return write_record(path, checkpoint.plain_setting(training.setting), result(training, folder))


@contextmanager
def _new_folder(training: Training) -> Iterator[Path]:
    if distributed.rank() > 0:
        yield training.setting.out or Path()
        return
    with output_folder(training.setting.out, "train") as folder:
        checkpoint.write_setting(folder, training.setting)
        checkpoint.save(folder, training.state())
        yield folder


def _resumed(setting: TrainSetting, folder: Path) -> Training:
    setting = checkpoint.resumed_setting(setting)
    state = checkpoint.load(folder)
    check(state["epoch"] < setting.epochs, "--resume", folder, "a run that has epochs left to train")
    training = begin(setting)
    training.restore(state)
    if distributed.rank() == 0:
        checkpoint.cut_metrics(folder, training.epoch)
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
