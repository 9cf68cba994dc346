"""The command `experiment`: it trains and judges; the same command goes on with the trainings in a folder."""

import sys
from pathlib import Path

from deepnet.experiments import report
from deepnet.experiments.conduct import conduct, units_of, warning_of_units
from deepnet.experiments.experiment import find
from deepnet.experiments.judged import Judged, as_result
from deepnet.settings import ExperimentSetting
from ufm.cli.job import Job
from ufm.cli.resume import earlier_result


class Conduct(Job[ExperimentSetting, Judged]):
    """The job of `experiment`."""

    name = "experiment"
    continues = True

    def __init__(self, setting: ExperimentSetting) -> None:
        super().__init__(setting)
        self._experiments = find(setting.name)

    def compute(self) -> Judged:
        """Train the runs that are left, and judge all statements."""
        earlier = earlier_result(self.folder, self.setting.as_dict())  # refused here if it is another experiment's
        units = units_of(self._experiments, self.setting, self.folder)
        if earlier is None:
            self.record({"experiments": []})  # what a later call continues
        failures: dict[Path, str] = {}
        for done, (unit, failure) in enumerate(conduct(units, self.folder), 1):
            print(f"{done:3d}/{len(units)}  {unit.name}{': ' if failure else ''}{failure}", flush=True)
            failures |= {unit.folder: failure} if failure else {}
        if slow := warning_of_units(units):
            print(f"warning: {slow}", file=sys.stderr)
        return as_result(self._experiments, units, failures)

    def show(self, result: Judged) -> None:
        """Print a row per statement."""
        report.show(result)

    def exit_code(self, result: Judged) -> int:
        """1 if a training failed."""
        return 1 if result["failures"] else 0

    def stopped(self) -> None:
        """Print how to resume."""
        print(f"\nstopped; the same command with --out {self.folder} goes on.", file=sys.stderr)

    def files(self) -> dict[str, Path | str]:
        """The folders of the runs."""
        return {"runs": self.folder}
