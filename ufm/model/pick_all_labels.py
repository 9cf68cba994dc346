"""Several labels per sample: pick-all-labels cross entropy (Li et al. 2024, multi-label collapse).

A label is a set S of classes, and its sample's loss is the sum of the cross entropies of its members,

    sum_{k in S} -log p_k = m log sum_j exp z_j - sum_{k in S} z_k ,    m = |S| .

The minimum is in `ufm/theory/multi_label_prediction.py`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ufm.arguments import check_fields, each, integer, takes
from ufm.errors import check
from ufm.labels import Labels
from ufm.model.loss import LogitOperator, Logits, Loss, PerSample, checked_labels
from ufm.model.losses import negative_entropy


@dataclass(frozen=True)
class PickAllLabels(Loss):
    """The sum of the cross entropies of a sample's classes; label i stands for the set `sets[i]`.

    Raises:
        ValueError: if a set is empty or lists a class twice.
    """

    sets: tuple[tuple[int, ...], ...]

    is_convex = True
    is_shift_invariant = True
    has_unit_gradient = True

    def __post_init__(self) -> None:
        check_fields(self, sets=each(each(integer(0), 1), 1))
        for chosen in self.sets:
            check(len({*chosen}) == len(chosen) > 0, "PickAllLabels(sets=...)", chosen, "sets of different classes")

    def label_sets(self, K: int) -> tuple[tuple[int, ...], ...]:
        """The classes of each label: `sets`."""
        return self.sets

    def label_count(self, K: int) -> int:
        """The number of different labels, one per set."""
        return len(self.sets)

    def is_right(self, logits: Float[Tensor, "n K"], labels: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether the |S| largest logits of each sample are those of its set S."""
        inside = self.indicators(labels, logits).bool()
        worst_in = logits.masked_fill(~inside, math.inf).amin(-1)
        return worst_in > logits.masked_fill(inside, -math.inf).amax(-1)

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """m log sum_j exp z_j - sum_{k in S} z_k."""
        chosen = self.indicators(labels, logits)
        return chosen.sum(-1) * logits.logsumexp(-1) - (chosen * logits).sum(-1)

    def value_and_gradient(self, logits: Logits, labels: Labels) -> tuple[PerSample, Logits]:
        """The loss and m p - 1_S."""
        chosen = self.indicators(labels, logits)
        m = chosen.sum(-1)
        value = m * logits.logsumexp(-1) - (chosen * logits).sum(-1)
        return value, m[:, None] * logits.softmax(-1) - chosen

    def hessian(self, logits: Logits, labels: Labels) -> LogitOperator:
        """v -> m (diag p - p p') v."""
        m, p = self.indicators(labels, logits).sum(-1), logits.softmax(-1)
        return lambda v: m[:, None] * p * (v - (p * v).sum(-1, keepdim=True))

    def conjugate(self, dual: Logits, labels: Labels) -> PerSample:
        """m times the negative entropy of (dual + 1_S) / m where that is a distribution."""
        chosen = self.indicators(labels, dual)
        m = chosen.sum(-1)
        p = (dual + chosen) / m[:, None]
        return m * negative_entropy(p)

    def indicators(self, labels: Labels, like: Tensor) -> Tensor:
        """The indicator 1_S of every sample's set, (N, K), with the dtype and K of the logits `like`.

        Raises:
            ValueError: on labels that are not one set per sample, or a set that lists a class beyond K.
        """
        labels = checked_labels(labels, like, len(self.sets))
        return indicators(self.sets, like.shape[-1], like.dtype, like.device)[labels]


@takes(K=integer(2), multiplicity=each(integer(0)))
def all_sets(K: int, multiplicity: tuple[int, ...]) -> tuple[PickAllLabels, tuple[int, ...]]:
    """The loss, and the relative class sizes, of data with multiplicity[m - 1] samples of every set of m classes.

    Raises:
        ValueError: unless there are 1 to K - 1 multiplicities >= 0, not all of them 0.
    """
    is_allowed = len(multiplicity) < K and min(multiplicity, default=-1) >= 0 and max(multiplicity) > 0
    check(is_allowed, "multiplicity", multiplicity, f"1 to classes - 1 = {K - 1} counts >= 0, not all 0")
    counts = {chosen: n for m, n in enumerate(multiplicity, 1) for chosen in combinations(range(K), m) if n}
    return PickAllLabels(tuple(counts)), tuple(counts.values())


@lru_cache(maxsize=64)
def indicators(
    sets: tuple[tuple[int, ...], ...], K: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "sets K"]:
    """One row per set: 1 for its members, 0 for the other classes.

    Raises:
        ValueError: naming a set with a class outside [0, K).
    """
    result = torch.zeros(len(sets), K, dtype=dtype, device=device)
    for row, chosen in zip(result, sets, strict=True):
        check(min(chosen) >= 0 and max(chosen) < K, "PickAllLabels(sets=...)", chosen, f"sets of classes in [0, {K})")
        row[list(chosen)] = 1
    return result
