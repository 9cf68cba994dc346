"""What numba keeps of compiled loops is a help and no more: where it is damaged or unwritable, loops are compiled."""

import glob
import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

NOTICE = "compiling loops for this machine: once, for some seconds; the next run has them"


class ForgivingCache:
    """numba's cache of one function (`numba.core.caching.FunctionCache`), of which no failure comes out.

    An index of another version of the source, or one that is damaged, goes together with the code it points to: numba
    leaves that behind and writes an index before its code, so that a full disk or a kill between the two would have the
    next run take old code for new. numba's own stamp is of one file; here it is of every file whose functions are
    compiled in.
    """

    def __init__(self, cache: Any, function: Callable[..., Any]) -> None:
        self._cache, self._function = cache, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """The compiled code; None if there is none."""
        with suppress(Exception):  # whatever a cut or foreign pickle raises
            self._cache._cache_file._source_stamp = stamp(self._function)
            if self._cache._cache_file._load_index():
                return self._cache.load_overload(*arguments)
        self._forget()
        announce()
        return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep compiled code, if that works."""
        try:
            self._cache._cache_file._source_stamp = stamp(self._function)
            self._cache.save_overload(*arguments)
        except Exception:  # a full disk, another user's folder
            self._forget()

    def _forget(self) -> None:
        with suppress(Exception):
            own = glob.escape(self._cache._impl.filename_base)
            for path in Path(self._cache.cache_path).glob(f"{own}.*"):
                path.unlink(missing_ok=True)


def stamp(function: Callable[..., Any]) -> list[tuple[str, str]]:
    """The files of a function and of all functions that it calls by a global name, each with a hash of its content."""
    found: set[FunctionType] = set()
    waiting: list[Any] = [function]
    while waiting:
        each = waiting.pop()
        each = getattr(each, "py_func", each)
        if isinstance(each, FunctionType) and each not in found:
            found.add(each)
            waiting += [each.__globals__.get(name) for name in each.__code__.co_names]
    paths = sorted({Path(each.__code__.co_filename) for each in found})
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


@cache
def announce() -> None:
    """Tell a user who waits at a terminal, the first time."""
    if sys.stderr.isatty():
        print(NOTICE, file=sys.stderr, flush=True)
