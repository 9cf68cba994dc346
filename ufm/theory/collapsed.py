"""The minimum with any class sizes and any dimension, for convex losses: one feature per label is enough.

Averaging the features of a label cannot raise the mean of a convex loss (Jensen) nor |H|^2. So f has its minimum at one
feature h_g for each label g, which n_g of the N samples have, and with a_g = sqrt(n_g) h_g it is

    f = sum_g n_g/N loss(W a_g / sqrt(n_g) + b, g) + decay_W/2 |W|^2 + decay_H/2 |A|^2 + decay_b/2 |b|^2 ,

whose size is that of the labels, not of the samples. Labels without a sample are left out, their rows of W are not. The
dual bound of `ufm/theory/certificate.py` holds here too, with sqrt(n_g) times the gradient of a sample as the row of a
label; it is attained where d is large enough for the relaxation to be tight. Below that there are local minima, and the
lowest found is a value that the minimum does not exceed.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.parameters import Rows
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.tolerances import EXACT_GRADIENT

SEED = 2**62


@dataclass(frozen=True)
class Minimum:
    """The lowest collapsed point found.

    Attributes:
        W, M, b: last layer and the feature of every label.
        value: the objective.
        lower_bound: no point has a lower objective; -inf where the loss has no conjugate.
    """

    W: Float[Tensor, "K r"]
    M: Float[Tensor, "G r"]
    b: Float[Tensor, " K"]
    value: float
    lower_bound: float


@dataclass(frozen=True)
class CollapsedModel:
    """The objective above as a function of W, A and b, in units in which W and A decay alike and f(0) is 1.

    Attributes:
        loss: convex.
        labels, counts: the labels that samples have, and how many each.
        K, d: classes and dimensions.
        decay_b: 0 free, None for a model without bias.
    """

    loss: Loss
    labels: Int[Tensor, " G"]
    counts: Float[Tensor, " G"]
    K: int
    d: int
    decay_W: float
    decay_H: float
    decay_b: float | None

    def __post_init__(self) -> None:
        check(self.loss.is_convex, "loss", self.loss, "convex (ce, ls or mse) but for equal classes that fit")

    @property
    def rank(self) -> int:
        """The dimensions of feature space that a minimiser needs at most."""
        return min(self.d, self.K)

    @property
    def size(self) -> int:
        """The number of variables."""
        return (self.K + len(self.labels)) * self.rank + (0 if self.decay_b is None else self.K)

    @property
    def unit(self) -> float:
        """The objective at zero, f(0), or 1 if that is 0."""
        zero = torch.zeros(len(self.labels), self.K, dtype=torch.float64)
        return float(self.loss(zero, self.labels) @ self.counts / self.counts.sum()) or 1.0

    def take(self, rows: Rows) -> "CollapsedModel":
        """The model of the starts `rows`: itself, as no parameter differs by start."""
        return self

    def value_and_gradient(self, x: Float[Tensor, "S P"]) -> tuple[Float[Tensor, " S"], Float[Tensor, "S P"]]:
        """Value and gradient of every point (S, P), both over f(0)."""
        W, A, b = self._parts(x)
        root, N, s, unit = self.counts.sqrt(), float(self.counts.sum()), self._radius, self.unit
        loss, G = self.loss.value_and_gradient(self._logits(W, A, b), self.labels)
        G = G * (self.counts / N)[:, None]
        scaled = G / root[:, None]
        decay_b = self.decay_b or 0.0
        squares = W.square().sum((1, 2)) + A.square().sum((1, 2))
        value = loss @ self.counts / N + s / 2 * squares + decay_b / 2 * b.square().sum(1)
        parts = [scaled.mT @ A + s * W, scaled @ W + s * A, G.sum(1) + decay_b * b]
        gradient = torch.cat([part.flatten(1) for part in parts][: 2 if self.decay_b is None else 3], 1)
        return value / unit, gradient / unit

    def minimum(self, starts: int) -> Minimum:
        """The lowest end point of minimisations from this many random starts."""
        ends = minimise(self, normal_starts(self.size, SEED, 0, starts), EXACT_GRADIENT)
        x = ends.x[ends.value.argmin()][None]
        W, A, b = (part[0] for part in self._parts(x))
        balance = (self.decay_H / self.decay_W) ** 0.25
        M = A / self.counts.sqrt()[:, None] / balance
        return Minimum(balance * W, M, b, float(ends.value.min()) * self.unit, self._lower_bound(W, A, b))

    @property
    def _radius(self) -> float:
        return math.sqrt(self.decay_W) * math.sqrt(self.decay_H)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        K, G, r = self.K, len(self.labels), self.rank
        W, A, b = x[:, : K * r], x[:, K * r : (K + G) * r], x[:, (K + G) * r :]
        b = b if self.decay_b is not None else x.new_zeros(len(x), K)
        return W.reshape(-1, K, r), A.reshape(-1, G, r), b

    def _logits(self, W: Tensor, A: Tensor, b: Tensor) -> Float[Tensor, "*S G K"]:
        return A @ W.mT / self.counts.sqrt()[:, None] + b[..., None, :]

    def _lower_bound(self, W: Tensor, A: Tensor, b: Tensor) -> float:
        if not self.loss.has_conjugate:
            return -math.inf
        G = self.loss.value_and_gradient(self._logits(W, A, b), self.labels)[1] / self.counts.sum()
        if self.decay_b is None:
            return self._dual_value(G)
        mean = (self.counts @ G) / self.counts.sum()
        centred = self._dual_value(G - mean)
        return centred if self.decay_b == 0 else max(centred, self._dual_value(G))

    def _dual_value(self, G: Float[Tensor, "G K"]) -> float:
        """The bound of these gradients of one sample of each label, scaled into the ball."""
        N, norm = self.counts.sum(), torch.linalg.matrix_norm(self.counts.sqrt()[:, None] * G, 2)
        G = G * (self._radius / norm).clamp(max=1.0)
        of_bias = (self.counts @ G).square().sum() / (2 * self.decay_b) if self.decay_b else 0.0
        value: Any = -self.loss.conjugate(N * G, self.labels) @ self.counts / N - of_bias
        return float(value)
