"""The file `geometry.jsonl` of a run: class means, rows of W and spreads at every measured epoch, to be played.

It is written before the epoch's line of metrics (`deepnet/training/checkpoint.py` on the order), so that no epoch is
without; what a kill or a full disk leaves beyond the checkpoint, be it part of a line, is cut off by a resumed run.
"""

import json
import math
import os
from contextlib import closing
from pathlib import Path
from typing import Any

from deepnet.measures.geometry import Simplex
from ufm.cli.records import atomic_file, named_in_errors
from ufm.errors import RequestError
from ufm.files import LARGEST_LINES, opened, parse_json, read_lines

FILE = "geometry.jsonl"
MOST_SHOWN = 24
"""Epochs in a record; more than that are thinned out evenly, the last one stays."""


def append(folder: Path, epoch: int, shape: Simplex) -> None:
    """Add an epoch; one whose features are not finite is left out."""
    line = {"epoch": epoch, **shape}
    if not _is_finite(list(line.values())):
        return
    with named_in_errors(folder / FILE), (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> list[dict[str, Any]]:
    """The epochs that a record has; none for a run of an earlier version.

    Raises:
        ValueError: if a line is damaged.
    """
    lines = _lines(folder)
    kept = {round(i * (len(lines) - 1) / (MOST_SHOWN - 1)) for i in range(MOST_SHOWN)} if lines else set()
    return [lines[i] for i in sorted(kept)]


def cut(folder: Path, epochs: int) -> None:
    """Remove what belongs to epochs that the checkpoint does not know.

    Raises:
        ValueError: as `read`.
    """
    path = folder / FILE
    if not path.exists():
        path.unlink(missing_ok=True)  # a link that leads nowhere: what is added would lie outside of the folder
        return
    lines = _lines(folder)
    with atomic_file(path) as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines if line["epoch"] <= epochs)


def _lines(folder: Path) -> list[dict[str, Any]]:
    """Every line but one that has no end."""
    path = folder / FILE
    if not path.exists():
        return []
    try:
        with closing(read_lines(path)) as lines:
            texts = list(lines)
        return [_shape(text) for text in texts[: None if _has_end(path) else -1]]
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(f"{path} must hold one JSON object a line, an epoch's geometry ({error}).") from None


def _has_end(path: Path) -> bool:
    with opened(path, LARGEST_LINES) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        return file.read() == b"\n"


def _shape(text: bytes) -> dict[str, Any]:
    line = dict(parse_json(text))
    lacking = [name for name in ("epoch", *Simplex.__annotations__) if name not in line]
    if lacking or type(line["epoch"]) is not int or not _is_finite(list(line.values())):
        raise ValueError(f"no {lacking[0]}" if lacking else "a value that is no number")
    return line


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return type(value) in (int, float) and math.isfinite(value)
