"""The command `report-card`."""

import dataclasses
from typing import Any

from ufm.cli.job import Job
from ufm.reports import report_card
from ufm.reports.report_card_report import answers, show
from ufm.reports.report_card_setting import ReportCardSetting


class MakeReportCard(Job[ReportCardSetting, dict[str, Any]]):
    """The job of `report-card`. The record has the fields of `Card`, and `answers`: each question with its answer."""

    name = "report-card"

    def __init__(self, setting: ReportCardSetting) -> None:
        super().__init__(setting)
        report_card.asked(setting)

    def compute(self) -> dict[str, Any]:
        """Compute the card."""
        self._card = report_card.report_card(self.setting)
        return dataclasses.asdict(self._card) | {"answers": answers(self._card)}

    def show(self, result: dict[str, Any]) -> None:
        """Print the answers, then the comparison."""
        show(self._card)
