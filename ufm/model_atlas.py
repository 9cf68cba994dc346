"""The atlas of any model: spheres, hidden layers, unequal classes, several labels. One row per orbit found by sampling.

As for the plain model (`ufm.atlas`), half of the starts are normal and half have a random symmetry; half of the normal
ones descend first. Every feature dimension up to K is searched besides d: with columns of zeros added, a critical point
stays critical. Points are one orbit when a relabelling that the model has carries the logits of one to the other's; for
squared error, when the invariants of its rotations of label space agree. Singular values of W have to agree as well
(with hidden layers logits can be too small to be told from zero), on spheres those of W and H together (logits may not
determine the vectors).

Critical points need not be isolated up to these symmetries: on spheres, equal classifier rows leave features free. Such
degenerate points are one row per objective, a set without a number of copies, whose index may vary.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ufm import label_rotations, model_relations
from ufm.atlas_rounds import Rounds, check_size, search_starts
from ufm.command_line import check
from ufm.deep import DeepProblem
from ufm.end_points import EndPoints
from ufm.factors import widened, with_dimension
from ufm.losses import SquaredError
from ufm.minimise import minimise
from ufm.model import Model
from ufm.model_row import SAME_VALUE, ModelRow, geometry, kind_of, row_of, spanning_values
from ufm.newton import find_critical_points
from ufm.orbit import polished
from ufm.relabelling import Copies, Relabellings, copies, same_copy
from ufm.symmetry import SAME

DESCENT = 100
"""Steps down that every fourth start takes first: minima can have small basins in the search for critical points."""


@dataclass
class ModelAtlas(Rounds[ModelRow]):
    """What has been found so far.

    Attributes:
        model: the model.
    """

    ROW = ModelRow

    model: Model
    _copies: list[Copies] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        model = self.model
        is_rectified = isinstance(model, DeepProblem) and model.is_rectified
        check(not is_rectified, "--model.relu", True, "false for an atlas (at a ReLU's kinks there is no Hessian)")
        check_size(model, math.factorial(model.K) * model.K * model.N)
        self._relabellings = Relabellings.of(self.model)
        self._copies = [self._copies_of(row.x) for row in self.rows]

    @property
    def dimensions(self) -> list[int]:
        """The feature dimensions that are searched: 1 to K, and d."""
        return sorted({*range(1, min(self.model.d, self.model.K) + 1), self.model.d})

    def unbalanced(self) -> list[int]:
        """Dimensions in which a Morse relation says that an orbit is missing (none where there are no relations)."""
        return [v.dimension for v in model_relations.verdicts(self.model, self.rows, self.dimensions) if not v.holds]

    def search(
        self, d: int, first: int, count: int, max_steps: int, progress: Callable[[int], None] | None
    ) -> EndPoints:
        """Follow starts number `first`, ... in dimension d, every fourth downhill at first, and keep where they end."""
        small = with_dimension(self.model, d)
        starts = search_starts(small, self.seed, first, count, self.is_symmetric)
        starts[::4] = minimise(small.value_and_gradient, starts[::4], max_steps=DESCENT).x
        ends = find_critical_points(small, starts, max_steps=max_steps, progress=progress)
        if ends.is_converged.any():
            self.add(widened(small, self.model, ends.x[ends.is_converged]))
        return ends

    def add(self, x: Float[Tensor, "B P"]) -> None:
        """Match critical points to rows; those that match none make new rows."""
        x = self.model.normalised(x)
        for number in range(len(self.rows)):
            x = self._take(x, number)
        if len(x):
            is_degenerate = kind_of(self.model, x).is_degenerate
            self._add_degenerate(x[is_degenerate])
            x = x[~is_degenerate]
        while len(x):
            exact = self.model.normalised(polished(self.model, x[:1]))
            known = (i for i in range(len(self.rows)) if not len(self._take(exact, i)))
            if next(known, None) is None:
                self._add_row(exact)
            x = x[1:]
            for number in range(len(self.rows)):
                x = self._take(x, number)
        order = sorted(range(len(self.rows)), key=lambda i: self.rows[i].value)
        self.rows, self._copies = [self.rows[i] for i in order], [self._copies[i] for i in order]

    def separation(self) -> float:
        """Smallest difference between two rows that are no degenerate sets, under any relabelling (inf without)."""
        rows = [i for i, row in enumerate(self.rows) if not row.is_degenerate]
        pairs = [(self._distance(self.rows[i].x[None], j)[0]) for i in rows for j in rows if j < i]
        return min((float(apart) for apart in pairs), default=math.inf)

    def entry(self, row: ModelRow) -> dict[str, Any]:
        """A row for a record, with its geometry."""
        return super().entry(row) | {"geometry": geometry(self.model, row.x)}

    def _add_row(self, x: Float[Tensor, "1 P"]) -> None:
        row = row_of(self.model, x[0], self._copies_of(x[0]), self._relabellings)
        if row.is_degenerate:
            self._add_degenerate(x)
            return
        self.rows.append(row)
        self._copies.append(self._copies_of(x[0]))
        self._take(x, len(self.rows) - 1)

    def _add_degenerate(self, x: Float[Tensor, "B P"]) -> None:
        """One row per objective."""
        if not len(x):
            return
        kind = kind_of(self.model, x)
        for point, value, index in zip(x, kind.value.tolist(), kind.index, strict=True):
            scale = SAME_VALUE * max(1.0, abs(value))
            home = next((row for row in self.rows if row.is_degenerate and abs(row.value - value) <= scale), None)
            if home is None:
                labelled = self._copies_of(point)
                home = row_of(self.model, point, labelled, self._relabellings)
                self.rows.append(home)
                self._copies.append(labelled)
            home.found += 1
            home.copies_found.add(0)
            home.indices.add(index)
            home.farthest = max(home.farthest, abs(home.value - value))

    def _take(self, x: Tensor, number: int) -> Tensor:
        """Count the points that belong to a row that is no degenerate set and return the others."""
        row = self.rows[number]
        if not len(x) or row.is_degenerate:
            return x
        apart, copy = self._distance(x, number), self._copy(x, number)
        here = copy >= 0
        row.count(copy[here], apart[here])
        return x[~here]

    def _copy(self, x: Tensor, number: int) -> Tensor:
        """Which labelled copy of the row each point is, -1 for none."""
        own = self._fingerprint(self.rows[number].x[None])
        scale = SAME * max(1.0, float(own.abs().max()))
        alike = (self._fingerprint(x) - own).abs().amax(1) <= scale
        copy = torch.where(alike, 0, -1)
        if alike.any() and not label_rotations.has_label_rotations(self.model):
            ordered = self._relabellings.ordered(self._logits(x[alike]))
            copy[alike] = same_copy(ordered, self._copies[number].logits)[0]
        return copy

    def _distance(self, x: Tensor, number: int) -> Tensor:
        """Largest difference of logits to the nearest copy, or of the invariants of squared error."""
        if label_rotations.has_label_rotations(self.model):
            return (self._fingerprint(x) - self._fingerprint(self.rows[number].x[None])).abs().amax(1)
        return same_copy(self._relabellings.ordered(self._logits(x)), self._copies[number].logits)[1]

    def _fingerprint(self, x: Float[Tensor, "B P"]) -> Tensor:
        """What no symmetry changes."""
        if label_rotations.has_label_rotations(self.model):
            logits = label_rotations.key(self.model, x)
        else:
            logits = self._logits(x).flatten(1).sort(1).values
        return torch.cat([logits, spanning_values(self.model, x)], 1)

    def _logits(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """Without the constant that a softmax loss does not see."""
        logits = self.model.logits(x)
        return logits if isinstance(self.model.loss, SquaredError) else logits - logits.mean(-1, keepdim=True)

    def _copies_of(self, x: Float[Tensor, " P"]) -> Copies:
        return copies(self._relabellings, self._logits(x))
