"""`compare` as a command."""

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
    """Measurement and prediction side by side, and how close they are."""

    name = "compare"

    def __init__(self, setting: CompareSetting) -> None:
        super().__init__(setting)
        for run in setting.folders:
            own_code.check_named(run, checkpoint.read_setting(run), setting.code)

    def compute(self) -> Study:
        """Run after run, then all of them together."""
        setting, runs = self.setting, []
        for number, run in enumerate(setting.folders, 1):
            runs.append(compared_run(run, setting.device, setting.data_folder, setting.code))
            print(f"read {run} ({number} of {len(setting.folders)}), epoch {runs[-1].entry['epoch']}", flush=True)
            if slow := runs[-1].entry["warning"]:
                print(f"warning: {run}: {slow}", file=sys.stderr)
        return study(runs, setting.depths)

    def show(self, result: Study) -> None:
        """A table and a verdict a condition, then what is between them."""
        show(result)


class Compared(TypedDict):
    """What the record says: the fields of `NetComparison`, and the `source` of the features."""

    source: str
    comparison: dict[str, Any]


class CompareFeatures(Job[CompareSetting, Compared]):
    """A last layer from a file, and the theory that speaks of it."""

    name = "compare_features"

    def compute(self) -> Compared:
        """Read, then compare."""
        setting = self.setting
        assert setting.features is not None
        assert setting.decay is not None
        found = read_features(setting.features)
        if found.labels is None:
            raise RequestError(f"`--features` must be a file with labels, got {setting.features}.")
        W, b = (found.W, found.b) if setting.last_layer is None else read_last_layer(setting.last_layer)
        check(W is not None, "--last-layer", "", f"given where the file has no W ({setting.features})")
        decays = {"decay_H": setting.decay_H, "decay_b": setting.decay_b}
        self._found: NetComparison = compare_net(
            found.features, found.labels, W, b, loss=dict(setting.loss), decay=setting.decay, **decays
        )
        return {"source": str(setting.features), "comparison": self._found.as_dict()}

    def show(self, result: Compared) -> None:
        """The verdict, a table, notes."""
        show_net(self._found)
