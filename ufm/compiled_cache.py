"""What numba keeps of compiled loops is a help and no more: where it is damaged or unwritable, loops are compiled."""

import glob
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

NOTICE = "compiling loops for this machine: once, for some seconds; the next run has them"


class ForgivingCache:
    """numba's cache of one function (`numba.core.caching.FunctionCache`), of which no failure comes out.

    An index of another version of the source, or one that is damaged, goes together with the code it points to: numba
    leaves that behind and writes an index before its code, so that a full disk or a kill between the two would have the
    next run take old code for new.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """The compiled code; None if there is none."""
        with suppress(Exception):  # whatever a cut or foreign pickle raises
            if self._cache._cache_file._load_index():
                return self._cache.load_overload(*arguments)
        self._forget()
        announce()
        return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep compiled code, if that works."""
        try:
            self._cache.save_overload(*arguments)
        except Exception:  # a full disk, another user's folder
            self._forget()

    def _forget(self) -> None:
        with suppress(Exception):
            own = glob.escape(self._cache._impl.filename_base)
            for path in Path(self._cache.cache_path).glob(f"{own}.*"):
                path.unlink(missing_ok=True)


@cache
def announce() -> None:
    """Tell a user who waits at a terminal, the first time."""
    if sys.stderr.isatty():
        print(NOTICE, file=sys.stderr, flush=True)
