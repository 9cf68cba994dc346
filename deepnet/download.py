"""Fetch one file with resume and a pinned hash.

`pooch` restarts at byte 0 when a connection breaks; a 170 MB archive over a bad line then never arrives.
"""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from ufm.command_line import RequestError, check

_CHUNK = 2**20


def fetch(url: str, path: Path, sha256: str, may_download: bool) -> Path:
    """Download `url` to `path`, continuing `path`.part where it stopped; a file that is already there is only checked.

    Raises:
        ValueError: if the file is not there and may not be downloaded, the server cannot be reached or breaks off (call
            again to continue), or the hash is another.
    """
    if not path.exists():
        holding = f"a folder that holds {path.name} (`--download true` fetches it from {url})"
        check(may_download, "--data-folder", path.parent, holding)
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            allowed = f"a folder that can be made ({error.strerror})"
            raise RequestError(f"`--data-folder` must be {allowed}, got {path.parent}.") from None
        try:
            _continue(url, part)
        except (OSError, http.client.HTTPException) as error:
            raise RequestError(
                f"`--data-folder` must hold the unpacked files, or {url} must be within reach, got {path.parent} "
                f"({error}); what has arrived is kept, the next try goes on from there."
            ) from None
        _check_hash(part, sha256)
        part.rename(path)
    else:
        _check_hash(path, sha256)
    return path


def _continue(url: str, part: Path) -> None:
    """Append what is missing to `part`; start over if the server cannot send from the middle."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # Nothing left to send: the part is complete, its hash will tell.
            return
        raise
    continues = response.status == 206
    missing = int(response.headers["Content-Length"])
    columns = ("[progress.description]{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with response, part.open("ab" if continues else "wb") as file, Progress(*columns) as progress:
        start = have if continues else 0
        task = progress.add_task(part.stem, total=start + missing, completed=start)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            progress.advance(task, len(chunk))
    if part.stat().st_size < start + missing:
        raise OSError(f"connection lost after {part.stat().st_size} of {start + missing} bytes")


def _check_hash(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise RequestError(f"{path} must have sha256 {sha256}, got {found}; delete it to download it again.")
