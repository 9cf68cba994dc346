"""What every atlas keeps of one orbit of critical points: a row, its plain values for a record, and back."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(kw_only=True)
class CriticalOrbit:
    """One orbit of critical points.

    Attributes:
        x: a representative, flat.
        value: objective.
        rank: of W.
        index: Morse index in all d columns, from the dense spectrum.
        nullity: zero eigenvalues there.
        expected_nullity: dimension of the critical set that the symmetries explain.
        class_copies, sample_copies: labelled copies; 1 for squared error, where they are a continuum.
        smallest_eigenvalue, curvature, direction_is: the steepest negative curvature, and the one along the direction
            given: `rank one` is the theory's construction, `eigenvector` that of the smallest eigenvalue.
        direction: that direction in all d columns, flat.
        gradient_norm: at x.
        spread, gap: largest difference of two logits of the pattern that are equal, smallest of two that are not.
        found: converged starts that ended here.
        copies_found: which of the class copies they ended at, by number.
        farthest: largest difference of logits between a start that ended here and this row.
    """

    x: Float[Tensor, " P"]
    value: float
    rank: int
    index: int
    nullity: int
    expected_nullity: int
    class_copies: int
    sample_copies: int
    smallest_eigenvalue: float
    curvature: float
    direction_is: str
    direction: Float[Tensor, " Q"]
    gradient_norm: float
    spread: float
    gap: float
    found: int = 0
    copies_found: set[int] = field(default_factory=set)
    farthest: float = 0.0

    @property
    def copies(self) -> int:
        """Labelled copies in all."""
        return self.class_copies * self.sample_copies

    @property
    def is_degenerate(self) -> bool:
        """Whether the Hessian has other zero eigenvalues than the symmetries explain."""
        return self.nullity != self.expected_nullity

    def count(self, copy: Int[Tensor, " B"], apart: Float[Tensor, " B"]) -> None:
        """Note starts that ended here: at which copy each, and how far from it."""
        self.found += len(copy)
        self.copies_found |= set(copy.tolist())
        self.farthest = max([self.farthest, *apart.tolist()])

    def as_dict(self) -> dict[str, Any]:
        """The row for a record."""
        entry = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        derived = {"copies": self.copies, "is_degenerate": self.is_degenerate}
        return entry | derived | {"copies_found": sorted(self.copies_found)}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Self:
        """The row that `as_dict` has written.

        Raises:
            KeyError: if a field is missing.
        """
        kept = {each.name: entry[each.name] for each in dataclasses.fields(cls)}
        kept |= {name: torch.tensor(entry[name], dtype=torch.float64) for name in ("x", "direction")}
        kept |= {"copies_found": set(entry["copies_found"]), "gap": math.inf if entry["gap"] is None else entry["gap"]}
        return cls(**kept)
