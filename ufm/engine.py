"""Map a function over units of work elsewhere: in processes on this machine, on a Ray cluster, in SLURM job arrays.

A unit must be done again without harm: a worker that dies, or a unit that raises, costs one of the unit's attempts. A
unit that has none left is handed back with its error, and the others go on. A back end is a `Pool`, one file each.
"""

import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ufm.engine_setting import EngineSetting

ATTEMPTS = 3

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Ended = tuple[Hashable, Any, str | None]
"""A ticket with the result, or with the error (one of the two is None)."""


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


class Pool(ABC):
    """Somewhere a unit can be worked on, once: trying again is not its business."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many more units it takes now; at least one when it has none."""

    @abstractmethod
    def start(self, units: Sequence[Any]) -> Sequence[Hashable]:
        """Take as many units as there is room for; one ticket each."""

    @abstractmethod
    def finished(self) -> Sequence[Ended]:
        """Wait until at least one has ended. What was handed out before is now safe with the caller."""

    @abstractmethod
    def stop(self) -> None:
        """End what is under way and leave nothing running."""


def map_units(
    function: Callable[[Unit], Result], units: Sequence[Unit], workers: int, engine: EngineSetting, folder: Path
) -> Outcomes[Unit, Result]:
    """The outcomes in the order in which they come.

    Args:
        function: at the top level of a module (it is sent to the workers by name).
        units: its arguments.
        workers: local engine: processes, each with single-threaded torch; 0 works in this process, which a crash then
            ends.
        engine: where the work is done.
        folder: where an engine may keep what it needs to find its work again.

    Raises:
        ValueError: if a cluster cannot be reached or refuses the work.
    """
    waiting = deque(_Attempt(unit) for unit in units)
    busy: dict[Hashable, _Attempt[Unit]] = {}
    pool = _pool(function, min(workers, len(units)), engine, folder)
    try:
        while waiting or busy:
            now = [waiting.popleft() for _ in range(min(len(waiting), pool.room))]
            busy |= zip(pool.start([attempt.unit for attempt in now]), now, strict=True)
            for ticket, result, error in pool.finished():
                attempt = busy.pop(ticket)
                attempt.failures += error is not None
                if error is None or attempt.failures >= ATTEMPTS:
                    yield Outcome(attempt.unit, result, error)
                else:
                    waiting.append(attempt)
    finally:
        pool.stop()


@dataclass
class _Attempt(Generic[Unit]):
    unit: Unit
    failures: int = 0


def _pool(function: Callable[[Any], Any], workers: int, engine: EngineSetting, folder: Path) -> Pool:
    """The back end, which imports what it needs."""
    if engine.name == "ray":
        from ufm.engine_ray import RayPool

        return RayPool(function, engine)
    if engine.name == "slurm":
        from ufm.engine_slurm import SlurmPool

        return SlurmPool(function, engine, folder / "slurm")
    if workers:
        from ufm.engine_local import ProcessPool

        return ProcessPool(function, workers)
    return ThisProcess(function)


class ThisProcess(Pool):
    """One unit after the other, here."""

    room = 1

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._unit: Any = None

    def start(self, units: Sequence[Any]) -> Sequence[Hashable]:
        """Keep it until somebody waits for it."""
        (self._unit,) = units
        return [0]

    def finished(self) -> Sequence[Ended]:
        """Do it."""
        return [(0, *attempt(self._function, self._unit))]

    def stop(self) -> None:
        """There is nobody to stop."""


def attempt(function: Callable[[Any], Any], unit: Any) -> tuple[Any, str | None]:
    """Result and error, one of which is None."""
    try:
        return function(unit), None
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})"


def attempt_elsewhere(function: Callable[[Any], Any], unit: Any, threads: int) -> tuple[Any, str | None]:
    """The same in a process that a cluster has started: with as many threads of torch as cores were asked for."""
    from ufm import process

    process.prepare()
    import torch

    torch.set_num_threads(threads)
    return attempt(function, unit)
