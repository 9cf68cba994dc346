"""One orbit of critical points of any model: what `ufm.model_atlas` keeps of it."""

from dataclasses import dataclass, field
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.critical_orbit import CriticalOrbit
from ufm.critical_points import RANK_TOLERANCE, classify
from ufm.deep import DeepProblem
from ufm.factors import factors_of
from ufm.label_rotations import flag_dimension, flag_text, has_label_rotations
from ufm.losses import SquaredError
from ufm.model import Model
from ufm.relabelling import Copies, Relabellings, label_sets
from ufm.spheres import SphereProblem
from ufm.symmetry import SAME

SAME_VALUE = 1e-9
"""Degenerate points whose objectives differ by at most this times max(1, |objective|) are one row."""


@dataclass(kw_only=True)
class ModelRow(CriticalOrbit):
    """One orbit, or one set of critical points that is not an orbit.

    On spheres the rank is that of W and H together, the index that of the Riemannian Hessian, and the nullity without
    the K + N lengths.

    Attributes:
        is_set: whether it is a set: a manifold of squared error, or a degenerate row.
        apart: which classes have classifier rows apart (`together`); for squared
            error the singular values of the logits and how often they occur.
        indices: the Morse indices that its points had; more than one only for a degenerate row.
    """

    is_set: bool
    apart: str
    indices: set[int] = field(default_factory=set)

    def as_dict(self) -> dict[str, Any]:
        """The row for a record; nothing is proved of it."""
        return super().as_dict() | {"certificate": None, "indices": sorted(self.indices)}

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Self:
        """The row that `as_dict` has written."""
        return super().from_dict(entry | {"indices": set(entry["indices"])})


@dataclass(frozen=True)
class Kind:
    """Of every point: objective, rank, Morse index, zero eigenvalues, and how many of these the symmetries explain."""

    value: Float[Tensor, " B"]
    rank: list[int]
    index: list[int]
    nullity: list[int]
    expected_nullity: list[int]
    smallest_eigenvalue: Float[Tensor, " B"]
    curvature: Float[Tensor, " B"]
    direction: Float[Tensor, "B P"]
    is_rank_one: list[bool]

    @property
    def is_degenerate(self) -> Tensor:
        """Which points have zero eigenvalues that no symmetry explains."""
        return torch.tensor(self.nullity) != torch.tensor(self.expected_nullity)


def kind_of(model: Model, x: Float[Tensor, "B P"]) -> Kind:
    """Classify critical points, of unit vectors where the model is on spheres."""
    found = classify(model, x)
    lengths = model.K + model.N if isinstance(model, SphereProblem) else 0
    rank = span(model, x)
    return Kind(
        found.value,
        rank,
        found.morse_index.tolist(),
        [int(zero) - lengths for zero in found.nullity],
        [expected_nullity(model, r, point) for r, point in zip(rank, x, strict=True)],
        found.smallest_eigenvalue,
        found.curvature,
        found.direction,
        found.is_rank_one.tolist(),
    )


def span(model: Model, x: Float[Tensor, "B P"]) -> list[int]:
    """Rank of W, which is that of every factor by balancedness; on spheres that of W and H together."""
    singular = spanning_values(model, x)
    resolution = max(RANK_TOLERANCE, 1e-10 / float(model.least_curvature))
    return [int(count) for count in (singular > resolution * singular.amax(1, keepdim=True).clamp(min=1.0)).sum(1)]


def spanning_values(model: Model, x: Float[Tensor, "B P"]) -> Float[Tensor, "B R"]:
    """Singular values of W, on spheres of W and H together."""
    W, _, H, _ = factors_of(model, x)
    return torch.linalg.svdvals(torch.cat([W, H], -2) if isinstance(model, SphereProblem) else W)


def expected_nullity(model: Model, rank: int, x: Float[Tensor, " P"]) -> int:
    """Rotations r d - r (r + 1)/2 of every feature space, rotations of label space, and a free constant in the bias."""
    spaces = model.factors - 1 if isinstance(model, DeepProblem) else 1
    decay_b = None if isinstance(model, SphereProblem) else getattr(model, "decay_b", None)
    is_free = decay_b == 0 and not isinstance(model.loss, SquaredError)
    of_labels = flag_dimension(model, x) if has_label_rotations(model) else 0
    return spaces * (rank * model.d - rank * (rank + 1) // 2) + of_labels + is_free


def row_of(model: Model, x: Float[Tensor, " P"], labelled: Copies, relabellings: Relabellings) -> ModelRow:
    """The row of a critical point."""
    kind = kind_of(model, x[None])
    is_set = has_label_rotations(model) or bool(kind.is_degenerate[0])
    return ModelRow(
        x=x,
        value=float(kind.value[0]),
        rank=kind.rank[0],
        index=kind.index[0],
        nullity=kind.nullity[0],
        expected_nullity=kind.expected_nullity[0],
        class_copies=1 if is_set else len(labelled.logits),
        sample_copies=1 if is_set else labelled.of_samples,
        is_set=is_set,
        apart=flag_text(model, x) if has_label_rotations(model) else together(model, x, relabellings),
        smallest_eigenvalue=float(kind.smallest_eigenvalue[0]),
        curvature=float(kind.curvature[0]),
        direction=kind.direction[0],
        direction_is="rank one" if kind.is_rank_one[0] else "eigenvector",
        gradient_norm=float(model.value_and_gradient(x[None])[1].norm()),
        spread=labelled.spread,
        gap=labelled.gap,
        indices={kind.index[0]},
    )


def together(model: Model, x: Float[Tensor, " P"], relabellings: Relabellings) -> str:
    """Which classes share a classifier row: `ab|c (d)`, d at zero; `*` where features of one label differ.

    Of all relabelled copies the one whose text comes first, so that it does not depend on the copy found.
    """
    W, _, H, _ = factors_of(model, x)
    scale = SAME * max(1.0, float(W.abs().max()), float(H.abs().max()))
    zeros = [k for k in range(model.K) if float(W[k].abs().max()) <= scale]
    blocks: list[list[int]] = []
    for k in sorted({*range(model.K)} - {*zeros}):
        home = next((block for block in blocks if float((W[k] - W[block[0]]).abs().max()) <= scale), None)
        blocks.append([k]) if home is None else home.append(k)
    first = H[torch.searchsorted(model.labels(), model.labels())]
    is_collapsed = bool((H - first).abs().max() <= scale)
    text = min(_text(blocks, zeros, place) for place in relabellings.classes.tolist())
    return text + ("" if is_collapsed else " *")


def geometry(model: Model, x: Float[Tensor, " P"]) -> dict[str, list[list[float]]]:
    """For drawing: rows of W, and for every class the mean of the features whose label contains it."""
    W, H, _ = model.unpack(x)
    member = torch.tensor([[float(k in chosen) for k in range(model.K)] for chosen in label_sets(model)]).to(x)
    of_samples = member[model.labels()]
    means = of_samples.mT @ H / of_samples.sum(0)[:, None].clamp(min=1)
    return {"means": means.tolist(), "W": W.tolist()}


def _text(blocks: list[list[int]], zeros: list[int], place: list[int]) -> str:
    """With class k in the place of class place[k]."""
    words = sorted(
        ("".join(sorted("abcdefgh"[place[k]] for k in block)) for block in blocks), key=lambda w: (-len(w), w)
    )
    at_zero = "".join(sorted("abcdefgh"[place[k]] for k in zeros))
    return " ".join(part for part in ("|".join(words), f"({at_zero})" if at_zero else "") if part)
