"""The command `focal-window`."""

from ufm.cli.job import Job
from ufm.reports.focal_window import FocalWindow, measure
from ufm.reports.focal_window_report import show
from ufm.reports.focal_window_setting import FocalWindowSetting


class FindFocalWindow(Job[FocalWindowSetting, FocalWindow]):
    """The job of `focal-window`: thresholds, states, proofs."""

    name = "focal-window"

    def compute(self) -> FocalWindow:
        """Compute the contents of the record; what takes long is said before."""
        seconds = 5 * (self.setting.classes / 30) ** 3
        if self.setting.certify and seconds > 60:
            without = "--certify false leaves them out"
            print(
                f"proofs for {self.setting.classes} classes: about {seconds / 60:.0f} minutes ({without})", flush=True
            )
        return measure(self.setting)

    def show(self, result: FocalWindow) -> None:
        """Print sentences, and the states as a table."""
        show(self.setting, result)
