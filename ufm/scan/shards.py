"""The results of a scan: a folder of Parquet files, one per unit of work, each written atomically.

`FOLDER/setting.json` says what was asked; of a loss of your own its import path and a hash of its source, but no folder
decides which code runs: `--resume` takes the path from the command line. `FOLDER/shards/*.parquet` are the rows, each
file with the commit and the versions that made it in its metadata. Any reader of Parquet reads the folder `shards` as
it is. A file that cannot be read is named, with what to do; other files are left alone.
"""

import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from ufm.cli.common_setting import stored_setting
from ufm.cli.records import atomic_file, provenance, remove_half_written
from ufm.cli.resume import check_kept
from ufm.errors import RequestError, check, reason_of
from ufm.files import opened, parse_json, read_json
from ufm.import_string import is_ours
from ufm.model.own_loss import check_spec, is_own, source_of
from ufm.scan.setting import ScanSetting

SETTING, SHARDS = "setting.json", "shards"
_OF_THE_CALL = ("out", "json", "resume", "workers", "device", "engine", "explain")
LARGEST = 2**24
"""The most bytes of a file, and values in it: a thousand times those of 32 rows of some thirty columns."""
_NAME = re.compile(r"[0-9a-f]{16}\.parquet")
"""A unit's id (`ufm.scan.cells`)."""
_TYPES = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}


def write_setting(folder: Path, setting: ScanSetting) -> None:
    """Write the setting into the folder; a new grid is added to the earlier ones."""
    plain = _defining(setting)
    grids = asked_grids(folder) if (folder / SETTING).exists() else []
    if plain["grid"] not in grids:
        grids.append(plain["grid"])
    with atomic_file(folder / SETTING) as file:
        json.dump(plain | {"grids": grids, "source": source_of(setting.loss)}, file, indent=1)
    (folder / SHARDS).mkdir(exist_ok=True)
    remove_half_written(folder / SHARDS)


def asked_grids(folder: Path) -> list[dict[str, str]]:
    """All grids of this folder, in the order of the requests."""
    return list(read_json(folder / SETTING)["grids"])


def loss_again(setting: ScanSetting) -> str:
    """The options that must be given beside `--resume` if the loss is code of the user."""
    if not is_own(setting.loss) or is_ours(str(setting.loss["name"])):
        return ""
    words = [("loss" if key == "name" else f"loss.{key}", value) for key, value in setting.loss.items()]
    return "".join(f" --{key} {shlex.quote(str(value))}" for key, value in words)


def resumed_setting(setting: ScanSetting) -> ScanSetting:
    """The setting of the folder `setting.resume`, with this call's grid if it gives one.

    Raises:
        ValueError: if the folder is not a scan's, or is a scan of something else than what this call asks for.
    """
    folder = setting.resume
    assert folder is not None
    check(setting.out is None, "--out", setting.out, "left out with --resume (the scan goes on in its folder)")
    earlier, source = _stored(folder)
    again = loss_again(earlier)
    allowed = f"given with --resume, too, as{again}: a folder does not decide which code of yours runs"
    check(not again or "loss" in setting.given, "--loss", "nothing", allowed)
    for name in sorted(setting.given & _defining(setting).keys() - {"grid"}):
        there, here = getattr(earlier, name), getattr(setting, name)
        check_kept(there == here, name, here, there, f"in {folder}")
    if source not in ("", source_of(earlier.loss)):
        print(f"the source of {earlier.loss['name']} is not that of {folder}: all cells are new", file=sys.stderr)
    call = {name: getattr(setting, name) for name in _OF_THE_CALL}
    return dataclasses.replace(earlier, grid=setting.grid or earlier.grid, **call)


def _defining(setting: ScanSetting) -> dict[str, Any]:
    """The fields of a setting that define the rows."""
    return {name: value for name, value in setting.as_dict().items() if name not in _OF_THE_CALL}


def _stored(folder: Path) -> tuple[ScanSetting, str]:
    """The setting in a scan's folder, checked like one from the command line, and the hash of its loss's source."""
    try:
        stored = dict(read_json(folder / SETTING))
        grids, source = list(stored.pop("grids")), str(stored.pop("source", ""))
        settings = [stored_setting(ScanSetting, stored | {"grid": grid}) for grid in [*grids, stored["grid"]]]
        check_spec(settings[-1].loss)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).rstrip(".")
        raise RequestError(f"`--resume` must be the folder of a scan, got {folder} ({reason}).") from None
    return settings[-1], source


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
        with _reading(path) as file:
            rows |= {str(row["cell"]): row for row in file.read().to_pylist()}
    wanted = rows.keys() if cells is None else cells
    return {cell: rows[cell] for cell in wanted if cell in rows}


def commits(folder: Path) -> list[str]:
    """The commits that computed the rows.

    Raises:
        ValueError: if a file is not one of a scan.
    """
    found = set()
    for path in _files(folder):
        with _reading(path) as file:
            found.add(str(parse_json(file.schema_arrow.metadata[b"ufm"])["commit"]))
    return sorted(found)


def _files(folder: Path) -> list[Path]:
    """The files that `write_shard` has named: others (macOS leaves `._NAME.parquet`, people copies) are not ours."""
    return sorted(path for path in (folder / SHARDS).glob("*.parquet") if _NAME.fullmatch(path.name))


@contextmanager
def _reading(path: Path) -> Iterator[parquet.ParquetFile]:
    """One file of a scan, once it is known that what is in it fits into memory.

    Raises:
        ValueError: on whatever goes wrong with it.
    """
    try:
        with opened(path, LARGEST) as content, parquet.ParquetFile(content) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            values = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
            size = sum(group.total_byte_size for group in groups)
            if max(values, size) > LARGEST:
                raise ValueError(f"{values} values of {size} bytes, more than the {LARGEST} of such a file")
            yield file
    except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
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
