"""Download of one file, with resume and a pinned hash, also while other processes download it.

`pooch` restarts at byte 0 when a connection breaks; a 170 MB archive over a bad line then never arrives.
"""

import fcntl
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from ufm.cli.records import pass_on_if_full
from ufm.errors import RequestError, check
from ufm.files import opened

_CHUNK = 2**20
LARGEST = 2**30
"""The most bytes of a file, several times those of any data set here."""


def fetch(url: str, path: Path, sha256: str, may_download: bool) -> Path:
    """Download `url` to `path`, resuming `path`.part; a file that exists already is only checked.

    One process at a time writes; others wait, then find the file or go on with what the first has left.

    Raises:
        ValueError: if the file is not there and may not be downloaded, the server cannot be reached or breaks off (call
            again to continue), or the hash is another.
        OSError: if the disk is full (call again to continue).
    """
    if not path.exists():
        holding = f"a folder that holds {path.name} (`--download true` fetches it from {url})"
        check(may_download, "--data-folder", path.parent, holding)
        part = path.with_name(path.name + ".part")
        with _alone(part) as file:
            if path.exists():  # another process has fetched it meanwhile
                part.unlink()
            else:
                _complete(url, file, part, sha256)
                os.replace(part, path)
    found = _sha256(path)
    if found != sha256:
        raise RequestError(f"{path} must have sha256 {sha256}, got {found}; delete it to download it again.")
    return path


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """Open `part` for appending, once no other process has it.

    Raises:
        ValueError: if it cannot be made.
    """
    while True:
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            file = part.open("ab")
        except OSError as error:
            pass_on_if_full(error)
            allowed = f"a folder that can be made and written ({error.strerror})"
            raise RequestError(f"`--data-folder` must be {allowed}, got {part.parent}.") from None
        with file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                yield file
                return  # else whoever had it has given it its final name: look again


def _complete(url: str, file: BinaryIO, part: Path, sha256: str) -> None:
    """Download what `part` lacks; if it then is not the file, an earlier call left part of another one: all of it."""
    is_new = _size(file) == 0
    _continue(url, file, part)
    if not is_new and _sha256(part) != sha256:
        file.truncate(0)
        _continue(url, file, part)
    found = _sha256(part)
    if found != sha256:
        raise RequestError(f"{url} must have sha256 {sha256}, got {found} ({_size(file)} bytes have arrived).")


def _continue(url: str, file: BinaryIO, part: Path) -> None:
    try:
        _append(url, file, part.stem)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, OSError):
            pass_on_if_full(error)
        reason = " ".join(str(error).split())
        raise RequestError(
            f"`--data-folder` must hold the unpacked files, or {url} must be within reach, got {part.parent} "
            f"({reason}); what has arrived is kept, the next try goes on from there."
        ) from None


def _append(url: str, file: BinaryIO, name: str) -> None:
    """Append what is missing to the file, which is cut to where the server is ready to begin."""
    have = _size(file)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # Nothing left to send: the part is complete, its hash will tell.
            return
        raise
    columns = ("[progress.description]{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with response, Progress(*columns) as progress:
        begin = _first_byte(response, have)
        file.truncate(begin)
        total = None if response.length is None else begin + response.length  # a chunked response has no length
        task = progress.add_task(name, total=total, completed=begin)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            progress.advance(task, len(chunk))
    file.flush()
    os.fsync(file.fileno())
    if total is not None and _size(file) < total:
        raise OSError(f"connection lost after {_size(file)} of {total} bytes")


def _first_byte(response: http.client.HTTPResponse, asked: int) -> int:
    """The byte of the file at which a response begins: the one asked for, an earlier one, or 0."""
    if response.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    first = int(found[1]) if found else asked
    if first > asked:
        raise OSError(f"it sends what follows byte {first}, asked for what follows byte {asked}")
    return first


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _sha256(path: Path) -> str:
    try:
        with opened(path, LARGEST) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"{path} must be a file that can be read ({error.strerror or error}).") from None
