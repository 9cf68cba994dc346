"""How this process asks the operating system for memory and how its threads wait; set before torch is imported."""

import ctypes
import os
import sys

_MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD = -4, -1, -2  # names and numbers of <malloc.h>


def prepare() -> None:
    """Keep freed memory, and let idle threads sleep; the user's own environment variables win.

    A training step or a batch of starts frees and asks for the same buffers again and again, and each time the C
    library would have the kernel map and clear the pages anew. And OpenMP's threads, which wait for each other at every
    operation, by default spin while they wait: as soon as another program uses one of the cores, they spin for the time
    slice of a thread that is not running.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it; other C libraries lack or ignore it
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_TOP_PAD, 2**28)
