"""The commands that draw every figure, and build the page, from records; nothing is computed."""

from pathlib import Path
from typing import TypedDict

from figures.report.page import build
from figures.settings import FiguresSetting, ReportSetting
from figures.stored import UnusableRecordError, draw_stored, figure_scripts
from figures.style import for_a_paper
from ufm.cli.job import Job
from ufm.cli.records import atomic_file
from ufm.errors import check

PAGE = "report.html"


class Drawn(TypedDict):
    """The contents of the record: the names of the figures that are `drawn`, and why others are `left_out`."""

    drawn: list[str]
    left_out: dict[str, str]


class DrawAll(Job[FiguresSetting, Drawn]):
    """The job that draws every figure for which there are records, as PDF, PNG or both."""

    name = "figures"

    def __init__(self, setting: FiguresSetting) -> None:
        super().__init__(setting)
        _check_folder(setting.data)

    def compute(self) -> Drawn:
        """Draw one figure after the other; a record that cannot be shown leaves its figure out."""
        result: Drawn = {"drawn": [], "left_out": {}}
        for name, script in figure_scripts().items():
            kinds = ("pdf", "png") if self.setting.format == "both" else (self.setting.format,)
            paths = [self.folder / f"{name}.{kind}" for kind in kinds]
            try:
                for path in paths:
                    with for_a_paper(self.setting.column):
                        draw_stored(script, self.setting.data, path)
            except UnusableRecordError as error:
                result["left_out"][name] = str(error)
            else:
                result["drawn"].append(name)
                print(", ".join(map(str, paths)), flush=True)
        return result

    def show(self, result: Drawn) -> None:
        """Print the figures that were not drawn, and counts."""
        for name, reason in result["left_out"].items():
            print(f"not drawn: {name}: {reason}")
        print(f"{len(result['drawn'])} figures, {len(result['left_out'])} not drawn")

    def exit_code(self, result: Drawn) -> int:
        """1 if a figure cannot be drawn."""
        return 1 if result["left_out"] else 0

    def files(self) -> dict[str, Path | str]:
        """The folder of the pictures."""
        return {"pictures": self.folder}


class Built(TypedDict):
    """The contents of the record: the sentences on what is `left_out` of the page."""

    left_out: list[str]


class BuildPage(Job[ReportSetting, Built]):
    """The job that builds the page."""

    name = "report"

    def __init__(self, setting: ReportSetting) -> None:
        super().__init__(setting)
        for folder in setting.folders:
            _check_folder(folder)

    def compute(self) -> Built:
        """Write the page, whole or not at all."""
        page, left_out = build(*self.setting.folders)
        with atomic_file(self.folder / PAGE) as file:
            file.write(page)
        return {"left_out": left_out}

    def show(self, result: Built) -> None:
        """Print the parts that are missing."""
        for reason in result["left_out"]:
            print(f"left out: {reason}")

    def exit_code(self, result: Built) -> int:
        """1 if a part is missing."""
        return 1 if result["left_out"] else 0

    def files(self) -> dict[str, Path | str]:
        """The page, and how large it is."""
        page = self.folder / PAGE
        return {"page": f"{page} ({page.stat().st_size / 1e6:.1f} MB)"}


def _check_folder(data: Path) -> None:
    check(data.is_dir(), "--data", data, "a folder of records")
