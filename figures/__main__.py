"""`python -m figures [all | report]`: every figure, or the page, from stored records; nothing is computed."""

import sys
from os.path import dirname

sys.path.insert(0, dirname(dirname(__file__)))  # this project's `ufm`, whatever lies in the current folder
from ufm import start

del sys.path[0]
start.begin(__name__, "python -m figures")

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ufm.cli.command import Command
from ufm.cli.command_line import main
from ufm.cli.common_setting import OutputSetting
from ufm.cli.output_folder import output_folder
from ufm.cli.records import atomic_file, check_new_file, write_record
from ufm.errors import RequestError

STORED = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True)
class FiguresSetting(OutputSetting):
    """Draw every figure from stored records, as PDF and PNG; say which record is missing and what makes it.

    Examples:
        python -m figures
        python -m figures --data results/records --out results/figures

    Writes: NAME.pdf and NAME.png per figure, and record.json, into --out.
    """

    data: Path = STORED
    """Folder of records, NAME.json each. Default: those that come with the repository."""


@dataclass(frozen=True, kw_only=True)
class ReportSetting(OutputSetting):
    """Build one self-contained page of theorems, phase diagrams, atlases, trainings, geometry and report cards.

    The theorem table has filters; a cell of the phase diagram shows its end states and the curves through it, a
    critical point of the atlas its classes, index and certificate, a training the model's prediction at an epoch to
    choose. What is chosen is in the address, so that a link brings it back.

    Examples:
        python -m figures report
        python -m figures report --data results --out page

    Writes: report.html, which needs no network, and record.json into --out.
    """

    data: Path = STORED
    """Folder of records: NAME.json each, or folders that commands wrote. Default: those of the repository."""


def run_all(setting: FiguresSetting) -> int:
    """Every figure that can be drawn; exit code 1 if one cannot."""
    with _begun(setting, setting.data, "figures") as folder:
        return _draw_all(setting, folder)


def _draw_all(setting: FiguresSetting, folder: Path) -> int:
    from figures.stored import UnusableRecordError, draw_stored, figure_scripts

    drawn, left_out = [], {}
    for name, script in figure_scripts().items():
        paths = [folder / f"{name}.{kind}" for kind in ("pdf", "png")]
        try:
            for path in paths:
                draw_stored(script, setting.data, path)
        except UnusableRecordError as error:
            left_out[name] = str(error)
        else:
            drawn.append(name)
            print(", ".join(map(str, paths)), flush=True)
    result = {"drawn": drawn, "left_out": left_out}
    record = write_record(setting.json or folder / "record.json", setting.as_dict(), result)
    for name, reason in left_out.items():
        print(f"not drawn: {name}: {reason}")
    print(f"{len(drawn)} figures, {len(left_out)} not drawn\nrecord: {record}\npictures: {folder}")
    return 1 if left_out else 0


def run_report(setting: ReportSetting) -> int:
    """The page; exit code 1 if a part of it is missing."""
    from figures.report.page import build

    with _begun(setting, setting.data, "report") as folder:
        page, left_out = build(setting.data)
        path = folder / "report.html"
        with atomic_file(path) as file:
            file.write(page)
        record = write_record(setting.json or folder / "record.json", setting.as_dict(), {"left_out": left_out})
        for reason in left_out:
            print(f"left out: {reason}")
        print(f"record: {record}\npage: {path} ({len(page.encode()) / 1e6:.1f} MB)")
    return 1 if left_out else 0


def _begun(setting: OutputSetting, data: Path, name: str) -> AbstractContextManager[Path]:
    """The folder to write into.

    Raises:
        ValueError: if it is occupied, or there is no folder of records.
    """
    check_new_file(setting.json, "--json")
    if not data.is_dir():
        raise RequestError(f"`--data` must be a folder of records, got {data}.")
    return output_folder(setting.out, name)


COMMANDS = {
    "all": Command(FiguresSetting, run_all, is_default=True),
    "report": Command(ReportSetting, run_report),
}


def program(prog: str = "python -m figures") -> int:
    """The exit code of what the command line asks for."""
    return main(prog, "Figures and a page made from stored records.", COMMANDS)


if __name__ == "__main__":
    sys.exit(program())
