"""Locking of output folders: one process at a time; half-written files of a killed process are removed first."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ufm.cli.records import commit, new_folder, remove_half_written
from ufm.errors import RequestError, check


@contextmanager
def output_folder(path: Path | None, name: str, continues: str | None = None) -> Iterator[Path]:
    """Hold the folder that a command writes into: a new one, or one that has the file `continues`.

    Raises:
        ValueError: as `new_folder` and `claimed`.
    """
    is_new = path is None or continues is None or not (path / continues).exists()
    place = path or Path("results")
    made = [each for each in (place, *place.parents) if not each.exists()]
    folder = new_folder(path, name) if is_new or path is None else path
    made += [folder] if path is None else []
    with claimed(folder, "--out"):  # as long as another process may write into it, it is not ours to remove
        try:
            if is_new:
                new_folder(folder, name)  # another process may have been there until now
            yield folder
        finally:
            for each in sorted(made, reverse=True):  # what lies in it first
                with suppress(OSError):
                    each.rmdir()  # only if it is empty


@contextmanager
def claimed(folder: Path, argument: str) -> Iterator[Path]:
    """Hold a folder and remove half-written files; the lock ends with the process, however that ends.

    What records will say of the commit is looked up now, before the work.

    Raises:
        ValueError: if another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        is_alone = _locked(handle) and folder.exists() and os.path.samestat(os.fstat(handle), folder.stat())
        check(is_alone, argument, folder, "a folder in which no other process works")
        remove_half_written(folder)
        commit()
        yield folder
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Whether this process has the lock; true if the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@contextmanager
def given_back_if_refused(folder: Path, is_new: bool, results: str) -> Iterator[None]:
    """Empty a new folder again when an engine refuses the request, unless it holds `results` (a glob) by then."""
    try:
        yield
    except RequestError:
        if is_new and not any(folder.glob(results)):
            for each in folder.iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()
        raise
