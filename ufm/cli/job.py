"""The steps of every command: compute, record, show, draw, print where everything is.

A command is a setting, a job, a report that prints, and a line in `COMMANDS`. What is the same for all is here: the
folder, the record (written before anything is shown), what is left when Ctrl-C or a full disk comes, the pictures.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ufm import legend
from ufm.cli.common_setting import OutputSetting
from ufm.cli.output_folder import claimed, output_folder
from ufm.cli.records import read_record, says, write_record
from ufm.cli.resume import RECORD
from ufm.errors import RequestError, printable

Setting = TypeVar("Setting", bound=OutputSetting)
Result = TypeVar("Result", bound=Mapping[str, Any])


class Job(Generic[Setting, Result]):
    """The part of a command that is its own. An impossible request is refused when the job is made, before any folder.

    Attributes:
        name: the default folder is results/NAME-<time>; `figures` knows by it which pictures show the record.
        continues: whether `--out` may be a folder with a record of this command, which is then gone on with; the record
            is always kept there, and `--json` is a copy.
        setting: what is asked, also what the record says was asked.
        folder: where to write; there from `compute` on.
    """

    name: ClassVar[str]
    continues: ClassVar[bool] = False
    folder: Path

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def compute(self) -> Result:
        """Compute the result for the record; long work calls `record` with finished parts."""
        raise NotImplementedError

    def show(self, result: Result) -> None:
        """Print the result; nothing is computed here."""
        raise NotImplementedError

    def exit_code(self, result: Result) -> int:
        """The exit code for a result: 0 if everything holds."""
        return 0

    def stopped(self) -> None:
        """Print what is finished and how to resume, after an interrupt or an error."""

    def files(self) -> dict[str, Path | str]:
        """Further files in the folder, by their labels in the output."""
        return {}

    @property
    def path(self) -> Path:
        """The file of the record."""
        asked = None if self.continues else self.setting.json
        return asked or self.folder / RECORD

    def record(self, result: Result) -> None:
        """Write the record of the result so far."""
        write_record(self.path, self.setting.as_dict(), result)

    def run(self) -> int:
        """Run all steps; return the exit code."""
        is_asked = getattr(self.setting, "explain", False)
        with self._held() as self.folder, legend.explained(is_asked):
            result = self._computed()
            self._record_and_show(result)
            print_files(self.files() | {"record": self.path})  # before a disk is full of pictures
            print_pictures(draw(self.name, self.path, self.folder))
            return self.exit_code(result)

    def _held(self) -> AbstractContextManager[Path]:
        if resumed := getattr(self.setting, "resume", None):
            return claimed(resumed, "--resume")
        return output_folder(self.setting.out, self.name, RECORD if self.continues else None)

    def _computed(self) -> Result:
        try:
            return self.compute()
        except RequestError:
            raise  # going on would end in the same
        except BaseException:  # Ctrl-C, a full disk
            self.stopped()
            raise

    def _record_and_show(self, result: Result) -> None:
        try:
            if not says(self.path, self.setting.as_dict(), result):  # else it names the commit that found it
                self.record(result)
            if self.continues and self.setting.json is not None:
                write_record(self.setting.json, self.setting.as_dict(), result)
        finally:
            self.show(result)  # where the record cannot be written, this is all that is left


def draw(name: str, record: Path, folder: Path) -> list[Path]:
    """Draw the pictures that belong to this job's record into the folder; return their paths.

    `figures` is asked by its name, here alone: it reads records, and nothing that computes imports it.
    """
    pictures: list[Path] = import_module("figures.stored").draw_beside(name, read_record(record), folder)
    return pictures


def print_files(files: Mapping[str, Path | str]) -> None:
    """Print the paths of files by name."""
    for name, path in files.items():
        print(f"{name}: {printable(str(path))}")


def print_pictures(pictures: Sequence[Path]) -> None:
    """Print the paths of pictures, if there are any."""
    if pictures:
        print(f"picture{'s' * (len(pictures) > 1)}: {printable(', '.join(map(str, pictures)))}")
