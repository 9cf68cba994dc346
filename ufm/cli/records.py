"""Records of commands: setting, result, commit and versions, written atomically."""

import contextlib
import errno
import functools
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from ufm import start
from ufm.errors import RequestError, check
from ufm.files import read_json

SCHEMA = 1
PACKAGES = ("torch", "numpy", "scipy")
HALF_WRITTEN = ".*.part"
"""The names of files that `atomic_file` has not finished, which a killed process leaves behind."""


def remove_half_written(folder: Path) -> None:
    """Remove the unfinished files of a killed process from a folder that no other process writes into."""
    for left in folder.glob(HALF_WRITTEN):
        left.unlink(missing_ok=True)


def new_folder(path: Path | None, name: str) -> Path:
    """Make the folder a command writes into: `path`, or `results/<name>-<time>` when none is given.

    Raises:
        ValueError: if the folder exists and is not empty, or cannot be made.
        OSError: if the disk is full.
    """
    folder = path or Path("results") / f"{name}-{datetime.now():%Y%m%d-%H%M%S-%f}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = next((found for found in folder.iterdir() if not found.match(HALF_WRITTEN)), None)
        tempfile.TemporaryFile(dir=folder).close()  # may it be written?
    except OSError as error:
        pass_on_if_full(error)
        raise RequestError(f"`--out` must be a folder that can be made and written, got {folder} ({error}).") from None
    if occupied is not None:
        raise RequestError(f"`--out` must be a new or empty folder, got {folder} (it holds {occupied.name}).")
    return folder


def check_new_file(path: Path | None, argument: str) -> None:
    """Refuse a path that exists, be it a link that leads nowhere, or whose folder does not, before any work is done.

    Raises:
        ValueError: if `path` exists or its parent folder does not.
        OSError: if the disk is full.
    """
    if path is None:
        return
    check(not os.path.lexists(path), argument, path, "a file that does not exist yet")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        pass_on_if_full(error)
        raise RequestError(f"`{argument}` must be in a folder that can be written, got {path} ({error}).") from None


def pass_on_if_full(error: OSError) -> None:
    """Raise the error again if a disk is full or a file too large, as the request is not at fault."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise error


@contextlib.contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Name the file in an error that says no more than that a disk is full or a file too large."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary neighbour of `path` that takes its place once written and synced; on error nothing is left.

    Text is UTF-8.
    """
    prefix = f".{path.name[:40]}."  # with all of a long name it would be too long
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".part")
    try:
        with named_in_errors(path), os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_record(path: Path, setting: Mapping[str, Any], result: Mapping[str, Any]) -> Path:
    """Write one record as JSON (nan and infinities become null) and return its path."""
    record = {
        "schema": SCHEMA,
        "command": shlex.join(["python", "-m", _program(), *sys.argv[1:]]),
        **provenance(),
        "setting": setting,
        "result": result,
    }
    with atomic_file(path) as file:
        json.dump(plain(record), file, indent=1, allow_nan=False)
        file.write("\n")
    return path


def says(path: Path, setting: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether the file is a record with exactly this setting and result."""
    try:
        record = read_record(path)
    except RequestError:  # none, or one that was damaged
        return False
    return record["setting"] == plain(setting) and record["result"] == plain(result)


def provenance() -> dict[str, Any]:
    """The provenance of a result: time, commit, machine and versions."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


@functools.cache
def commit() -> str | None:
    """The commit of the checkout this package is part of, marked `+changes` when the work tree differed; None outside.

    Looked up once, so that a long run names what it began with. A package that lies in another repository (installed
    in a project's `.venv`, copied into its folders) is not that repository's commit, whatever the environment says.
    """
    root = Path(__file__).resolve().parents[2]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != root:
            return None
        git("ls-files", "--error-unmatch", str(Path(__file__).resolve().relative_to(root)))
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def read_record(path: Path) -> dict[str, Any]:
    """Read and check a record.

    Raises:
        ValueError: if the file is missing, is not a record or has another schema.
    """
    try:
        record = dict(read_json(path))
        schema = record["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"{path} must be a record written by this project ({type(error).__name__}: {error})."
        ) from None
    if schema != SCHEMA:
        raise RequestError(f"{path} must be a record of schema {SCHEMA}, got {schema}.")
    for part in ("setting", "result"):
        check(isinstance(record.get(part), dict), str(path), f"{part} = {record.get(part)}", f"a record with a {part}")
    return record


def _program() -> str:
    """The package or module that was asked to run, as in `python -m tests.benchmarks`, also by an installed program."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    path = Path(sys.argv[0])
    return spec.name.removesuffix(".__main__") if spec else start.PROGRAMS.get(path.stem, path.parent.name)


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def plain(value: Any) -> Any:
    """Nested dicts and lists of JSON values; tensors and arrays become lists, non-finite numbers null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
