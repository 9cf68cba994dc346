"""The command `train`. It opens its folder itself, as several processes may train one run; the first one prints."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepnet import distributed
from deepnet.settings import TrainSetting
from deepnet.trackers import check_installed, flat, tracker
from deepnet.training import checkpoint, own_code, shapes
from deepnet.training.epoch import steps_of
from deepnet.training.optimiser import warning_of_time
from deepnet.training.progress import TrainingProgress
from deepnet.training.report import print_best, print_end, print_measures
from deepnet.training.run import finish, opened
from deepnet.training.train import train
from deepnet.training.training import Training
from ufm.cli.command_line import INTERRUPTED
from ufm.cli.job import draw, print_files, print_pictures
from ufm.cli.records import read_record
from ufm.errors import RequestError
from ufm.legend import explained

FILES = (
    checkpoint.SETTING,
    checkpoint.METRICS,
    shapes.FILE,
    checkpoint.CHECKPOINT,
    checkpoint.PREVIOUS,
    checkpoint.BEST,
)
"""What a run leaves in its folder beside its record."""


class Train:
    """The job of `train`: a run, begun or resumed."""

    def __init__(self, setting: TrainSetting) -> None:
        check_installed(setting.log)
        self.setting = setting

    def run(self) -> int:
        """Train; the exit code is 1 if the loss stopped being finite."""
        with distributed.process_group(self.setting.device):
            try:
                return self._train()
            except RequestError:
                if distributed.rank() == 0:
                    raise
                return 2  # every process finds the same mistake; the first says it

    def _train(self) -> int:
        with opened(self.setting) as (training, folder), explained(self.setting.explain):
            again = own_code.options_again(checkpoint.plain_setting(training.setting))
            go_on = f"go on with: python -m deepnet train --resume {folder}{again}"
            try:
                with distributed.all_there():
                    failure = _train_with_progress(training, folder, self.setting.log)
                if failure is None and distributed.rank() == 0:
                    _finish(training, folder, self.setting.json)
            except KeyboardInterrupt:
                print(f"\nstopped; {go_on}", file=sys.stderr)
                return INTERRUPTED
            except OSError as error:
                print(f"python -m deepnet: {error}; the last good state is kept, {go_on}", file=sys.stderr)
                return 3
            if failure is None or distributed.rank() > 0:
                return 0
            print(f"python -m deepnet: {failure} The state before that epoch is in {folder}.", file=sys.stderr)
            return 1


def _train_with_progress(training: Training, folder: Path, log: str | None) -> str | None:
    if distributed.rank() > 0:
        return train(training, folder, lambda _: None, lambda _: None)
    images, setting = len(training.data.splits["train"].labels), training.setting
    if steps_of(images, setting.batch_size) == 1:
        found = f"`--batch-size` {setting.batch_size} takes all {images} training images at once"
        print(f"warning: one step an epoch, {setting.epochs} in all: {found}", file=sys.stderr)
    if slow := warning_of_time(setting, steps_of(images, setting.batch_size)):
        print(f"warning: {slow}", file=sys.stderr)
    with TrainingProgress(setting.lines, images, training.epoch) as progress, _tracked(training, folder, log) as write:

        def on_epoch(line: dict[str, Any]) -> None:
            progress.epoch(line)
            write(line)

        return train(training, folder, progress.step, on_epoch)


@contextmanager
def _tracked(training: Training, folder: Path, log: str | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What takes an epoch's line, for where it is to be seen live."""
    if log is None or training.is_over:
        yield lambda _: None
        return
    opened_log = tracker(log, folder, checkpoint.plain_setting(training.setting), training.epoch)
    try:
        yield lambda line: opened_log.log(flat(line), line["epoch"])
    finally:
        opened_log.close()


def _finish(training: Training, folder: Path, json: Path | None) -> None:
    """Write record and picture of a run that reached its last epoch, and print its table."""
    record = finish(training, folder, json)
    result = read_record(record)["result"]
    print_measures(f"{folder}, epoch {training.epoch}", result["splits"])
    print_end(training.epoch, training.setting, training.residual)
    print_best(result["best"])
    files = {Path(name).stem: folder / name for name in FILES if (folder / name).exists()}
    print_files(files | {"record": record})
    print_pictures(draw("train", record, folder))
