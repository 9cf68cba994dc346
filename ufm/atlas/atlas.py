"""Every kind of critical point that a search finds, up to the model's symmetries: one orbit per row.

Half of the starts are normal, half have a random symmetry. Every feature dimension up to the largest rank a critical
point can have is searched, where there are fewer variables, and d itself: with columns of zeros added, a critical point
stays critical (`ufm.atlas.orbit`). Points are one orbit when a relabelling that the model has carries the logits of one
to the other's; for squared error, which is symmetric under rotations of label space, when the invariants of these
agree. Where logits do not determine a point, singular values have to agree as well: with hidden layers logits can be
too small to be told from zero, on spheres they say nothing of the vectors' span.

Critical points need not be isolated up to these symmetries: on spheres, equal classifier rows leave features free. Such
degenerate points are one row per objective, a set without a number of copies, whose index may vary.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.atlas import label_rotations
from ufm.atlas.canonical import Canonical, canonical, largest_rank, ranks
from ufm.atlas.morse import Verdict, check_all
from ufm.atlas.orbit import Orbit, expected_nullity, geometry, orbit_of
from ufm.atlas.relabelling import Copies, Relabellings, copies, same_copy
from ufm.atlas.search import ENDINGS, check_size, search_starts
from ufm.errors import check
from ufm.model.factors import widened, with_dimension
from ufm.model.loss_claims import is_class_symmetric
from ufm.model.model import Model
from ufm.solve.critical_points import classify
from ufm.solve.end_points import EndPoints
from ufm.solve.minimise import minimise
from ufm.solve.newton import find_critical_points
from ufm.tolerances import SAME_LOGITS, SAME_ORBIT_VALUE

DESCENT = 100
"""Descent steps that every fourth start takes first, except in the balanced model, with no minimum of small basin."""


@dataclass
class Atlas:
    """The orbits of critical points found so far.

    Attributes:
        model: the model.
        seed: of the starts.
        is_symmetric: whether every other start has a random symmetry.
        rows: the orbits, by rising value.
        rounds: for every round how its starts ended, how many orbits were new, the orbits so far, and the seconds.
    """

    model: Model
    seed: int = field(default=0, kw_only=True)
    is_symmetric: bool = field(default=True, kw_only=True)
    rows: list[Orbit] = field(default_factory=list, kw_only=True)
    rounds: list[dict[str, Any]] = field(default_factory=list, kw_only=True)
    _copies: list[Copies] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        allowed = "false for an atlas (at a ReLU's kinks there is no Hessian)"
        check(not self.model.is_rectified, "--model.relu", True, allowed)
        check_size(self.model)
        loss, allowed = self.model.loss, "class-symmetric for an atlas, which takes relabelled points for one"
        check(is_class_symmetric(loss, self.model.K), "--loss", loss, allowed)
        self._relabellings = Relabellings.of(self.model)
        self._copies = [self._copies_of(self._small(row), row.x) for row in self.rows]

    @property
    def dimensions(self) -> list[int]:
        """The feature dimensions that are searched: 1 to the largest rank, and d."""
        return sorted({*range(1, min(self.model.d, largest_rank(self.model)) + 1), self.model.d})

    @property
    def quiet_rounds(self) -> int:
        """The number of rounds since the last new orbit."""
        news = [index for index, entry in enumerate(self.rounds) if entry["new"]]
        return len(self.rounds) - 1 - news[-1] if news else len(self.rounds)

    @property
    def statuses(self) -> dict[str, int]:
        """The number of starts per status."""
        return {ending.name: sum(entry["statuses"][ending.name] for entry in self.rounds) for ending in ENDINGS}

    @property
    def seconds(self) -> float:
        """The seconds that all rounds took."""
        return sum(entry["seconds"] for entry in self.rounds)

    @property
    def why_no_relations(self) -> str | None:
        """The reason why no Morse relation is checked, or None if they are (`ufm.atlas.morse`)."""
        if self.model.why_no_morse_relation:
            return self.model.why_no_morse_relation
        if self.model.rotates_labels and not self.model.is_balanced:
            return "for squared error with unequal classes no relation is derived here"
        return "a row is degenerate" if any(row.is_degenerate for row in self.rows) else None

    def relations(self) -> list[Verdict]:
        """The verdicts on the Morse relations in every dimension; empty where none are derived."""
        if self.why_no_relations is not None:
            return []
        return check_all([row.critical_set for row in self.rows], self.dimensions)

    def unbalanced(self) -> list[int]:
        """Dimensions in which a Morse relation says that an orbit is missing."""
        return [verdict.dimension for verdict in self.relations() if not verdict.holds]

    def grow(
        self,
        starts: int,
        max_steps: int = 300,
        progress: Callable[[int], None] | None = None,
        dimensions: list[int] | None = None,
    ) -> int:
        """Search from a round of fresh starts in these dimensions (default: all); return the number of new orbits."""
        began = time.perf_counter()
        before, counts = len(self.rows), dict.fromkeys((ending.name for ending in ENDINGS), 0)
        searched = dimensions or self.dimensions
        share = math.ceil(starts / len(searched))
        for d in searched:
            first = sum(entry["starts"].get(str(d), 0) for entry in self.rounds)
            end = self.search(d, first, share, max_steps, progress)
            for ending in ENDINGS:
                counts[ending.name] += int((end.status == ending).sum())
        new, shares, seconds = len(self.rows) - before, {str(d): share for d in searched}, time.perf_counter() - began
        entry = {"starts": shares, "statuses": counts, "new": new, "orbits": len(self.rows), "seconds": seconds}
        self.rounds.append(entry)
        return new

    def search(
        self, d: int, first: int, count: int, max_steps: int, progress: Callable[[int], None] | None
    ) -> EndPoints:
        """Search from the starts number `first`, ... in dimension d, and keep the critical points found."""
        small = with_dimension(self.model, d)
        starts = search_starts(small, self.seed, first, count, self.is_symmetric)
        if not (self.model.has_columns and self.model.is_balanced):
            starts[::4] = minimise(small, starts[::4], max_steps=DESCENT).x
        end = find_critical_points(small, starts, max_steps=max_steps, progress=progress)
        self.add(small, end.x[end.is_converged])
        return end

    def add(self, small: Model, x: Float[Tensor, "B P"]) -> None:
        """Match critical points of the model with `small.d` columns to orbits; others start new ones.

        Near a bifurcation a gradient of 1e-11 leaves a point too inexact to match: it is polished, and matched again.
        """
        if len(x) and not self.model.has_columns:
            x, small = self.model.normalised(widened(small, self.model, x)), self.model
        for number in range(len(self.rows)):
            x = self._take(small, x, number)
        if len(x) and not self.model.has_columns:
            x = self._without_degenerate(x)
        while len(x):
            point = canonical(small, x[0])
            known = (i for i in range(len(self.rows)) if not len(self._take(point.model, point.x[None], i)))
            if next(known, None) is None:
                self._add_orbit(point)
            x = x[1:]
            for number in range(len(self.rows)):
                x = self._take(small, x, number)
        order = sorted(range(len(self.rows)), key=lambda i: self.rows[i].value)
        self.rows, self._copies = [self.rows[i] for i in order], [self._copies[i] for i in order]

    def separation(self) -> float:
        """The least difference of two rows' logits under any relabelling, without degenerate sets; inf if none."""
        numbers = [i for i, row in enumerate(self.rows) if not self._is_degenerate_set(row)]
        pairs = [(self.rows[i], j) for i in numbers for j in numbers if j < i]
        return min((float(self._distance(self._small(row), row.x[None], j)[0]) for row, j in pairs), default=math.inf)

    def embedded(self, row: Orbit) -> Float[Tensor, " P"]:
        """The representative of a row, in all d columns."""
        return widened(self._small(row), self.model, row.x[None])[0]

    def number_of(self, x: Float[Tensor, " P"]) -> int | None:
        """The row that a critical point in all d columns belongs to, by its number; None if it is in no row."""
        point = canonical(self.model, self.model.normalised(x[None])[0])
        numbers = [i for i, row in enumerate(self.rows) if not self._is_degenerate_set(row)]
        return next((i for i in numbers if int(self._copy(point.model, point.x[None], i)[0]) >= 0), None)

    def as_result(self) -> dict[str, Any]:
        """The atlas for a record; `read_back` reads it."""
        names = ("rounds", "statuses", "seconds", "dimensions", "quiet_rounds")
        known = {name: getattr(self, name) for name in names}
        return {"rows": [self._entry(row) for row in self.rows], "separation": self.separation(), **known}

    def read_back(self, result: dict[str, Any]) -> "Atlas":
        """The atlas that `as_result` has written, of the same model and starts as this empty one."""
        rows = [Orbit.from_dict(entry) for entry in result["rows"]]
        return dataclasses.replace(self, rows=rows, rounds=result["rounds"])

    def _entry(self, row: Orbit) -> dict[str, Any]:
        """A row for a record; with its geometry where the sizes in the setting do not tell the shapes of `x`."""
        is_plain = self.model.has_columns and self.model.is_balanced
        return row.as_dict() | ({} if is_plain else {"geometry": geometry(self.model, self.embedded(row))})

    def _small(self, row: Orbit) -> Model:
        return with_dimension(self.model, row.columns)

    def _add_orbit(self, point: Canonical) -> None:
        labelled = self._copies_of(point.model, point.x)
        row = orbit_of(self.model, point, labelled, self._relabellings)
        if self._is_degenerate_set(row):
            self._count_degenerate(point.x, row.value, row.index)
            return
        self.rows.append(row)
        self._copies.append(labelled)
        self._take(point.model, point.x[None], len(self.rows) - 1)

    def _without_degenerate(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "b P"]:
        """Count the points that have zero eigenvalues which no symmetry explains, and return the others."""
        found, rank = classify(self.model, x), ranks(self.model, x)
        nullity = (found.nullity - self.model.redundant).tolist()
        expected = [expected_nullity(self.model, r, point) for r, point in zip(rank, x, strict=True)]
        is_degenerate = torch.tensor(nullity) != torch.tensor(expected)
        for i in is_degenerate.nonzero()[:, 0].tolist():
            self._count_degenerate(x[i], float(found.value[i]), int(found.morse_index[i]))
        return x[~is_degenerate]

    def _count_degenerate(self, x: Float[Tensor, " P"], value: float, index: int) -> None:
        """One row per objective."""
        scale = SAME_ORBIT_VALUE * max(1.0, abs(value))
        degenerate = (row for row in self.rows if self._is_degenerate_set(row))
        home = next((row for row in degenerate if abs(row.value - value) <= scale), None)
        if home is None:
            labelled = self._copies_of(self.model, x)
            point = Canonical(self.model, x, ranks(self.model, x[None])[0])
            home = orbit_of(self.model, point, labelled, self._relabellings)
            self.rows.append(home)
            self._copies.append(labelled)
        home.count(torch.zeros(1, dtype=torch.int64), torch.tensor([abs(home.value - value)]))
        home.indices.add(index)

    def _is_degenerate_set(self, row: Orbit) -> bool:
        return row.is_set and row.is_degenerate

    def _take(self, small: Model, x: Tensor, number: int) -> Tensor:
        """Count the points that belong to a row that is no degenerate set and return the others."""
        row = self.rows[number]
        if not len(x) or self._is_degenerate_set(row):
            return x
        copy, apart = self._copy(small, x, number)
        here = copy >= 0
        row.count(copy[here], apart[here])
        return x[~here]

    def _copy(self, small: Model, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Which labelled copy of the row each point is (-1: none), and how far; fingerprints decide who is compared."""
        row = self.rows[number]
        own, theirs = self._fingerprint(self._small(row), row.x[None]), self._fingerprint(small, x)
        apart = (theirs - own).abs().amax(1)
        alike = apart <= SAME_LOGITS * max(1.0, float(own.abs().max()))
        copy = torch.where(alike, 0, -1)
        if alike.any() and not self.model.rotates_labels:
            ordered = self._relabellings.ordered(self._logits(small, x[alike]))
            copy[alike], apart[alike] = same_copy(ordered, self._copies[number].logits)
        return copy, apart

    def _distance(self, small: Model, x: Tensor, number: int) -> Tensor:
        """The distance of each point's logits from a row's, under any relabelling."""
        if self.model.rotates_labels:
            row = self.rows[number]
            own = self._fingerprint(self._small(row), row.x[None])
            return (self._fingerprint(small, x) - own).abs().amax(1)
        return same_copy(self._relabellings.ordered(self._logits(small, x)), self._copies[number].logits)[1]

    def _fingerprint(self, small: Model, x: Float[Tensor, "B P"]) -> Tensor:
        """Numbers that no symmetry changes."""
        is_of_logits = not self.model.rotates_labels
        known = self._logits(small, x).flatten(1).sort(1).values if is_of_logits else label_rotations.key(small, x)
        return known if small.has_columns else torch.cat([known, torch.linalg.svdvals(small.spanning(x))], 1)

    def _logits(self, small: Model, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """The logits, less their mean over classes for a loss that is invariant to it."""
        logits = small.logits(x)
        return logits - logits.mean(-1, keepdim=True) * self.model.is_shift_invariant

    def _copies_of(self, small: Model, x: Float[Tensor, " P"]) -> Copies:
        return copies(self._relabellings, self._logits(small, x))
