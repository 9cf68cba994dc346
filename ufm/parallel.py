"""Work on chunks of starts on all CPU cores: one Python thread per core, each with single-threaded torch.

Small batched matrices gain little from torch's own threads, which wait for each other at every operation; threads over
chunks meet only at the end, and stay efficient when other programs share the machine. On an accelerator the chunks
simply follow each other.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores(device: torch.device) -> int:
    """How many chunks are worked on at the same time."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def local_workers(device: str, asked: int | None) -> int:
    """Processes for units of work: as many as asked for; by default one per CPU core, none for an accelerator."""
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


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Single-threaded torch here and in new threads, which take over this setting when they first use it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
