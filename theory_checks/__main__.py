"""`python -m theory_checks [CLAIM]`: every claim, or one of them with its evidence."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m theory_checks")

from dataclasses import dataclass

from theory_checks.listing import claims
from ufm.cli.command import Command, job
from ufm.cli.command_line import main
from ufm.cli.common_setting import TableSetting


@dataclass(frozen=True, kw_only=True)
class CheckSetting(TableSetting):
    """Check every claim, from one process per core.

    Exit code 1 when a claim fails or its check cannot run here.

    Examples:
        python -m theory_checks
        python -m theory_checks all --json claims.json
        python -m theory_checks label_smoothing_closed_form

    Writes: record.json and claims.png into --out.
    """


CLAIMS, CHECK = claims(), "theory_checks.job:Check"
COMMANDS = {"all": Command(CheckSetting, job(CHECK, CLAIMS), is_default=True)} | {
    claim.name: Command(CheckSetting, job(CHECK, [claim]), about=claim.text) for claim in CLAIMS
}


def program(prog: str = "python -m theory_checks") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "Theorems about neural collapse, each checked by one file.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
