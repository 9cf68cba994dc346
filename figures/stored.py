"""Every figure from stored records: which scripts there are, what they read, and what cannot be drawn and why.

A script of this folder with `RECORDS` (name of a record -> the command that makes it) and `draw(*records, path)` is a
figure. Nothing else has to be told of it.
"""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from ufm.records import read_record

Result = TypeVar("Result")

DATA = Path(__file__).parent / "data"
"""The records that come with the repository."""


class UnusableRecordError(ValueError):
    """A record that is missing, of another schema or without what is asked of it: which, why, and what makes it."""


def figure_scripts() -> dict[str, ModuleType]:
    """Every figure of this folder by name."""
    modules = (import_module(f"figures.{entry.name}") for entry in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return {module.__name__.rpartition(".")[2]: module for module in modules if hasattr(module, "RECORDS")}


def read_stored(data: Path, records: Mapping[str, str]) -> list[dict[str, Any]]:
    """The records of these names in the folder `data`.

    Raises:
        UnusableRecordError: if one of them is missing or cannot be read.
    """
    return [_read(data / f"{name}.json", command) for name, command in records.items()]


def use_stored(data: Path, records: Mapping[str, str], use: Callable[..., Result]) -> Result:
    """What `use` makes of the records.

    Raises:
        UnusableRecordError: if a record is missing, or `use` does not find in it what it shows.
    """
    found = read_stored(data, records)
    try:
        return use(*found)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # what an older record or nan leads to
        commands = "; ".join(records.values())
        reason = f"{type(error).__name__}: {error}"
        raise UnusableRecordError(f"{_names(records)} cannot be shown ({reason}); made by: {commands}") from error


def _read(path: Path, command: str) -> dict[str, Any]:
    if not path.exists():
        raise UnusableRecordError(f"{path.name} is not there; made by: {command}")
    try:
        return read_record(path)
    except ValueError as error:
        raise UnusableRecordError(f"{str(error).rstrip('.')}; made by: {command}") from None


def _names(records: Mapping[str, str]) -> str:
    return ", ".join(f"{name}.json" for name in records)
