"""Somewhere a unit of work can be done: what a back end of the engine is, and the simplest one, this process."""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any

Ended = tuple[Hashable, Any, str | None]
"""A ticket with the result, or with the error (one of the two is None)."""


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
    except (Exception, SystemExit) as error:  # a loss of your own may ask for the end of the process
        where = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} ({where.filename}, line {where.lineno})"


def attempt_elsewhere(function: Callable[[Any], Any], unit: Any, threads: int) -> tuple[Any, str | None]:
    """The same in a process that a cluster has started: with as many threads of torch as cores were asked for."""
    from ufm.cli import process
    from ufm.cli.showing import forgiving_streams

    process.prepare()
    import torch

    torch.set_num_threads(threads)
    with forgiving_streams():
        return attempt(function, unit)
