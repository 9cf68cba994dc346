"""Keep freed memory in the process: on Linux the C library's allocator costs more than the arithmetic otherwise."""

import ctypes
import sys

_MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD = -4, -1, -2  # names and numbers of <malloc.h>


def keep_freed_memory() -> None:
    """Stop glibc from handing every large buffer back to the system; call before torch allocates.

    A training step or a batch of starts frees and asks for the same buffers again and again, and each time the kernel
    has to map and clear the pages. The same as MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1
    MALLOC_TOP_PAD_=268435456 in the environment. Other C libraries lack `mallopt` or ignore it; nothing is lost there.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_TOP_PAD, 2**28)
