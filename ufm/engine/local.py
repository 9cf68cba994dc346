"""Units of work in processes of this machine, each with single-threaded torch.

Workers end when the driver dies, in whatever way: each watches it.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from ufm.engine.pool import Ended, Pool, attempt_elsewhere


class ProcessPool(Pool):
    """A pool of processes; one that died is replaced."""

    def __init__(self, function: Callable[[Any], Any], workers: int) -> None:
        self._function = function
        self._idle = [_Worker(function) for _ in range(workers)]
        self._busy: dict[Connection, _Worker] = {}

    @property
    def room(self) -> int:
        """The number of idle workers."""
        return len(self._idle)

    def start(self, units: Sequence[Any]) -> Sequence[Hashable]:
        """Hand one unit to each idle worker; the ticket is the worker's connection."""
        tickets = []
        for unit in units:
            worker = self._idle.pop()
            worker.send(unit)
            self._busy[worker.connection] = worker
            tickets.append(worker.connection)
        return tickets

    def finished(self) -> Sequence[Ended]:
        """Wait for workers that have answered or died."""
        ended = []
        for connection in wait(list(self._busy)):
            worker = self._busy.pop(connection)  # type: ignore[call-overload]
            ended.append((connection, *worker.receive()))
            if not worker.is_alive:
                worker.stop()
                worker = _Worker(self._function)
            self._idle.append(worker)
        return ended

    def stop(self) -> None:
        """Kill all workers."""
        for worker in [*self._idle, *self._busy.values()]:
            worker.stop()


class _Worker:
    """A process and the connection to it."""

    def __init__(self, function: Callable[..., object]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, function), daemon=True)
        with _ctrl_c_later():
            self._process.start()
        theirs.close()  # so that the end of the process is the end of the connection
        self.is_alive = True

    def send(self, unit: object) -> None:
        with suppress(OSError):  # it has died: `receive` will say so
            self.connection.send(unit)

    def receive(self) -> tuple[Any, str | None]:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.is_alive = False
            self._process.join()
            return None, f"the worker died (exit code {self._process.exitcode})"

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Block Ctrl-C for a moment, which a process that begins here does for good: it is the driver's to handle."""
    resource_tracker.ensure_running()  # begins a process of its own, after which nothing would be blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection, function: Callable[..., object]) -> None:
    """The loop of a worker, until the driver closes the connection."""
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            connection.send(attempt_elsewhere(function, connection.recv(), threads=1))


def _end_with_the_driver() -> None:
    """End the worker with its driver: a unit may take hours, and nobody would wait for it."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)
