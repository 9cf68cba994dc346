"""The command `compare`."""

import sys
from typing import Any, TypedDict

from deepnet.comparison.own import NetComparison, compare_net
from deepnet.comparison.report import show, show_net
from deepnet.comparison.study import Study, compared_run, study
from deepnet.evaluation.feature_files import read_features, read_last_layer
from deepnet.settings import CompareSetting
from deepnet.training import checkpoint, own_code
from ufm.cli.job import Job
from ufm.errors import RequestError, check


class Compare(Job[CompareSetting, Study]):
    """The job of `compare` on runs: measurement beside prediction, and how close they are."""

    name = "compare"

    def __init__(self, setting: CompareSetting) -> None:
        super().__init__(setting)
        for run in setting.folders:
            own_code.check_named(run, checkpoint.read_setting(run), setting.code)

    def compute(self) -> Study:
        """Compare each run, then the conditions with each other."""
        setting, runs = self.setting, []
        for number, run in enumerate(setting.folders, 1):
            runs.append(compared_run(run, setting.device, setting.data_folder, setting.code))
            print(f"read {run} ({number} of {len(setting.folders)}), epoch {runs[-1].entry['epoch']}", flush=True)
            if slow := runs[-1].entry["warning"]:
                print(f"warning: {run}: {slow}", file=sys.stderr)
        return study(runs, setting.depths)

    def show(self, result: Study) -> None:
        """Print a row per condition; in detail every table, and the comparisons between conditions."""
        show(result, in_detail=self.setting.details)


class Compared(TypedDict):
    """The contents of the record: the fields of `NetComparison`, and the `source` of the features."""

    source: str
    comparison: dict[str, Any]


class CompareFeatures(Job[CompareSetting, Compared]):
    """The job of `compare` on a file of features: the last layer and the theory that applies to it."""

    name = "compare_features"

    def compute(self) -> Compared:
        """Read the file and compare."""
        setting = self.setting
        assert setting.features is not None
        assert setting.decay is not None
        found = read_features(setting.features)
        if found.labels is None:
            raise RequestError(f"`--features` must be a file with labels, got {setting.features}.")
        W, b = (found.W, found.b) if setting.last_layer is None else read_last_layer(setting.last_layer)
        check(W is not None, "--last-layer", "", f"given where the file has no W ({setting.features})")
        decays = {"decay_H": setting.decay_H, "decay_b": setting.decay_b}
        try:
            self._found: NetComparison = compare_net(
                found.features, found.labels, W, b, loss=dict(setting.loss), decay=setting.decay, **decays
            )
        except RequestError as error:
            raise RequestError(f"{setting.features}: {error}".replace("`decay_H`", "`--decay-H`")) from None
        return {"source": str(setting.features), "comparison": self._found.as_dict()}

    def show(self, result: Compared) -> None:
        """Print the verdict, a table and the notes."""
        show_net(self._found)
