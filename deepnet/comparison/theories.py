"""The theory that applies to a last layer, and the point that it predicts; the balanced one is for balanced data only.

| of the samples | theory | evidence |
|---|---|---|
| equal classes, d >= K - 1 | simplex minimiser (`ufm/theory/prediction.py`) | closed form |
| ... features >= 0, d >= K | the same, its class means orthogonal | closed form (below) |
| unequal classes, or some without samples | imbalanced minimiser (`ufm/theory/collapsed.py`) | dual bound |
| K > d + 1 | softmax code (`ufm/theory/softmax_codes.py`) at these decays | lowest of several minimisations |
| several labels, sets of a size equally often | tag-wise averages (`multi_label_prediction.py`) | closed form |
| several labels, other counts | imbalanced minimiser of the sets | dual bound |

*Features behind a ReLU.* Vectors without negative inner products have mean |mu_k|^2 >= K/(K - 1) mean |mu_k - mu_G|^2,
with equality where they are orthogonal (`theory_checks/normalised_networks_pay_for_features.py`). So for a convex loss
of differences of logits, f of features >= 0 is at least the plain model's with decay_H K/(K - 1) on the centred
features, and attains it at orthogonal means of one length (d >= K): there W mu_G = 0, and the bias is 0 as there.
Where the decay of the features is read off the centred ones, margins and norms are those of the plain model, and
orthogonality is what is predicted besides.
"""

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from deepnet.comparison.layer import Decays, Frame, Layer
from ufm.errors import RequestError, check
from ufm.model.pick_all_labels import PickAllLabels
from ufm.model.problem import Problem
from ufm.simplex import simplex_basis
from ufm.theory.collapsed import CollapsedModel
from ufm.theory.multi_label_prediction import counts_of, tag_wise_averages
from ufm.theory.prediction import balanced_target
from ufm.theory.softmax_codes import exact_margin
from ufm.tolerances import NO_LOGITS, PROOF_GAP

STARTS, STARTS_OF_CODES = 4, 32
"""Numbers of starts: if the relaxation is tight all end alike; in few dimensions there are local minima."""
MOST_VARIABLES = 300_000
"""The most variables of a minimisation, a start of which then takes some seconds."""


@dataclass(frozen=True)
class Theory:
    """The prediction of a theory for one last layer.

    Attributes:
        name: which theory.
        why: what of the samples asks for it.
        evidence: what the prediction rests on.
        W, M, b: the predicted last layer and mean feature of every label that samples have.
        value: the objective there.
        is_orthogonal: whether class means, as they are, are predicted to be orthogonal.
        notes: sentences that a reader needs.
    """

    name: str
    why: str
    evidence: str
    W: Float[Tensor, "K r"]
    M: Float[Tensor, "G r"]
    b: Float[Tensor, " K"]
    value: float
    is_orthogonal: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_zero(self) -> bool:
        """Whether the predicted minimum is zero, with no logits but the bias."""
        return float((self.M @ self.W.mT).abs().max()) < NO_LOGITS


def theory_for(layer: Layer, frame: Frame) -> Theory:
    """The theory that applies to these samples.

    Raises:
        ValueError: if none does.
    """
    K, d = layer.W.shape
    if not layer.is_single:
        return _several_labels(layer, frame)
    if layer.is_not_negative and not frame.is_fitted:
        return _orthogonal(layer, frame)
    if layer.is_balanced and d >= K - 1:
        found = _simplex(layer, frame.decays)
        return _with_orthogonal_means(found, layer) if layer.is_not_negative else found
    return _with_note_on_relu(_collapsed(layer, frame), layer)


def _simplex(layer: Layer, decays: Decays) -> Theory:
    """One sample of each class stands for n: f is the same with n times the decay of its features."""
    K, d = layer.W.shape
    assert decays.H is not None
    n = float(layer.counts[0])
    problem = Problem(layer.loss, K, min(d, K), 1, decays.W, n * decays.H, decays.b)
    target = balanced_target(problem)
    W, M, b = problem.unpack(target.point)
    proved = "proved global" if target.is_proved_global else "the best on the simplex ray"
    why = f"{K} classes of {n:.0f} samples each"
    return Theory("balanced: simplex minimiser", why, f"closed form, {proved}", W, M, b, target.value)


def _with_orthogonal_means(found: Theory, layer: Layer) -> Theory:
    K, d = layer.W.shape
    if d < K:
        note = f"Features are not negative, and {K} orthogonal class means do not fit into {d} dimensions."
        return replace(found, notes=(*found.notes, note))
    name = "balanced, features not negative: simplex minimiser with orthogonal class means"
    return replace(found, name=name, why=f"{found.why}, no feature below 0", is_orthogonal=True)


