"""One orbit of critical points: its representative, its place in the landscape, and how many labelled copies it has.

A critical point of rank r of `Problem` is, after a rotation of feature space, one of the model with r feature columns
beside d - r columns of zeros (null W = null H by balancedness; Zhu et al. 2021). In those the Hessian is d - r times

    [[decay_W I, G'], [G, decay_H I]] ,    G = gradient of the mean loss in the logits,

which has one negative eigenvalue for every singular value of G above sqrt(decay_W decay_H). So an orbit holds for every
d >= r: its index is `index_within` + (d - r) `escapes`. None of this asks which relabellings there are.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, integer, takes, tensor
from ufm.atlas.canonical import Canonical
from ufm.atlas.label_rotations import flag_dimension, flag_text
from ufm.atlas.morse import CriticalSet
from ufm.atlas.relabelling import Copies, Relabellings, label_sets
from ufm.cli.field_types import is_of
from ufm.cli.typed import kinds_of
from ufm.errors import check
from ufm.model.factors import widened
from ufm.model.model import Model
from ufm.proof.enclosure import Enclosure
from ufm.solve.critical_points import Classification, classify
from ufm.solve.hessian import dense_hessian
from ufm.tolerances import SAME_LOGITS, ZERO_EIGENVALUE

LETTERS = "abcdefgh"
_AS_LISTS = ("x", "direction", "manifold", "indices", "copies_found")
"""The fields that JSON has no type for."""


@dataclass(kw_only=True)
class Orbit:
    """One orbit of critical points, or one critical set that is not an orbit.

    On spheres the rank is that of W and H together, the index that of the Riemannian Hessian, and the nullity without
    the K + N lengths.

    Attributes:
        x: a representative, flat, in `columns` feature columns.
        columns: max(rank, 1) where the model has columns that can be left out, else d.
        value: objective.
        rank: of W.
        index: Morse index in all d columns, from the dense spectrum.
        index_within: negative Hessian eigenvalues within the columns that are used (rank of them).
        escapes: negative eigenvalues per empty column: singular values of G above sqrt(decay_W decay_H).
        nullity: zero eigenvalues in all d columns.
        expected_nullity: dimension of the critical set that the symmetries explain.
        manifold: for squared error with classes of one size (r, R): up to O(d) the critical set is the Grassmannian of
            r-planes in R dimensions.
        is_set: whether it is another set: a manifold of squared error that is not given, or a degenerate set.
        class_copies, sample_copies: labelled copies; 1 for sets and manifolds, where they are a continuum.
        blocks: classes that share a classifier row.
        zeros: classes whose row is zero.
        is_collapsed: whether the samples of each label share their features.
        apart: which classes are apart: `ab|c (d)`: a and b together, c alone, d at zero; `*`: features do not collapse.
            For squared error `Gr(r, R)`, or the singular values of the logits and how often they occur.
        smallest_eigenvalue, curvature, direction_is: the steepest negative curvature, and the one along the direction
            given: `rank one` is the theory's construction, `eigenvector` that of the smallest eigenvalue.
        direction: that direction in all d columns, flat.
        gradient_norm: at x.
        spread, gap: largest difference of two logits of the pattern that are equal, smallest of two that are not.
        indices: the Morse indices that its points had; more than one only for a degenerate set.
        found: converged starts that ended here.
        copies_found: which of the class copies they ended at, by number.
        farthest: largest difference of logits between a start that ended here and this orbit.
        certificate: what ball arithmetic proved (`ufm.proof.enclosure`), None if nothing was asked.
    """

    x: Float[Tensor, " P"]
    columns: int
    value: float
    rank: int
    index: int
    index_within: int
    escapes: int
    nullity: int
    expected_nullity: int
    manifold: tuple[int, int] | None
    is_set: bool
    class_copies: int
    sample_copies: int
    blocks: list[list[int]]
    zeros: list[int]
    is_collapsed: bool
    apart: str
    smallest_eigenvalue: float
    curvature: float
    direction_is: str
    direction: Float[Tensor, " Q"]
    gradient_norm: float
    spread: float
    gap: float
    indices: set[int]
    found: int = 0
    copies_found: set[int] = field(default_factory=set)
    farthest: float = 0.0
    certificate: dict[str, Any] | None = None

    @property
    def copies(self) -> int:
        """The number of labelled copies."""
        return self.class_copies * self.sample_copies

    @property
    def is_degenerate(self) -> bool:
        """Whether the Hessian has other zero eigenvalues than the symmetries explain."""
        return self.nullity != self.expected_nullity

    @property
    def critical_set(self) -> CriticalSet:
        """The data of the orbit that Morse relations need."""
        return CriticalSet(self.rank, self.index_within, self.escapes, self.copies, self.manifold)

    def count(self, copy: Int[Tensor, " B"], apart: Float[Tensor, " B"]) -> None:
        """Count starts that ended in this orbit, given the copy of each and its distance."""
        self.found += len(copy)
        self.copies_found |= set(copy.tolist())
        self.farthest = max([self.farthest, *apart.tolist()])

    def as_dict(self) -> dict[str, Any]:
        """The orbit for a record; `is_set` and `indices` stand there for sets only."""
        entry = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        of_sets = {"is_set": entry.pop("is_set"), "indices": sorted(entry.pop("indices"))}
        derived = {"copies": self.copies, "is_degenerate": self.is_degenerate}
        return entry | derived | {"copies_found": sorted(self.copies_found)} | (of_sets if self.is_set else {})

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> "Orbit":
        """The orbit that `as_dict` wrote.

        Raises:
            KeyError: if a field is missing.
            TypeError, ValueError: if one is not of its type.
        """
        of_orbits: dict[str, Any] = {"is_set": False, "indices": [entry["index"]]}
        entry = of_orbits | entry
        for name, kind in kinds_of(cls).items():
            is_plain = name not in (*_AS_LISTS, "gap")
            check(not is_plain or is_of(entry[name], kind), name, entry[name], "of the type that an atlas has there")
        if entry["certificate"] is not None:
            Enclosure(**entry["certificate"])
        kept = {each.name: entry[each.name] for each in dataclasses.fields(cls)}
        kept |= {name: torch.tensor(entry[name], dtype=torch.float64) for name in ("x", "direction")}
        kept |= {name: set(entry[name]) for name in ("copies_found", "indices")}
        kept |= {"manifold": entry["manifold"] and tuple(entry["manifold"])}
        return cls(**kept | {"gap": math.inf if entry["gap"] is None else entry["gap"]})


def orbit_of(model: Model, point: Canonical, labelled: Copies, relabellings: Relabellings) -> Orbit:
    """The orbit of a critical point of the model."""
    small, x, rank = point
    full = widened(small, model, x[None])
    found = classify(model, full)
    nullity, expected = int(found.nullity) - model.redundant, expected_nullity(model, rank, full[0])
    manifold = _grassmannian(small, x, rank) if model.rotates_labels and _has_columns_of_one_size(model) else None
    is_set = manifold is None and (model.rotates_labels or (not model.has_columns and nullity != expected))
    within, escapes = _split_index(small, x, rank) if small.has_columns else (int(found.morse_index), 0)
    blocks, zeros, is_collapsed = together(small, x)
    return Orbit(
        x=x,
        columns=small.d,
        value=float(found.value),
        rank=rank,
        index=int(found.morse_index),
        index_within=within,
        escapes=escapes,
        nullity=nullity,
        expected_nullity=expected,
        manifold=manifold,
        is_set=is_set,
        class_copies=1 if is_set or manifold else len(labelled.logits),
        sample_copies=1 if is_set or manifold else labelled.of_samples,
        blocks=blocks,
        zeros=zeros,
        is_collapsed=is_collapsed,
        apart=_apart(model, full[0], manifold, (blocks, zeros, is_collapsed), relabellings),
        **_steepest(found),
        gradient_norm=float(model.value_and_gradient(full)[1].norm()),
        spread=0.0 if manifold else labelled.spread,
        gap=math.inf if manifold else labelled.gap,
        indices={int(found.morse_index)},
    )


@takes(model=instance(Model), rank=integer(0), x=tensor(None))
def expected_nullity(model: Model, rank: int, x: Float[Tensor, " P"]) -> int:
    """Rotations r d - r (r + 1)/2 of every feature space, rotations of label space, and a free constant in the bias."""
    rotations = model.feature_spaces * (rank * model.d - rank * (rank + 1) // 2)
    return rotations + (flag_dimension(model, x) if model.rotates_labels else _free_constant(model))


@takes(model=instance(Model), x=tensor(None))
def together(model: Model, x: Float[Tensor, " P"]) -> tuple[list[list[int]], list[int], bool]:
    """Which classes share a classifier row, which have none, and whether features collapse.

    Returns:
        Blocks of classes with equal rows, those at zero left out; the classes at zero; whether all samples of each
        label have the same features.
    """
    W, _, H, _ = model.factorised(x)
    scale = SAME_LOGITS * max(1.0, float(W.abs().max()), float(H.abs().max()))
    zeros = [k for k in range(model.K) if float(W[k].abs().max()) <= scale]
    blocks: list[list[int]] = []
    for k in sorted({*range(model.K)} - {*zeros}):
        home = next((block for block in blocks if float((W[k] - W[block[0]]).abs().max()) <= scale), None)
        blocks.append([k]) if home is None else home.append(k)
    first = H[torch.searchsorted(model.labels(), model.labels())]
    return blocks, zeros, bool((H - first).abs().max() <= scale)


@takes(model=instance(Model), x=tensor(None))
def geometry(model: Model, x: Float[Tensor, " P"]) -> dict[str, list[list[float]]]:
    """For drawing: rows of W, and for every class the mean of the features whose label contains it."""
    W, H, _ = model.unpack(x)
    member = torch.tensor([[float(k in chosen) for k in range(model.K)] for chosen in label_sets(model)]).to(x)
    of_samples = member[model.labels()]
    means = of_samples.mT @ H / of_samples.sum(0)[:, None].clamp(min=1)
    return {"means": means.tolist(), "W": W.tolist()}


def _steepest(found: Classification) -> dict[str, Any]:
    """What is known of the way down."""
    return {
        "smallest_eigenvalue": float(found.smallest_eigenvalue),
        "curvature": float(found.curvature),
        "direction_is": "rank one" if bool(found.is_rank_one) else "eigenvector",
        "direction": found.direction[0],
    }


def _free_constant(model: Model) -> int:
    return int(model.has_free_bias and model.is_shift_invariant)


def _has_columns_of_one_size(model: Model) -> bool:
    return model.has_columns and model.is_balanced


def _split_index(small: Model, x: Tensor, rank: int) -> tuple[int, int]:
    """Negative eigenvalues within the columns that are used, and per empty column."""
    escapes = int((torch.linalg.svdvals(small.logit_gradient(x)) > float(small.radius) * (1 + ZERO_EIGENVALUE)).sum())
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(small, x[None]))[0]
    within = int((eigenvalues < -ZERO_EIGENVALUE * eigenvalues.abs().max()).sum())
    return (within if rank else within - escapes), escapes


def _grassmannian(small: Model, x: Tensor, rank: int) -> tuple[int, int]:
    """(r, R): how many of the R equivalent label directions are active (with a bias, 11'/K is not one of them)."""
    if not small.has_bias:
        return rank, small.K
    W = small.unpack(x).W
    common = bool(W.mean(0).norm() > SAME_LOGITS * max(1.0, float(W.abs().max())))
    return rank - common, small.K - 1


def _apart(
    model: Model,
    x: Tensor,
    manifold: tuple[int, int] | None,
    parts: tuple[list[list[int]], list[int], bool],
    relabellings: Relabellings,
) -> str:
    """The first text, in alphabetical order, over all relabelled copies, which does not depend on the copy found."""
    if manifold:
        return f"Gr({manifold[0]}, {manifold[1]})"
    if model.rotates_labels:
        return flag_text(model, x)
    blocks, zeros, is_collapsed = parts
    text = min(_text(blocks, zeros, place) for place in relabellings.classes.tolist())
    return text + ("" if is_collapsed else " *")


def _text(blocks: list[list[int]], zeros: list[int], place: list[int]) -> str:
    """With class k in the place of class place[k]."""
    words = sorted(("".join(sorted(LETTERS[place[k]] for k in block)) for block in blocks), key=lambda w: (-len(w), w))
    at_zero = "".join(sorted(LETTERS[place[k]] for k in zeros))
    return " ".join(part for part in ("|".join(words), f"({at_zero})" if at_zero else "") if part)
