"""The commands of `theory_checks`: one claim with its evidence, several as a table with a picture."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any, TypedDict

from rich.console import Console

from theory_checks import report
from theory_checks.listing import Claim, Row, run, run_all, twin_of
from theory_checks.verdict import Verdict
from ufm.cli.command_line import INTERRUPTED
from ufm.cli.common_setting import OutputSetting
from ufm.cli.job import Job


class Checked(TypedDict):
    """The contents of the record.

    Attributes:
        rows: the fields of each `Row`, and whether it `holds`.
        holds: whether all do.
        seconds: what they took.
    """

    rows: list[dict[str, Any]]
    holds: bool
    seconds: float


class Check(Job[OutputSetting, Checked]):
    """The job that checks claims."""

    name = "claims"

    def __init__(self, claims: Sequence[Claim], setting: OutputSetting) -> None:
        super().__init__(setting)
        self._claims = claims
        self._rows: list[Row] = []
        self._twin: Verdict | str = ""
        self._is_whole = True

    def compute(self) -> Checked:
        """A row for every claim, in their order; those that an interrupt stopped were not run."""
        began = time.perf_counter()
        self._rows = self._run_one() if len(self._claims) == 1 else self._run_all()
        fields = [{**dataclasses.asdict(row), "holds": row.holds} for row in self._rows]
        holds = all(row.holds for row in self._rows)
        return {"rows": fields, "holds": holds, "seconds": time.perf_counter() - began}

    def show(self, result: Checked) -> None:
        """Print the claim with its evidence, or the table."""
        if len(self._rows) == 1:
            report.show_one(self._rows[0], self._twin)
        else:
            report.show_all(self._rows)

    def exit_code(self, result: Checked) -> int:
        """1 if a claim fails or its check did not run, or takes the one claim's false twin for true."""
        if not self._is_whole:
            return INTERRUPTED
        return 0 if result["holds"] and not (isinstance(self._twin, Verdict) and self._twin.holds) else 1

    def _run_one(self) -> list[Row]:
        """The row of the only claim; its false twin is checked too."""
        row = run(self._claims[0])
        if row.verdict is not None:
            self._twin = twin_of(self._claims[0])
        return [row]

    def _run_all(self) -> list[Row]:
        done: dict[str, Row] = {}
        console = Console(soft_wrap=True, highlight=False)
        try:
            for row in run_all(self._claims):
                done[row.claim.name] = row
                console.print(f"{len(done):3d}/{len(self._claims)}  {report.progress_line(row)}")
        except KeyboardInterrupt:
            print("interrupted; what is finished is shown and recorded.", file=sys.stderr)
        self._is_whole = len(done) == len(self._claims)
        return [done.get(claim.name, Row(claim, 0.0, not_run="interrupted")) for claim in self._claims]
