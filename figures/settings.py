"""The settings of `python -m figures`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ufm.cli.common_setting import OutputSetting
from ufm.errors import check

STORED = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True)
class FiguresSetting(OutputSetting):
    """Draw every figure from stored records, as PDF and PNG; say which record is missing and what makes it.

    Examples:
        python -m figures
        python -m figures --data results/records --out results/figures
        python -m figures --format pdf --column 1

    Writes: NAME.pdf and NAME.png per figure, or one of them, and record.json, into --out.
    """

    data: Path = STORED
    """Folder of records, NAME.json each. Default: those that come with the repository."""
    format: Literal["both", "pdf", "png"] = "both"
    """What is written of each figure: pdf, whose fonts are TrueType, png, or both."""
    column: int | None = None
    """Columns of a paper, 1 or 2, that a figure is as wide as: 3.25 or 6.75 inches; many panels take both.

    Default: as on a page.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.column in (None, 1, 2), "--column", self.column, "1 or 2")


@dataclass(frozen=True, kw_only=True)
class ReportSetting(OutputSetting):
    """Build one self-contained page of theorems, phase diagrams, atlases, trainings, geometry and report cards.

    The theorem table has filters; a cell of the phase diagram shows its end states and the curves through it, a
    critical point of the atlas its classes, index and certificate, a training the model's prediction at an epoch to
    choose. What is chosen is in the address, so that a link brings it back.

    Examples:
        python -m figures report
        python -m figures report --data results --out page
        python -m figures report --data '[results, runs]'

    Writes: report.html, which needs no network, and record.json into --out.
    """

    data: list[Path] | Path = STORED
    """Folder of records, NAME.json each, or of folders that commands wrote; or several: '[results, runs]'.

    Default: those of the repository.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check(len(self.folders) >= 1, "--data", self.data, "one folder or more")

    @property
    def folders(self) -> list[Path]:
        """The folders as a list."""
        return [self.data] if isinstance(self.data, Path) else self.data
