"""What all atlases share: rows that rounds of starts find, how those ended, when the search is quiet, when it ends."""

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.command_line import check
from ufm.critical_orbit import CriticalOrbit
from ufm.end_points import EndPoints, Status
from ufm.model import Model
from ufm.settings.checks import check_memory
from ufm.starts import normal_starts
from ufm.symmetric_starts import symmetrised

SCALES = torch.logspace(-0.5, 1.0, 16, dtype=torch.float64)
"""Standard deviations of the starts; from smaller ones nearly all fall to zero."""
KINDS = [kind for kind in Status if kind != Status.RUNNING]


MOST_CLASSES = 8
"""All K! permutations of the classes are enumerated."""

Row = TypeVar("Row", bound=CriticalOrbit)


@dataclass(kw_only=True)
class Rounds(ABC, Generic[Row]):
    """A search in rounds.

    Attributes:
        seed: of the starts.
        is_symmetric: whether every other start has a random symmetry.
        rows: the orbits, by rising value.
        rounds: for every round how its starts ended, how many orbits were new, the orbits so far, and the seconds.
    """

    ROW: ClassVar[type[Any]]
    """The kind of row."""

    seed: int = 0
    is_symmetric: bool = True
    rows: list[Row] = field(default_factory=list)
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

    @property
    @abstractmethod
    def dimensions(self) -> list[int]:
        """The feature dimensions that are searched."""

    @abstractmethod
    def separation(self) -> float:
        """Smallest difference between two rows under any relabelling (inf for a single row)."""

    @abstractmethod
    def search(
        self, d: int, first: int, count: int, max_steps: int, progress: Callable[[int], None] | None
    ) -> EndPoints:
        """Follow starts number `first`, ... in dimension d, and keep the critical points they end at."""

    def grow(
        self,
        starts: int,
        max_steps: int = 300,
        progress: Callable[[int], None] | None = None,
        dimensions: list[int] | None = None,
    ) -> int:
        """One more round of fresh starts, shared out over the dimensions (all by default); how many orbits are new."""
        began = time.perf_counter()
        before, counts = len(self.rows), dict.fromkeys((kind.name for kind in KINDS), 0)
        searched = dimensions or self.dimensions
        share = math.ceil(starts / len(searched))
        for d in searched:
            first = sum(entry["starts"].get(str(d), 0) for entry in self.rounds)
            ends = self.search(d, first, share, max_steps, progress)
            for kind in KINDS:
                counts[kind.name] += int((ends.status == kind).sum())
        new, shares, seconds = len(self.rows) - before, {str(d): share for d in searched}, time.perf_counter() - began
        entry = {"starts": shares, "statuses": counts, "new": new, "orbits": len(self.rows), "seconds": seconds}
        self.rounds.append(entry)
        return new

    def entry(self, row: Row) -> dict[str, Any]:
        """A row for a record."""
        return row.as_dict()

    def as_result(self) -> dict[str, Any]:
        """The atlas for a record; `read_back` reads it."""
        names = ("rounds", "statuses", "seconds", "dimensions", "quiet_rounds")
        known = {name: getattr(self, name) for name in names}
        return {"rows": [self.entry(row) for row in self.rows], "separation": self.separation(), **known}

    def read_back(self, result: dict[str, Any]) -> Self:
        """The atlas that `as_result` has written, of the same model and starts as this empty one."""
        rows = [self.ROW.from_dict(entry) for entry in result["rows"]]
        return dataclasses.replace(self, rows=rows, rounds=result["rounds"])


def check_size(model: Model, images: int) -> None:
    """Refuse what the machine cannot hold, before any work: a start at work needs 8 dense Hessians.

    Args:
        model: the model.
        images: numbers in all K! images of the logits, which a comparison holds three times.

    Raises:
        ValueError: if there are too many classes, or half of the memory is not enough.
    """
    check(model.K <= MOST_CLASSES, "--classes", model.K, f"at most {MOST_CLASSES} for an atlas (K! relabellings)")
    check_memory("--dim", model.d, 8 * 8 * model.size**2)
    check_memory("--per-class", model.n, 3 * 8 * images)


def search_starts(model: Model, seed: int, first: int, count: int, is_symmetric: bool) -> Float[Tensor, "S P"]:
    """Normal starts of all scales; every other one is given a symmetry if `is_symmetric`."""
    scale = SCALES[torch.arange(first, first + count) // 2 % len(SCALES)]
    points = normal_starts(model.size, seed, first, count) * scale[:, None]
    generator = torch.Generator().manual_seed((seed + 1) * 1_000_003 + first)
    if is_symmetric:
        points[1::2] = symmetrised(model, points[1::2], generator)
    return points


def rounds_until_complete(
    atlas: Rounds[Any],
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
