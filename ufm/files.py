"""Files from elsewhere: only regular ones are opened, and nothing is read before its size is known.

A pipe would be waited for and `/dev/zero` read without end. Of JSON, a number of 400 digits is no float, and lists of a
thousand levels exhaust the stack of whatever walks through them.
"""

import json
import os
import pickle
import stat
import warnings
import zipfile
from collections.abc import Generator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

LARGEST_JSON, MOST_PARTS = 2**28, 2**22
"""Bytes of a record, that of a scan of half a million cells, and lists and objects in it."""
LONGEST_LINE, LARGEST_LINES = 2**16, 2**30
"""Bytes of a line, and of a file of lines."""
DEEPEST, DIGITS = 20, 300
"""Levels of nesting, and digits of a whole number, which a float can hold."""
BEFORE_ZIP = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file begins that `torch.save` wrote before torch 1.6, or was asked to write as then: it has no checksums."""


def opened(path: Path, largest: int) -> BufferedReader:
    """Open a regular file of at most so many bytes, where a link leads to one, too.

    Raises:
        OSError: if it cannot be opened, is a pipe, a device or the like, or larger.
    """
    file = open(path, "rb", opener=_regular)  # noqa: SIM115  # the caller closes it
    size = os.fstat(file.fileno()).st_size
    if size > largest:
        file.close()
        raise OSError(f"{size} bytes, more than the {largest} that such a file may have")
    return file


def content(path: Path, largest: int) -> bytes:
    """All bytes of a regular file.

    Raises:
        OSError: as `opened`, and if there is more in it than its size says.
    """
    with opened(path, largest) as file:
        size = os.fstat(file.fileno()).st_size
        found = file.read(size + 1)
    if len(found) > size:
        raise OSError(f"more than the {size} bytes that it says it has")
    return found


def check_sums(file: BinaryIO) -> None:
    """Compare a checkpoint's content with its checksums, which `torch.load` ignores; its parts are not packed.

    Raises:
        ValueError: if a part is damaged, they unpack to more than the file has, or it has none.
    """
    if file.read(len(BEFORE_ZIP)) == BEFORE_ZIP:
        again = "torch.save(torch.load(FILE, weights_only=True), FILE) of a later torch writes it as it is read here"
        raise ValueError(f"it is in the format of torch before 1.6: {again}")
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        size = sum(part.file_size for part in archive.infolist())
        if size > os.fstat(file.fileno()).st_size:
            raise ValueError(f"it would unpack to {size} bytes")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its part {damaged} is damaged")
    file.seek(0)


def load_tensors(file: BinaryIO) -> Any:
    """What `torch.save` wrote, on the CPU, if it holds nothing but tensors and plain values.

    Raises:
        ValueError, BadZipFile: as `check_sums`.
        UnpicklingError: if there is code or another object in it.
    """
    import torch

    check_sums(file)
    with zipfile.ZipFile(file) as archive:
        is_script = any(part.filename.endswith("/constants.pkl") for part in archive.infolist())
    if is_script:
        raise pickle.UnpicklingError("a program of TorchScript")
    file.seek(0)
    with warnings.catch_warnings(action="ignore"):  # of kinds of tensors that are refused later
        return torch.load(file, map_location="cpu", weights_only=True)


def read_json(path: Path) -> Any:
    """The JSON value in a file.

    Raises:
        OSError: as `content`.
        ValueError: as `parse_json`.
    """
    return parse_json(content(path, LARGEST_JSON))


def read_lines(path: Path) -> Generator[bytes, None, None]:
    """The lines of a file, one after the other, without their ends.

    Raises:
        OSError: as `opened`, and if a line is longer than a line may be.
    """
    with opened(path, LARGEST_LINES) as file:
        while line := file.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise OSError(f"a line of more than {LONGEST_LINE} bytes")
            yield line.removesuffix(b"\n")


def parse_json(text: bytes) -> Any:
    """A JSON value all of whose numbers are finite floats or whole numbers that a float can hold.

    Raises:
        ValueError: if it is not JSON in UTF-8, or is nested too deeply, or a number is too large or none.
    """
    if text.count(b"[") + text.count(b"{") > MOST_PARTS:  # each takes fifty times the bytes it is written in
        raise ValueError(f"more than {MOST_PARTS} lists and objects")
    try:
        value = json.loads(text.decode(), parse_int=whole_number, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels") from None
    if b"\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()  # half a character, which cannot be printed, is refused here
    level, depth = [value], 0
    while level := [entry for each in level for entry in _parts(each)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels")
    return value


def whole_number(text: str) -> int:
    """The number that is written there.

    Raises:
        ValueError: if it has more digits than a float can hold.
    """
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text)} digits, more than {DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError(f"a number that is not finite, {text[:30]}")
    return value


def _parts(value: Any) -> list[Any]:
    """The lists and objects in a list or object."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in inner if isinstance(each, dict | list)]


def _regular(name: str, flags: int) -> int:
    """Looked at before it is opened, which alone can set a device to work; and again, whatever has been put there."""
    _check_regular(os.stat(name))
    handle = os.open(name, flags | os.O_NONBLOCK)
    try:
        _check_regular(os.fstat(handle))
    except OSError:
        os.close(handle)
        raise
    return handle


def _check_regular(status: os.stat_result) -> None:
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):  # of a folder, `open` says so itself
        raise OSError("a pipe, a device or the like, no regular file")
