"""`python -m theory_checks [CLAIM]`: every claim, or one of them with its evidence."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m theory_checks")

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from theory_checks.listing import Claim, Row, claims, run, run_all
from ufm.cli.command import Command
from ufm.cli.command_line import main
from ufm.cli.common_setting import OutputSetting
from ufm.cli.output_folder import output_folder
from ufm.cli.records import check_new_file, read_record, write_and_show


@dataclass(frozen=True, kw_only=True)
class CheckSetting(OutputSetting):
    """Check every claim, from one process per core.

    Exit code 1 when a claim fails or its check cannot run here.

    Examples:
        python -m theory_checks
        python -m theory_checks all --json claims.json
        python -m theory_checks label_smoothing_closed_form

    Writes: record.json and claims.png into --out.
    """


def run_claims(claims: list[Claim], setting: CheckSetting) -> int:
    """Check, show, record; one claim with its evidence, several as a table with a picture."""
    check_new_file(setting.json, "--json")
    with output_folder(setting.out, "claims") as folder:
        return _run(claims, setting, folder)


def _run(claims: list[Claim], setting: CheckSetting, folder: Path) -> int:
    from figures import claims as picture_of_claims
    from theory_checks import report

    began = time.perf_counter()
    rows, is_whole = _rows(claims)
    show = partial(report.show_one, rows[0]) if len(claims) == 1 else partial(report.show_all, rows)
    result = report.as_result(rows, time.perf_counter() - began)
    record = write_and_show(setting.json or folder / "record.json", setting.as_dict(), result, show)
    picture = picture_of_claims.draw(read_record(record), folder / "claims.png")
    print(f"record: {record}\npicture: {picture}")
    if not is_whole:
        return 130
    return 0 if all(row.holds for row in rows) else 1


def _rows(claims: list[Claim]) -> tuple[list[Row], bool]:
    """A row for every claim, in their order, and whether all had the time to end."""
    from rich.console import Console

    from theory_checks import report

    if len(claims) == 1:
        return [run(claims[0])], True
    done: dict[str, Row] = {}
    console = Console(soft_wrap=True, highlight=False)
    try:
        for row in run_all(claims):
            done[row.claim.name] = row
            console.print(f"{len(done):3d}/{len(claims)}  {report.progress_line(row)}")
    except KeyboardInterrupt:
        print("interrupted; what is finished is shown and recorded.", file=sys.stderr)
    return [done.get(claim.name, Row(claim, 0.0, not_run="interrupted")) for claim in claims], len(done) == len(claims)


CLAIMS = claims()
COMMANDS = {"all": Command(CheckSetting, partial(run_claims, CLAIMS), is_default=True)} | {
    claim.name: Command(CheckSetting, partial(run_claims, [claim]), about=claim.text) for claim in CLAIMS
}


def program(prog: str = "python -m theory_checks") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "Theorems about neural collapse, each checked by one file.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
