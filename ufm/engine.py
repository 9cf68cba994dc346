"""Map a function over units of work in other processes, each on its own core.

A unit must be done again without harm: a worker that dies, or a unit that raises, costs one of the unit's attempts. A
unit that has none left is handed back with its error, and the others go on. Workers end by themselves when the driver
dies, at the latest after the unit they work on.
"""

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

ATTEMPTS = 3

Unit = TypeVar("Unit")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Unit, Result]):
    """A unit that is done.

    Attributes:
        result: what the function returned; None if it failed `ATTEMPTS` times.
        error: why it failed the last time; None if it did not.
    """

    unit: Unit
    result: Result | None
    error: str | None = None


Outcomes = Generator[Outcome[Unit, Result], None, None]


def map_units(function: Callable[[Unit], Result], units: Sequence[Unit], workers: int) -> Outcomes[Unit, Result]:
    """The outcomes in the order in which they come.

    Args:
        function: at the top level of a module (it is sent to the workers by name).
        units: its arguments.
        workers: processes, each with single-threaded torch; 0 works in this process, which a crash then ends.
    """
    return _spread(function, units, min(workers, len(units))) if workers else _one_by_one(function, units)


@dataclass
class _Attempt(Generic[Unit]):
    unit: Unit
    failures: int = 0


def _one_by_one(function: Callable[[Unit], Result], units: Sequence[Unit]) -> Outcomes[Unit, Result]:
    for unit in units:
        for _ in range(ATTEMPTS):
            result, error = _attempt(function, unit)
            if error is None:
                break
        yield Outcome(unit, result, error)


def _attempt(function: Callable[[Unit], Result], unit: Unit) -> tuple[Result | None, str | None]:
    try:
        return function(unit), None
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})"


def _spread(function: Callable[[Unit], Result], units: Sequence[Unit], workers: int) -> Outcomes[Unit, Result]:
    waiting = deque(_Attempt(unit) for unit in units)
    busy: dict[Connection, tuple[_Worker, _Attempt[Unit]]] = {}
    idle = [_Worker(function) for _ in range(workers)]
    try:
        while waiting or busy:
            while waiting and idle:
                worker, attempt = idle.pop(), waiting.popleft()
                worker.send(attempt.unit)
                busy[worker.connection] = worker, attempt
            for connection in wait(list(busy)):
                worker, attempt = busy.pop(connection)  # type: ignore[call-overload]
                result, error = worker.receive()
                if not worker.is_alive:
                    worker.stop()
                    worker = _Worker(function)
                idle.append(worker)
                attempt.failures += error is not None
                if error is None or attempt.failures >= ATTEMPTS:
                    yield Outcome(attempt.unit, result, error)
                else:
                    waiting.append(attempt)
    finally:
        for worker in [*idle, *(worker for worker, _ in busy.values())]:
            worker.stop()


class _Worker:
    """A process and the connection to it."""

    def __init__(self, function: Callable[..., object]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, function), daemon=True)
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


def _work(connection: Connection, function: Callable[..., object]) -> None:
    """What a worker does until the driver hangs up."""
    from ufm import process

    process.prepare()
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    with suppress(EOFError, OSError):
        while True:
            connection.send(_attempt(function, connection.recv()))
