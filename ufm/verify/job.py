"""The command `verify`: one loss at a time, recorded after each; then the table and the picture."""

import dataclasses
from typing import Any, TypedDict

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from ufm.cli.job import Job
from ufm.cli.table import console
from ufm.model.target import Target
from ufm.verify.report import show
from ufm.verify.setting import VerifySetting
from ufm.verify.verify import Verdict, verify


class Verdicts(TypedDict):
    """The contents of the record.

    Attributes:
        verdicts: the fields of each `Verdict`, its targets without their points, and `holds`: whether every claim does.
        is_complete: whether every loss that was asked for has its verdict.
        holds: whether it is complete and every verdict holds.
    """

    verdicts: list[dict[str, Any]]
    is_complete: bool
    holds: bool


class Verify(Job[VerifySetting, Verdicts]):
    """The job of `verify`."""

    name = "verify"

    def __init__(self, setting: VerifySetting) -> None:
        super().__init__(setting)
        columns = "{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._progress = Progress(*columns, transient=True)
        with Progress(
            "{task.description}", TimeElapsedColumn(), transient=True, disable=not console().is_terminal
        ) as bar:
            bar.add_task("predictions, and how far their curvatures are apart", total=None)
            self._pending = verify(setting, self._progress)
        self._verdicts: list[Verdict] = []

    def compute(self) -> Verdicts:
        """Verify one loss after the other."""
        with self._progress:
            for verdict in self._pending:
                self._verdicts.append(verdict)
                self.record(as_result(self._verdicts, is_complete=False))
        return as_result(self._verdicts, is_complete=True)

    def show(self, result: Verdicts) -> None:
        """Print the tables."""
        show(self.setting, self._verdicts)

    def exit_code(self, result: Verdicts) -> int:
        """1 if a claim fails; where nothing is predicted none can."""
        return 0 if result["holds"] else 1

    def stopped(self) -> None:
        """Show the losses that are finished."""
        if self._verdicts:
            show(self.setting, self._verdicts)
        if self.path.exists():
            print(f"record of the losses that are finished: {self.path}")


def as_result(verdicts: list[Verdict], *, is_complete: bool) -> Verdicts:
    """The result for the record; `holds` is false until every loss of the request has its verdict."""
    fields = [
        dataclasses.asdict(verdict)
        | {"target": _facts(verdict.target), "saddle_target": _facts(verdict.saddle_target), "holds": verdict.holds}
        for verdict in verdicts
    ]
    holds = is_complete and all(verdict.holds for verdict in verdicts)
    return {"verdicts": fields, "is_complete": is_complete, "holds": holds}


def _facts(target: Target | None) -> dict[str, Any] | None:
    """Everything but the point itself and what takes others."""
    own = dataclasses.asdict(target) if target else {}
    return {key: value for key, value in own.items() if key not in ("point", "residuals")} or None
