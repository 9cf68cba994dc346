"""A last layer of any network in the coordinates of the model: one feature per label, and the scatter about it.

A network's features may stand away from zero, which costs the model's decay of features and no network anything. The
model's features lie in the span of W, so what they share across that span is taken out: with v the vector that all
features are moved by, W v becomes bias. Given decays of W and b, the cheapest way to pay for an offset of the logits
through both is that of one bias with decay_b' = 1 / (1/decay_b + |v|^2/decay_W) (`deepnet/comparison/compare.py`).

- Equal classes: v is the global mean, and W is taken less its mean row, as for the runs of `deepnet compare`.
- Else v is the point of the plane through the class means that is nearest to zero, and W is taken across v. With a
  softmax loss a minimiser of the model has v = 0 except for a component across the span of its W; that of squared error
  with a decayed bias or none has one, by which its common logit is paid for, as for equal classes.
- Where the decay of the features is given, the features are taken as they are.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.collapse.arrays import IGNORED, labels_of, last_layer_of, tensor_of
from ufm.collapse.matrices import tiles
from ufm.errors import RequestError, check
from ufm.labels import described, one_per_sample
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy
from ufm.model.pick_all_labels import PickAllLabels, indicators

MOST_SETS = 10_000
"""The most different sets of labels."""
LEAST, LARGEST = 1e-50, 1e50
"""The sizes of features, weights and bias with whose squares of squares float64 can compute; zero is one, too."""
SAME = 1e-9
"""Rounding, relative to the largest direction of the class means or to their length."""


class Decays(NamedTuple):
    """The decays of |W|^2 / 2, |H|^2 / 2 (None: read off the balance) and |b|^2 / 2 (None: no bias)."""

    W: float
    H: float | None
    b: float | None


@dataclass(frozen=True)
class Layer:
    """Features of samples and the last layer that sees them, in float64.

    Attributes:
        loss: with as many labels as there are.
        labels: of every sample, an index into the loss's.
        present, counts: the labels that samples have, in order, and how many each.
        means: their mean features.
        has_bias: whether b is a variable.
    """

    loss: Loss
    H: Float[Tensor, "N d"]
    labels: Int[Tensor, " N"]
    W: Float[Tensor, "K d"]
    b: Float[Tensor, " K"]
    has_bias: bool
    present: Int[Tensor, " G"]
    counts: Float[Tensor, " G"]
    means: Float[Tensor, "G d"]

    @property
    def is_single(self) -> bool:
        """Whether a label is a class."""
        K = len(self.W)
        return self.loss.label_sets(K) == tuple((k,) for k in range(K))

    @property
    def is_balanced(self) -> bool:
        """Whether every class is the only label of equally many samples."""
        return self.is_single and len(self.counts) == len(self.W) and bool((self.counts == self.counts[0]).all())

    @cached_property
    def inside(self) -> Float[Tensor, "labels K"]:
        """The indicators of labels: 1 for the classes of each label, else 0."""
        return indicators(self.loss.label_sets(len(self.W)), len(self.W), self.W.dtype, self.W.device)

    @property
    def is_not_negative(self) -> bool:
        """Whether the features are those behind a ReLU."""
        return bool((self.H >= 0).all()) and bool((self.H > 0).any())


@dataclass(frozen=True)
class Frame:
    """The layer moved by v, with the model's decays.

    Attributes:
        shift: v.
        W, M, b: the model's last layer, and the mean feature of each label.
        square: sum of |h - v|^2 over the samples.
        decays: of the model; none is left to read off.
        is_fitted: whether the decay of the features was.
    """

    shift: Float[Tensor, " d"]
    W: Float[Tensor, "K d"]
    M: Float[Tensor, "G d"]
    b: Float[Tensor, " K"]
    square: float
    decays: Decays
    is_fitted: bool

    @property
    def decay_H(self) -> float:
        """The decay of the features."""
        assert self.decays.H is not None
        return self.decays.H


def layer_of(features: Any, labels: Any, weight: Any, bias: Any, loss: Loss) -> Layer:
    """The layer that the arguments of `deepnet.compare` describe, checked and on the CPU, where theory's side of it is.

    Samples of label -100 are left out.

    Raises:
        ValueError: naming what does not belong together.
    """
    H = tensor_of("features", features)
    check(H.ndim == 2 and H.is_floating_point(), "features", described(H), "a floating-point tensor (samples, d)")
    check(0 not in H.shape, "features", described(H), "of at least one sample and one dimension")
    try:
        W, b = last_layer_of(weight, bias, H.shape[1])
    except RequestError as error:
        raise RequestError(str(error).replace("`W`", "`weight`").replace("`b`", "`bias`")) from None
    is_matrix = W is not None and W.ndim == 2
    check(is_matrix, "weight", "nothing" if W is None else described(W), f"a tensor (classes, {H.shape[1]})")
    assert W is not None
    check(len(W) >= 2, "weight", described(W), "a row for each of two classes or more")
    assert b is not None
    H, W, b = H.cpu(), W.cpu(), b.cpu()
    loss, y, kept = _numbered(labels, loss, H, len(W))
    H = H[kept].double()
    for name, part in (("features", H), ("weight", W), ("bias", b)):
        check(bool(part.isfinite().all()), name, "nan or infinity", "finite")
        largest = float(part.abs().max()) if part.numel() else 0.0
        is_sized = largest == 0 or LEAST <= largest <= LARGEST
        check(is_sized, name, f"{largest:.1e}", f"zero, or its largest number of a size in [{LEAST}, {LARGEST}]")
    check(len(H) > 0, "labels", "none", "such that a sample is left")
    present, index, counts = torch.unique(y, return_inverse=True, return_counts=True)
    sums = H.new_zeros(len(present), H.shape[1]).index_add_(0, index, H)
    counts = counts.double()
    return Layer(loss, H, y, W, b, bias is not None, present, counts, sums / counts[:, None])


def in_frame(layer: Layer, decays: Decays) -> Frame:
    """The layer in the coordinates of the model, with the model's decays.

    Raises:
        ValueError: if the decay of the features is to be read off features or a classifier whose squares are zero or
            infinite.
    """
    if decays.H is not None:
        square = float(layer.H.square().sum())
        return Frame(torch.zeros_like(layer.H[0]), layer.W, layer.means, layer.b, square, decays, False)
    v = layer.means.mean(0) if layer.is_balanced else _nearest(layer.means)
    far = float(v.square().sum())
    if layer.is_balanced:
        W = layer.W - layer.W.mean(0)
    else:
        W = layer.W - (layer.W @ v)[:, None] * v / far if far else layer.W
    square = float((layer.H - v).square().sum())
    decay_H = decays.W * float(W.square().sum()) / square if square else 0.0
    allowed = "given where the squares of features or weights are zero or infinite: it cannot be read off their balance"
    check(0 < decay_H < math.inf, "decay_H", "nothing", allowed)
    return Frame(
        v, W, layer.means - v, layer.b + layer.W @ v, square, Decays(decays.W, decay_H, _of_offset(decays, far)), True
    )


def _of_offset(decays: Decays, far: float) -> float | None:
    """decay_b', the decay of an offset that bias and W share."""
    if decays.b == 0:
        return 0.0
    cost = (0.0 if decays.b is None else 1 / decays.b) + far / decays.W
    return 1 / cost if cost else None


