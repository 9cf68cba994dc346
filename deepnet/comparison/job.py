"""`compare` as a command."""

import sys

from deepnet.comparison.report import show
from deepnet.comparison.study import Study, compared_run, study
from deepnet.settings import CompareSetting
from deepnet.training import checkpoint, own_code
from ufm.cli.job import Job


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
