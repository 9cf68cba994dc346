"""Comparison of landscapes: atlases row by row, by rank, index, copies and which classes are apart.

Only c = sqrt(n decay_W decay_H), the bias decay, the loss and K matter (and d, through the index alone): W -> t W,
H -> H / t is linear, so it changes no index, and carries the decays to decay_W t^2, decay_H / t^2. For losses that are
convex in the logits n is in c as well, because the features of a class collapse at every critical point: h_i solves a
strictly convex problem that does not depend on i.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Kind = tuple[int, int, int, str]
"""Rank, Morse index, labelled copies, which classes are apart."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of two atlases.

    Attributes:
        shared: kinds in both, as often as in both.
        only_first, only_second: kinds that one has and the other has not, or has more often.
        has_same_order: whether sorting by value gives the same sequence of kinds.
    """

    shared: list[Kind]
    only_first: list[Kind]
    only_second: list[Kind]
    has_same_order: bool

    @property
    def is_isomorphic(self) -> bool:
        """Whether every row has its partner."""
        return not self.only_first and not self.only_second


def kind_of(row: dict[str, Any]) -> Kind:
    """The features of a row by which it is compared."""
    return row["rank"], row["index"], row["copies"], row["apart"]


def compare(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> Comparison:
    """Compare the rows of two atlases, each by rising value."""
    one, other = [kind_of(row) for row in first], [kind_of(row) for row in second]
    a, b = Counter(one), Counter(other)
    return Comparison(sorted((a & b).elements()), sorted((a - b).elements()), sorted((b - a).elements()), one == other)


def text_of(kind: Kind) -> str:
    """A kind as text, such as `rank 1, index 4, 3 copies, ab|c`."""
    rank, index, copies, apart = kind
    return f"rank {rank}, index {index}, {copies} {'copy' if copies == 1 else 'copies'}, {apart}"
