"""Map a function over units of work elsewhere: in processes on this machine, on a Ray cluster, in SLURM job arrays.

A unit must be done again without harm: a worker that dies, or a unit that raises, costs one of the unit's attempts. A
unit that has none left is handed back with its error, and the others go on. A back end is a `ufm.engine.pool.Pool`.
"""

from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ufm.engine.pool import Pool, ThisProcess
from ufm.engine.setting import EngineSetting

ATTEMPTS = 3

Unit = TypeVar("Unit")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Unit, Result]):
    """The outcome of a unit: a result, or an error.

    Attributes:
        result: what the function returned; None if it failed `ATTEMPTS` times.
        error: why it failed the last time; None if it did not.
    """

    unit: Unit
    result: Result | None
    error: str | None = None


Outcomes = Generator[Outcome[Unit, Result], None, None]


def map_units(
    function: Callable[[Unit], Result], units: Sequence[Unit], workers: int, engine: EngineSetting, folder: Path
) -> Outcomes[Unit, Result]:
    """Yield the outcomes of the units as they are finished.

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


def check_reachable(engine: EngineSetting) -> None:
    """Refuse a cluster that does not answer before anything is written.

    Raises:
        ValueError: if there is no cluster at the address.
    """
    if engine.name == "ray" and engine.address is not None:
        from ufm.engine.ray import connect

        connect(engine).shutdown()


@dataclass
class _Attempt(Generic[Unit]):
    unit: Unit
    failures: int = 0


def _pool(function: Callable[[Any], Any], workers: int, engine: EngineSetting, folder: Path) -> Pool:
    """The pool of the back end, whose package is imported now."""
    if engine.name == "ray":
        from ufm.engine.ray import RayPool

        return RayPool(function, engine)
    if engine.name == "slurm":
        from ufm.engine.slurm import SlurmPool

        return SlurmPool(function, engine, folder / "slurm")
    if workers:
        from ufm.engine.local import ProcessPool

        return ProcessPool(function, workers)
    return ThisProcess(function)
