"""Checks before a command resumes work in a folder: the request must match what was begun there."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ufm.cli.records import plain, read_record
from ufm.errors import RequestError, check, option

RECORD = "record.json"


def earlier_result(folder: Path, setting: dict[str, Any]) -> dict[str, Any] | None:
    """The result in a folder of an earlier call with the same setting; None if there is none.

    Raises:
        ValueError: if the folder holds the record of another setting.
    """
    if not (folder / RECORD).exists():
        return None
    record, asked = read_record(folder / RECORD), plain(setting)
    check(asked.keys() == record["setting"].keys(), "--out", folder, "new, empty or of an earlier call of this command")
    names = sorted(asked.keys() - {"out", "json", "device"})
    check_same(record["setting"], asked, names, f"continue what is in {folder}")
    return dict(record["result"])


def check_same(there: Mapping[str, Any], asked: Mapping[str, Any], names: Iterable[str], goal: str) -> None:
    """Refuse a request that differs in one of these options from that which began the folder.

    Raises:
        ValueError: naming the first.
    """
    for name in names:
        if there.get(name) != asked.get(name):
            raise RequestError(f"`{option(name)}` must be {there.get(name)} to {goal}, got {asked.get(name)}.")


def check_kept(is_kept: bool, name: str, asked: object, there: object, where: str) -> None:
    """Refuse an option beside `--resume` that would change the work in the folder.

    Raises:
        ValueError: unless `is_kept`.
    """
    check(is_kept, option(name), asked, f"{there}, as {where}, or left out")
