"""`python -m figures [all | report]`: every figure, or the page, from stored records; nothing is computed."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m figures")

from figures.settings import FiguresSetting, ReportSetting
from ufm.cli.command import Command, job
from ufm.cli.command_line import main

COMMANDS = {
    "all": Command(FiguresSetting, job("figures.jobs:DrawAll"), is_default=True),
    "report": Command(ReportSetting, job("figures.jobs:BuildPage")),
}


def program(prog: str = "python -m figures") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "Figures and a page made from stored records.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
