"""Every kind of critical point that a search finds, up to the model's symmetries: one row per orbit.

Half of the starts are normal, half have a random symmetry. The search runs at every feature dimension up to the largest
rank a critical point can have, where there are fewer variables (`ufm.orbit` says why that is enough), and at d itself.
Softmax losses are symmetric under O(d) and the permutations of classes, and of samples within classes. Squared error is
symmetric under all rotations of label space that keep its bias: its critical sets are Grassmannians, one row each.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ufm import morse
from ufm.atlas_rounds import Rounds, check_size, search_starts
from ufm.command_line import check
from ufm.end_points import EndPoints
from ufm.newton import find_critical_points
from ufm.orbit import Row, canonical, critical_set, embed, largest_rank, row_of
from ufm.problem import Problem
from ufm.symmetry import SAME, Copies, copies, distance, is_shift_invariant, labelled_logits, same_copy


@dataclass
class Atlas(Rounds[Row]):
    """What has been found so far.

    Attributes:
        problem: the model.
    """

    ROW = Row

    problem: Problem
    _copies: list[Copies] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        problem, allowed = self.problem, "equal class sizes for an atlas (every relabelling is a symmetry)"
        check(problem.is_balanced, "sizes", problem.sizes, allowed)
        check_size(problem, math.factorial(problem.K) * (problem.K * problem.n) ** 2)
        self._copies = [self._copies_of(row.x, row.columns) for row in self.rows]

    @property
    def dimensions(self) -> list[int]:
        """The feature dimensions that are searched: 1 to the largest rank, and d."""
        return sorted({*range(1, min(self.problem.d, largest_rank(self.problem)) + 1), self.problem.d})

    def unbalanced(self) -> list[int]:
        """Dimensions in which a Morse relation says that an orbit is missing (none while a row is degenerate)."""
        if any(row.is_degenerate for row in self.rows):
            return []
        verdicts = morse.check_all([critical_set(row) for row in self.rows], self.dimensions)
        return [verdict.dimension for verdict in verdicts if not verdict.holds]

    def search(
        self, d: int, first: int, count: int, max_steps: int, progress: Callable[[int], None] | None
    ) -> EndPoints:
        """Follow starts number `first`, ... in dimension d, and keep the critical points they end at."""
        small = dataclasses.replace(self.problem, d=d)
        starts = search_starts(small, self.seed, first, count, self.is_symmetric)
        ends = find_critical_points(small, starts, max_steps=max_steps, progress=progress)
        self.add(small, ends.x[ends.is_converged])
        return ends

    def add(self, small: Problem, x: Float[Tensor, "B P"]) -> None:
        """Match critical points of the model with `small.d` columns to rows; those that match none make new rows.

        Near a bifurcation a gradient of 1e-11 leaves a point too inexact to match: it is polished, and matched again.
        """
        for number in range(len(self.rows)):
            x = self._take(small, x, number)
        while len(x):
            rank, columns, polished = canonical(small, x[0])
            exact = dataclasses.replace(self.problem, d=columns)
            known = (i for i in range(len(self.rows)) if not len(self._take(exact, polished[None], i)))
            home = next(known, len(self.rows))
            if home == len(self.rows):
                self._copies.append(self._copies_of(polished, columns))
                self.rows.append(row_of(self.problem, polished, columns, rank, self._copies[-1]))
                self._take(exact, polished[None], home)
            x = self._take(small, x[1:], home)
        order = sorted(range(len(self.rows)), key=lambda i: self.rows[i].value)
        self.rows, self._copies = [self.rows[i] for i in order], [self._copies[i] for i in order]

    def separation(self) -> float:
        """Smallest difference between the logits of two rows, under any permutation (inf for a single row)."""
        pairs = [(i, j) for i in range(len(self.rows)) for j in range(i)]
        if is_shift_invariant(self.problem):
            return min(
                (distance(self._copies[i].logits[0], self._copies[j].logits) for i, j in pairs), default=math.inf
            )
        keys = [self._key(row.x[None], row.columns)[0] for row in self.rows]
        return min((float((keys[i] - keys[j]).abs().max()) for i, j in pairs), default=math.inf)

    def embedded(self, row: Row) -> Float[Tensor, " P"]:
        """The row's representative in all d columns."""
        return embed(dataclasses.replace(self.problem, d=row.columns), self.problem, row.x[None])[0]

    def _take(self, small: Problem, x: Tensor, number: int) -> Tensor:
        """Count the points that belong to a row and return the others."""
        if not len(x):
            return x
        row = self.rows[number]
        match = self._same_copy if is_shift_invariant(self.problem) else self._same_set
        copy, apart = match(small, x, number)
        here = copy >= 0
        row.count(copy[here], apart[here])
        return x[~here]

    def _same_copy(self, small: Problem, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Which labelled copy of the row each point is (-1: none); sorted logits decide who is compared at all."""
        own, logits = self._copies[number].logits, labelled_logits(small, x)
        scale = SAME * max(1.0, float(own.abs().max()))
        alike = (logits.flatten(1).sort(1).values - own[0].flatten().sort().values).abs().amax(1) <= scale
        copy, apart = torch.full((len(x),), -1), torch.full((len(x),), math.inf, dtype=x.dtype)
        if alike.any():
            copy[alike], apart[alike] = same_copy(logits[alike], own)
        return copy, apart

    def _same_set(self, small: Problem, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Whether each point is in the row's critical set (0) or not (-1), for squared error."""
        own = self._key(self.rows[number].x[None], self.rows[number].columns)
        apart = (self._key(x, small.d) - own).abs().amax(1)
        return torch.where(apart <= SAME * max(1.0, float(own.abs().max())), 0, -1), apart

    def _key(self, x: Tensor, columns: int) -> Tensor:
        """Invariants of squared error's symmetries: logits' singular values off 11'/K, means along it, bias off it."""
        small = dataclasses.replace(self.problem, d=columns)
        W, H, b = small.unpack(x)
        mean = W.mean(-2, keepdim=True) * small.has_bias
        singular = torch.linalg.svdvals(H @ (W - mean).mT)
        common, shift = (H @ mean.mT).mean((-2, -1)), b.mean(-1)
        return torch.cat([singular, torch.stack([common, shift, (b - shift[:, None]).norm(dim=-1)], -1)], -1)

    def _copies_of(self, x: Tensor, columns: int) -> Copies:
        small = dataclasses.replace(self.problem, d=columns)
        logits = labelled_logits(small, x)
        return copies(logits) if is_shift_invariant(small) else Copies(logits[None], 1, 1, 0.0, math.inf)
