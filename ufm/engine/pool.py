"""The interface of a back end of the engine, and the simplest back end, this process."""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any

Ended = tuple[Hashable, Any, str | None]
"""A ticket, its result and its error, one of which is None."""


class Pool(ABC):
    """A back end, which works on each unit once; repeated attempts are made by `map_units`."""

    @property
    @abstractmethod
    def room(self) -> int:
        """The number of further units that it takes now; at least one when it has none."""

    @abstractmethod
    def start(self, units: Sequence[Any]) -> Sequence[Hashable]:
        """Start units, at most `room` of them; return one ticket each."""

    @abstractmethod
    def finished(self) -> Sequence[Ended]:
        """Wait until at least one unit has ended. The caller has stored the results of the calls before."""

    @abstractmethod
    def stop(self) -> None:
        """Stop all units; nothing is left running."""


class ThisProcess(Pool):
    """The back end that runs one unit after the other in this process."""

    room = 1

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._unit: Any = None

    def start(self, units: Sequence[Any]) -> Sequence[Hashable]:
        """Keep the unit until `finished` runs it."""
        (self._unit,) = units
        return [0]

    def finished(self) -> Sequence[Ended]:
        """Run the pending unit in this process."""
        return [(0, *attempt(self._function, self._unit))]

    def stop(self) -> None:
        """Nothing to stop."""


def attempt(function: Callable[[Any], Any], unit: Any) -> tuple[Any, str | None]:
    """Call the function; return result and error, one of which is None."""
    try:
        return function(unit), None
    except (Exception, SystemExit) as error:  # a loss of your own may ask for the end of the process
        where = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})"


def attempt_elsewhere(function: Callable[[Any], Any], unit: Any, threads: int) -> tuple[Any, str | None]:
    """`attempt` in a process of a cluster, with as many torch threads as the request has cores."""
    from ufm.cli import process
    from ufm.cli.showing import forgiving_streams

    process.prepare()
    import torch

    torch.set_num_threads(threads)
    with forgiving_streams():
        return attempt(function, unit)
