"""The results of a scan: a folder of Parquet files, one per unit of work, each written atomically.

`FOLDER/setting.json` says what was asked; `FOLDER/shards/*.parquet` are the rows, each file with the commit and the
versions that made it in its metadata. Any reader of Parquet reads the folder `shards` as it is. A file that cannot be
read is named, with what to do; other files are left alone.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from ufm.command_line import RequestError, check, reason_of
from ufm.records import atomic_file, provenance, remove_half_written
from ufm.settings.scan import ScanSetting

SETTING, SHARDS = "setting.json", "shards"
_OF_THE_CALL = ("out", "json", "resume", "workers", "device", "engine")
_NAME = re.compile(r"[0-9a-f]{16}\.parquet")
"""A unit's id (`ufm.cells`)."""
_TYPES = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}


def write_setting(folder: Path, setting: ScanSetting) -> None:
    """Say in the folder what is asked; a new grid is added to those that were asked for before."""
    plain = {name: value for name, value in setting.as_dict().items() if name not in _OF_THE_CALL}
    grids = asked_grids(folder) if (folder / SETTING).exists() else []
    if plain["grid"] not in grids:
        grids.append(plain["grid"])
    with atomic_file(folder / SETTING) as file:
        json.dump(plain | {"grids": grids}, file, indent=1)
    (folder / SHARDS).mkdir(exist_ok=True)
    remove_half_written(folder / SHARDS)


def asked_grids(folder: Path) -> list[dict[str, str]]:
    """All grids that were asked for in this folder, in their order."""
    return list(json.loads((folder / SETTING).read_text())["grids"])


def resumed_setting(setting: ScanSetting) -> ScanSetting:
    """The setting of the folder `setting.resume`, with this call's grid if it gives one.

    Raises:
        ValueError: if the folder is not a scan's, or is a scan of something else than what this call asks for.
    """
    folder = setting.resume
    assert folder is not None
    check(setting.out is None, "--out", setting.out, "left out with --resume (the scan goes on in its folder)")
    stored = _stored(folder)
    given = setting.as_dict()
    for name, value in stored.items():
        is_same = name == "grid" or name not in setting.given or given[name] == value
        check(is_same, f"--{name.replace('_', '-')}", given[name], f"{value}, as in {folder}, or left out")
    stored["grid"] = setting.grid or stored["grid"]
    call = {name: getattr(setting, name) for name in _OF_THE_CALL}
    return ScanSetting(**{**stored, **call})


def _stored(folder: Path) -> dict[str, Any]:
    """The setting in a scan's folder, checked like one from the command line."""
    try:
        stored = dict(json.loads((folder / SETTING).read_text()))
        grids = stored.pop("grids")
        for grid in [*grids, stored["grid"]]:
            ScanSetting(**{**stored, "grid": grid})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RequestError(f"`--resume` must be the folder of a scan, got {folder} ({error}).") from None
    return stored


def write_shard(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write one unit's rows; the file appears complete or not at all."""
    schema = pyarrow.schema([(column, _type(column, rows)) for column in rows[0]])
    table = pyarrow.Table.from_pylist(list(rows), schema.with_metadata({"ufm": json.dumps(provenance())}))
    with atomic_file(folder / SHARDS / f"{name}.parquet", "wb") as file:
        parquet.write_table(table, file)


def read_rows(folder: Path, cells: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """The rows by cell, of these cells or of all.

    Raises:
        ValueError: if a file is not one of a scan.
    """
    rows: dict[str, dict[str, Any]] = {}
    for path in _files(folder):
        with _reading(path):
            found = parquet.read_table(path).to_pylist()
            rows |= {str(row["cell"]): row for row in found}
    wanted = rows.keys() if cells is None else cells
    return {cell: rows[cell] for cell in wanted if cell in rows}


def commits(folder: Path) -> list[str]:
    """The commits that made the rows.

    Raises:
        ValueError: if a file is not one of a scan.
    """
    found = set()
    for path in _files(folder):
        with _reading(path):
            found.add(str(json.loads(parquet.read_schema(path).metadata[b"ufm"])["commit"]))
    return sorted(found)


def _files(folder: Path) -> list[Path]:
    """The files that `write_shard` has named: others (macOS leaves `._NAME.parquet`, people copies) are not ours."""
    return sorted(path for path in (folder / SHARDS).glob("*.parquet") if _NAME.fullmatch(path.name))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        reason = reason_of(error)
        raise RequestError(
            f"{path} must be a file of a scan, but cannot be read ({reason}); delete it, and --resume computes its "
            "cells again."
        ) from None


def _type(column: str, rows: Sequence[dict[str, Any]]) -> pyarrow.DataType:
    """From the values; a column without any is one of numbers."""
    kinds = {type(row[column]) for row in rows if row[column] is not None}
    if list in kinds:
        return pyarrow.list_(pyarrow.int64())
    return _TYPES[kinds.pop() if len(kinds) == 1 else float]
