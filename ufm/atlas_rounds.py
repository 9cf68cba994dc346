"""The rounds of a search: how its starts ended, when it was quiet, and when it ends."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from ufm.end_points import Status

SCALES = torch.logspace(-0.5, 1.0, 16, dtype=torch.float64)
"""Standard deviations of the starts; from smaller ones nearly all fall to zero."""
KINDS = [kind for kind in Status if kind != Status.RUNNING]


@dataclass(kw_only=True)
class Rounds(ABC):
    """A search in rounds.

    Attributes:
        rounds: for every round how its starts ended, how many orbits were new, the orbits so far, and the seconds.
    """

    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def quiet_rounds(self) -> int:
        """Rounds since the last new orbit."""
        news = [index for index, entry in enumerate(self.rounds) if entry["new"]]
        return len(self.rounds) - 1 - news[-1] if news else len(self.rounds)

    @property
    def statuses(self) -> dict[str, int]:
        """How all starts ended."""
        return {kind.name: sum(entry["statuses"][kind.name] for entry in self.rounds) for kind in KINDS}

    @property
    def seconds(self) -> float:
        """Time of all rounds."""
        return sum(entry["seconds"] for entry in self.rounds)

    @abstractmethod
    def unbalanced(self) -> list[int]:
        """Dimensions in which a Morse relation says that an orbit is missing."""

    @abstractmethod
    def grow(
        self,
        starts: int,
        max_steps: int = 300,
        progress: Callable[[int], None] | None = None,
        dimensions: list[int] | None = None,
    ) -> int:
        """One more round of fresh starts, shared out over the dimensions (all by default); how many orbits are new."""


def rounds_until_complete(
    atlas: Rounds,
    starts: int,
    quiet_rounds: int,
    max_rounds: int,
    max_steps: int,
    progress: Callable[[int], None] | None = None,
) -> Iterator[int]:
    """Grow round by round, yielding the number of new orbits, until `quiet_rounds` in a row have added none.

    While a Morse relation then says that an orbit is missing, further rounds search the lowest dimension that it names.
    """
    quiet = 0
    for _ in range(max_rounds):
        missing = atlas.unbalanced() if quiet >= quiet_rounds else []
        if quiet >= quiet_rounds and not missing:
            return
        new = atlas.grow(starts, max_steps, progress, missing[:1])
        quiet = 0 if new else quiet + 1
        yield new
