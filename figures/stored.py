"""Drawing from stored records: the scripts of figures, the records that they read, and why one cannot be drawn.

A script of this folder with `RECORDS` (name of a record -> the command that makes it) and `draw(*records, path)` is a
figure. Nothing else has to be told of it. With `JOB`, the name of a job (`ufm/cli/job.py`), it is also drawn beside
each record of that job that it `fits`, all of them if it does not say.
"""

import pkgutil
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ufm.cli.records import read_record
from ufm.errors import check, printable

Result = TypeVar("Result")

DATA = Path(__file__).parent / "data"
"""The records that come with the repository."""
ORIGIN = ("command", "commit", "created", "machine")
"""What the page says of where a record comes from."""


class UnusableRecordError(ValueError):
    """A record that is missing, of another schema or incomplete: the message says which, why, and what makes it."""


def figure_scripts(having: str = "RECORDS") -> dict[str, ModuleType]:
    """Every figure of this folder by name, if it is drawn from stored records (or, `having` JOB, beside a job's)."""
    modules = (import_module(f"figures.{entry.name}") for entry in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return {module.__name__.rpartition(".")[2]: module for module in modules if hasattr(module, having)}


def draw_beside(job: str, record: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what shows a record of this job into the folder, each picture named after its figure or its `FILE`."""
    scripts = {name: script for name, script in figure_scripts("JOB").items() if job == script.JOB}
    fitting = {name: script for name, script in scripts.items() if not hasattr(script, "fits") or script.fits(record)}
    return [
        script.draw(record, path=folder / getattr(script, "FILE", f"{name}.png")) for name, script in fitting.items()
    ]


def read_stored(data: Path, records: Mapping[str, str]) -> list[dict[str, Any]]:
    """The records of these names in the folder `data`.

    Raises:
        UnusableRecordError: if one of them is missing or cannot be read.
    """
    return [_read(data / f"{name}.json", command) for name, command in records.items()]


def draw_stored(script: ModuleType, data: Path, path: Path) -> None:
    """Draw a figure from the records in `data`.

    Raises:
        UnusableRecordError: if a record is missing or cannot be drawn.
    """
    records = read_stored(data, script.RECORDS)
    names = ", ".join(f"{name}.json" for name in script.RECORDS)
    use_record(names, "; ".join(script.RECORDS.values()), partial(script.draw, *records, path=path))


def use_record(name: str, command: str, use: Callable[[], Result]) -> Result:
    """The result of `use` on a record.

    Raises:
        UnusableRecordError: if it does not find in it what it shows, as in an older record or one of nan.
    """
    try:
        return use()
    except OSError:
        raise  # of the file that is drawn
    except Exception as error:  # a record may say anything, down to numbers whose square is no float
        reason = f"{type(error).__name__}: {error}"
        raise UnusableRecordError(printable(f"{name} cannot be shown ({reason}); made by: {command}")) from error


def read_any(*folders: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Every record of folders by its name, from the folder on if there are several, and a sentence for each other file.

    A record is NAME.json in the folder itself, or the `record.json` of a command's folder anywhere below it. Names that
    begin with a dot are other programs' (macOS leaves `._NAME.json` beside a file), and a run's or a scan's
    `setting.json` is none.
    """
    records, refused = {}, []
    found = [(folder, path) for folder in folders for path in sorted(_in(folder))]
    for folder, path in found:
        try:
            place = path if len(folders) > 1 else path.relative_to(folder)
            name = place.with_suffix("").as_posix().removesuffix("/record")
            record = read_record(path)
            check(
                record.keys() >= {*ORIGIN}, str(path), f"keys {', '.join(record)}", f"a record with {', '.join(ORIGIN)}"
            )
            records[name] = record
        except ValueError as error:
            refused.append(str(error))
    return records, refused


def _in(folder: Path) -> set[Path]:
    return {*folder.glob("[!.]*.json"), *folder.glob("**/record.json")} - {folder / "setting.json"}


def _read(path: Path, command: str) -> dict[str, Any]:
    if not path.exists():
        raise UnusableRecordError(f"{path.name} is not there; made by: {command}")
    try:
        return read_record(path)
    except ValueError as error:
        raise UnusableRecordError(f"{str(error).rstrip('.')}; made by: {command}") from None
