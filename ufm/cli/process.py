"""Settings of this process, made before torch is imported: memory, waiting threads, forks, interrupts."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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


@contextmanager
def interruptible() -> Iterator[None]:
    """Make every error that follows a Ctrl-C a KeyboardInterrupt.

    One that strikes while a library is being imported may come out of it as another error. One that strikes within a
    callback of numba's compiler would be swallowed there, so it strikes again a moment later.
    """
    is_interrupted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        if _is_in_the_compiler(frame):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            signal.default_int_handler(number, frame)

    former = signal.getsignal(signal.SIGINT)
    is_ours = threading.current_thread() is threading.main_thread() and callable(former)
    if is_ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield
    except Exception as error:
        if is_interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, former)


def _is_in_the_compiler(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.endswith("llvmlite/binding/executionengine.py"):
            return True
        frame = frame.f_back
    return False


def _use_one_thread() -> None:
    """In a forked process torch's threads are gone, and its next parallel region would wait for them for ever."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