def _orthogonal(layer: Layer, frame: Frame) -> Theory:
    """Features >= 0 whose own decay is given."""
    K, d = layer.W.shape
    is_known = layer.is_balanced and layer.loss.is_convex and layer.loss.is_shift_invariant and d >= K
    allowed = "left out for features that are not negative, unless classes are equal, d >= K and the loss is ce or ls"
    check(bool(is_known), "decay_H", frame.decay_H, allowed)
    found = _simplex(layer, frame.decays._replace(H=frame.decay_H * K / (K - 1)))
    size = float(found.M.square().sum(1).mean())  # of a centred mean, (K - 1)/K of the length squared
    ratio = float((found.W * found.M).sum()) / float(found.M.square().sum())
    M = math.sqrt(size * K / (K - 1)) * torch.eye(K, dtype=torch.float64)
    return _with_orthogonal_means(replace(found, W=ratio * (M - M.mean(0)), M=M), layer)


def _collapsed(layer: Layer, frame: Frame) -> Theory:
    """Unequal classes, or more than fit: by minimisation over one feature a label."""
    K, d = layer.W.shape
    G, is_code = len(layer.counts), d < K - 1
    decays = frame.decays
    starts = STARTS_OF_CODES if is_code else STARTS
    model = CollapsedModel(layer.loss, layer.present, layer.counts, K, d, decays.W, frame.decay_H, decays.b)
    allowed = f"at most {MOST_VARIABLES} variables of labels, classes and dimensions"
    check(model.size <= MOST_VARIABLES, "features", model.size, allowed)
    found = model.minimum(starts)
    gap = (found.value - found.lower_bound) / model.unit
    numeric = f"numeric: the lowest of {starts} minimisations"
    certificate = f"certificate: no point of the model is lower by more than {max(gap, 0):.1g} f(0)"
    evidence = certificate if gap <= PROOF_GAP else numeric
    if is_code:
        name, why = "more classes than dimensions + 1: softmax code", f"{K} classes in {d} dimensions"
    else:
        name, why = "unequal: imbalanced minimiser", _counts_in_words(layer, G)
    notes = (_limit(K, d),) if is_code and layer.is_single else ()
    if is_code and not layer.is_balanced:
        notes = (*notes, f"Classes are unequal besides: {_counts_in_words(layer, G)}.")
    return Theory(name, why, evidence, found.W, found.M, found.b, found.value, notes=notes)


def _counts_in_words(layer: Layer, G: int) -> str:
    what = "classes" if layer.is_single else "sets of labels"
    low, high = (int(each) for each in (layer.counts.min(), layer.counts.max()))
    sizes = f"{G} {what} of {low} samples" if low == high else f"{G} {what} of {low} to {high} samples"
    lacking = len(layer.W) - G if layer.is_single else 0
    return f"{sizes}, {lacking} more have none" if lacking else sizes


def _limit(K: int, d: int) -> str:
    rho = exact_margin(K, d)
    known = "is not known exactly" if rho is None else f"is {rho:.6g}"
    return f"As decays fall to 0 the margin of unit rows tends to the softmax code's, which {known}."


def _with_note_on_relu(found: Theory, layer: Layer) -> Theory:
    if not layer.is_not_negative:
        return found
    note = "Features are not negative: the prediction is for features of any sign, less what they share."
    return replace(found, notes=(*found.notes, note))


def _several_labels(layer: Layer, frame: Frame) -> Theory:
    K, d = layer.W.shape
    loss = cast(PickAllLabels, layer.loss)
    sizes = tuple(int(count) for count in layer.counts)
    try:
        counts = counts_of(Problem(loss, K, 1, 1, 1.0, 1.0, sizes=sizes))
    except RequestError:
        return _collapsed(layer, frame)
    if d < K - 1:
        return _collapsed(layer, frame)
    found = tag_wise_averages(K, counts, frame.decays.W, frame.decay_H)
    W = math.sqrt(found.rho) * simplex_basis(K)
    scales = [found.margins[len(chosen)] / found.rho if found.rho else 0.0 for chosen in loss.sets]
    M = torch.stack([scale * W[list(chosen)].sum(0) for scale, chosen in zip(scales, loss.sets, strict=True)])
    value = _value(layer, frame, W, M)
    sets = ", ".join(f"{n} of every set of {m}" for m, n in counts.items())
    name, why = "several labels: tag-wise averages", f"samples of several labels, {sets}"
    return Theory(name, why, "closed form, proved global", W, M, torch.zeros_like(layer.b), value)


def _value(layer: Layer, frame: Frame, W: Tensor, M: Tensor) -> float:
    """The objective of a collapsed point without bias."""
    loss = layer.loss(M @ W.mT, layer.present) @ layer.counts / layer.counts.sum()
    features = layer.counts @ M.square().sum(1)
    return float(loss + frame.decays.W / 2 * W.square().sum() + frame.decay_H / 2 * features)
