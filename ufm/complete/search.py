"""The search of one rank: boxes until none is left, what is left in clusters, every cluster closed."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from ufm.complete.balls import Found, close
from ufm.complete.boxes.branch_and_bound import search
from ufm.complete.reduction import Reduced
from ufm.errors import check

NARROWEST = 1e-8
"""Boxes of this width that are not discarded are left to balls."""
NEAR = 1e-7
"""Boxes that are so close belong to one cluster."""
DEEPEST, MOST_KEPT = 4096, 4096
"""Boxes at work, which depth first are few; narrow boxes, of which there are many only where a Hessian degenerates."""
PARTS = ("stack", "guesses", "kept", "kept_guesses")


@dataclass
class Search:
    """How far the search of one rank is.

    Attributes:
        reduced: what is searched.
        stack, guesses, size: boxes at work (the first `size`), and a point in each.
        kept, kept_guesses, count: boxes that stay.
        looked_at: how many boxes were looked at.
    """

    reduced: Reduced
    stack: np.ndarray = field(init=False)
    guesses: np.ndarray = field(init=False)
    kept: np.ndarray = field(init=False)
    kept_guesses: np.ndarray = field(init=False)
    size: int = 1
    count: int = 0
    looked_at: int = 0

    def __post_init__(self) -> None:
        q, m = len(self.reduced.outer), self.reduced.size
        self.stack, self.guesses = np.zeros((DEEPEST, 2, q)), np.zeros((DEEPEST, m))
        self.kept, self.kept_guesses = np.zeros((MOST_KEPT, 2, q)), np.zeros((MOST_KEPT, m))
        self.stack[0] = self.reduced.start()

    @property
    def is_over(self) -> bool:
        """Whether no box is at work, or so many are at work or kept that there is no use in going on."""
        return self.size == 0 or self.count == MOST_KEPT or self.size + 2 >= DEEPEST

    def work(self, budget: int) -> None:
        """Look at so many further boxes."""
        reduced, limits = self.reduced, np.array([self.reduced.square, NARROWEST])
        work = self.stack, self.guesses, self.size, self.kept, self.kept_guesses, self.count
        fixed = reduced.outer, reduced.inner, reduced.parameters, reduced.domain, limits
        self.size, self.count, done = search(*work, *fixed, budget)
        self.looked_at += done

    def closed(self) -> tuple[list[Found], np.ndarray]:
        """The critical points proved in what is left, each once, and (boxes, 2, q) that are at work or not closed."""
        found: list[Found] = []
        left = [self.stack[: self.size]]
        for members in clusters(self.kept[: self.count]):
            kept = self.kept[members]
            point = close(self.reduced, np.array([kept[:, 0].min(0), kept[:, 1].max(0)]), self.kept_guesses[members[0]])
            if point is None:
                left.append(kept)
            elif not any(_is_same(known, point, self.reduced.outer) for known in found):
                found.append(point)
        return found, np.concatenate(left)

    def as_dict(self) -> dict[str, Any]:
        """For a record; `read_back` reads it."""
        ends = (self.size, self.size, self.count, self.count)
        parts = {name: getattr(self, name)[:end].tolist() for name, end in zip(PARTS, ends, strict=True)}
        return {"rank": self.reduced.r, "boxes": self.looked_at, **parts}

    def read_back(self, entry: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError: if it is not what a search of this problem writes.
        """
        for name in PARTS:
            whole, part = getattr(self, name), np.array(entry[name], dtype=np.float64)
            part = part.reshape(-1, *whole.shape[1:]) if part.size == 0 else part
            is_right = part.shape[1:] == whole.shape[1:] and len(part) <= len(whole) and bool(np.isfinite(part).all())
            check(is_right, f"completeness.{name}", f"shape {part.shape}", f"finite, of shape (*, {whole.shape[1:]})")
            whole[: len(part)] = part
        self.size, self.count, self.looked_at = len(entry["stack"]), len(entry["kept"]), int(entry["boxes"])


def clusters(kept: np.ndarray) -> list[list[int]]:
    """Numbers of the boxes (boxes, 2, q) that hang together."""
    if not len(kept):
        return []
    low, high = kept[:, 0] - NEAR, kept[:, 1] + NEAR
    touch = np.all((low[:, None] <= high[None]) & (low[None] <= high[:, None]), axis=2)
    count, of = connected_components(touch, directed=False)
    return [np.flatnonzero(of == number).tolist() for number in range(count)]


def _is_same(known: Found, point: Found, outer: np.ndarray) -> bool:
    """Whether the second point lies in the box in which the first is the only one."""
    o = point.x[outer]
    return bool(np.all((known.box[0] < o - 2 * point.radius) & (o + 2 * point.radius < known.box[1])))
