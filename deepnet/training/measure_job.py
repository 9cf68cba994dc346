"""The command `measure`."""

from typing import Any, TypedDict

from deepnet.measures.calibration import calibration_of
from deepnet.settings import MeasureSetting
from deepnet.training.report import print_measured
from deepnet.training.train import measure_splits
from deepnet.training.training import reopen
from ufm.cli.job import Job


class Measured(TypedDict):
    """The contents of the record.

    Attributes:
        run: its folder; `epoch`: the one that was measured.
        splits: for each split every measure by name (`deepnet/measures/measure.py`).
        calibration: of the test images (`calibration_of`); empty where images have several labels.
    """

    run: str
    epoch: int
    splits: dict[str, dict[str, float]]
    calibration: dict[str, Any]


class Measure(Job[MeasureSetting, Measured]):
    """The job of `measure`: the measures of every split of a run, on images without augmentation."""

    name = "measure"

    def __init__(self, setting: MeasureSetting) -> None:
        super().__init__(setting)
        self._training = reopen(setting.run, setting.device, setting.data_folder, setting.checkpoint, setting.code)

    def compute(self) -> Measured:
        """The measures of every split, and the calibration of the probabilities."""
        training = self._training
        has_one_label = training.data.tags is None  # confidence is the probability of one
        found = calibration_of(training.net, training.data, training.setting.precision) if has_one_label else {}
        splits = measure_splits(training)
        return {"run": str(self.setting.run), "epoch": training.epoch, "splits": splits, "calibration": found}

    def show(self, result: Measured) -> None:
        """Print a table with one column per split, and a sentence on calibration."""
        print_measured(f"{result['run']}, epoch {result['epoch']}", result["splits"], result["calibration"])
