"""Work on chunks of starts on all CPU cores: one Python thread per core, each with single-threaded torch.

Small batched matrices gain little from torch's own threads, which wait for each other at every operation; threads over
chunks meet only at the end, and stay efficient when other programs share the machine. On an accelerator the chunks
simply follow each other.

Compiled loops are shared out in the same way, never by OpenMP: its threads are gone in a process that was forked, as
the workers of a data loader are, and the loops of a child would wait for them for ever (torch's own:
`ufm/cli/process.py`).
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores(device: torch.device) -> int:
    """The number of chunks that are worked on at the same time."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def room(device: torch.device, of_core: int, of_accelerator: int = 2**28) -> int:
    """The bytes that temporaries may take: on a CPU what fits a core's cache, elsewhere what fills an accelerator."""
    return of_core if device.type == "cpu" else of_accelerator


def local_workers(device: str, asked: int | None) -> int:
    """The number of worker processes: as asked for; by default one per CPU core, none for an accelerator."""
    kind = torch.device(device)
    return asked if asked is not None else cores(kind) if kind.type == "cpu" else 0


def map_chunks(function: Callable[[Item], Result], chunks: Iterable[Item], device: torch.device) -> list[Result]:
    """The function's result for every chunk, in order; nested calls run on the thread they are made from."""
    items = list(chunks)
    workers = min(len(items), cores(device))
    if workers <= 1:
        return [function(item) for item in items]
    with one_torch_thread():
        pool = ThreadPoolExecutor(workers)
        try:
            return list(pool.map(function, items))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # done, or interrupted: nobody waits for running chunks


def share_out(kernel: Callable[..., None], parts: int, *arguments: Any) -> None:
    """`kernel(*arguments, low, high)` for parts [low, high) that together are all, on as many threads as torch uses."""
    shares = max(1, min(parts, torch.get_num_threads()))
    bounds = [parts * i // shares for i in range(shares + 1)]
    own, *others = pairwise(bounds)
    pool = _threads(os.getpid(), shares - 1) if others else None
    pending = [pool.submit(kernel, *arguments, *share) for share in others] if pool else []
    kernel(*arguments, *own)
    for each in pending:
        each.result()


@cache
def _threads(process: int, count: int) -> ThreadPoolExecutor:
    """Kept, since starting threads takes as long as many a loop; a forked process has none of its parent's."""
    return ThreadPoolExecutor(count)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Single-threaded torch here and in new threads, which take over this setting when they first use it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