def _nearest(means: Float[Tensor, "G d"]) -> Float[Tensor, " d"]:
    """The point nearest to zero of the plane through the rows; exactly zero if it is zero up to rounding."""
    centre = means.mean(0)
    _, sizes, V = torch.linalg.svd(means - centre, full_matrices=False)
    V = V[sizes > SAME * sizes[0]]
    v = centre - V.mT @ (V @ centre)
    return v if float(v.norm()) > SAME * float(means.norm(dim=1).max()) else torch.zeros_like(v)


def _numbered(labels: Any, loss: Loss, H: Tensor, K: int) -> tuple[Loss, Tensor, Tensor]:
    """The loss with labels of these samples, their numbers, and which samples are kept."""
    y = tensor_of("labels", labels).cpu()
    if y.ndim == 2:
        return _sets(y, loss, H, K)
    y = labels_of(y)
    check(len(y) == len(H), "labels", described(y), f"one class per sample, ({len(H)},), or ({len(H)}, {K}) of 0 and 1")
    kept = y != IGNORED
    return loss, one_per_sample(y[kept], H[kept], K), kept


def _sets(y: Tensor, loss: Loss, H: Tensor, K: int) -> tuple[Loss, Tensor, Tensor]:
    """The loss and labels of data with several labels per sample: each different set becomes one label."""
    is_table = tuple(y.shape) == (len(H), K) and bool(((y == 0) | (y == 1)).all()) and bool((y.sum(1) > 0).all())
    check(is_table, "labels", described(y), f"one class per sample, or ({len(H)}, {K}) of 0 and 1, a 1 in every row")
    check(type(loss) is CrossEntropy, "loss", loss, "ce with several labels per sample (summed over the labels)")
    rows, index = torch.unique(y.bool(), dim=0, return_inverse=True)
    check(len(rows) <= MOST_SETS, "labels", f"{len(rows)} different sets", f"at most {MOST_SETS} different sets")
    sets = tuple(tuple(row.nonzero()[:, 0].tolist()) for row in rows)
    return PickAllLabels(sets), index, torch.ones(len(H), dtype=torch.bool)


@dataclass(frozen=True)
class OfSamples:
    """Means over the samples, and gradients of the mean loss.

    Attributes:
        loss, margin: of a sample; the margin is the mean logit of its classes less that of the others.
        p_y: softmax probability of its classes.
        pull: G'H.
        total: G'1.
        size: |G|.
        missed: |G W + decay_H (H - v)|, which the model's features have at 0.
    """

    loss: float
    margin: float
    p_y: float
    pull: Float[Tensor, "K d"]
    total: Float[Tensor, " K"]
    size: float
    missed: float


def of_samples(layer: Layer, frame: Frame) -> OfSamples:
    """The means over the samples, in one pass with a tile of logits at a time."""
    N = len(layer.H)
    pull, total = torch.zeros_like(layer.W), torch.zeros_like(layer.b)
    sums = torch.zeros(5, dtype=torch.float64)
    for rows in tiles(N, len(layer.W)):
        H, y = layer.H[rows], layer.labels[rows]
        Z = H @ layer.W.mT + layer.b
        G = layer.loss.value_and_gradient(Z, y)[1] / N
        missed = G @ frame.W + frame.decay_H * (H - frame.shift)
        sums += torch.stack([each.sum() for each in (*of_logits(layer, Z, y), G.square(), missed.square())])
        pull, total = pull + G.mT @ H, total + G.sum(0)
    loss, margin, p_y = (sums[:3] / N).tolist()
    return OfSamples(loss, margin, p_y, pull, total, float(sums[3].sqrt()), float(sums[4].sqrt()))


def of_logits(layer: Layer, Z: Float[Tensor, "n K"], labels: Int[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, margin and p_y of every sample; a sample that has all classes as labels has no margin."""
    inside = layer.inside[labels]
    m, K = inside.sum(1), Z.shape[1]
    margin = (inside * Z).sum(1) / m - ((1 - inside) * Z).sum(1) / (K - m).clamp(min=1)
    return layer.loss(Z, labels), torch.where(m < K, margin, 0.0), (inside * Z.softmax(1)).sum(1)
