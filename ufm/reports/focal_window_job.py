"""`focal-window` as a command."""

from ufm.cli.job import Job
from ufm.reports.focal_window import FocalWindow, measure
from ufm.reports.focal_window_report import show
from ufm.reports.focal_window_setting import FocalWindowSetting


class FindFocalWindow(Job[FocalWindowSetting, FocalWindow]):
    """Thresholds, states, proofs."""

    name = "focal-window"

    def compute(self) -> FocalWindow:
        """Everything for the record."""
        return measure(self.setting)

    def show(self, result: FocalWindow) -> None:
        """In words, and the states as a table."""
        show(self.setting, result)
