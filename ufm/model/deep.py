"""More layers between the features and the classifier: M factors, each with its decay, and perhaps a last ReLU.

    f = (1/N) sum_i loss(W phi(W_L ... W_1 h_i) + b, y_i) + decay_W/2 |W|^2 + sum_l decay_l/2 |W_l|^2 + decay_H/2 |H|^2
        + decay_b/2 |b|^2 ,     M = L + 2 factors, all layers d x d, phi the identity or max(0, .)

(Tirer and Bruna 2022 for one more layer; Dang et al. 2023 for any number.) A singular value x of the product of linear
factors costs at least (M/2) lam x^(2/M), lam = prod(decays)^(1/M), when the factors share it evenly. With squared error
the singular directions decouple: each has x = u^M, u the largest root of a scalar equation, or x = 0. Unlike M = 2,
both are local minima for M > 2, in every combination, but that under a decayed bias the direction along 1, which weighs
less, turns into a simplex direction that is zero. Training from random starts ends in all of them. Behind a ReLU other
states are lower (`ufm/theory/deep_relu_prediction.py`).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import bias_decay, boolean, check_fields, each, positive
from ufm.errors import check
from ufm.model.model import Factors, Model, Point, check_points

Layers = list[Float[Tensor, "*batch d d"]]


@dataclass(frozen=True)
class DeepProblem(Model):
    """A model with layers between features and classifier: its sizes, loss and decays.

    Attributes:
        loss, K, d, n, sizes: as in every `Model`; d is the width of every layer.
        decay_W, decay_H: weight decays of the last layer and of the features, > 0.
        decay_b: weight decay of the bias: > 0 decayed, 0 free, None for a model without bias.
        inner: weight decays of the layers between, > 0, the one after the features first.
        is_rectified: whether a ReLU follows the last of them.

    Raises:
        ValueError: on a size or decay outside these bounds, or a ReLU without a layer before it.
    """

    why_no_morse_relation = "with hidden layers no relation is derived here"

    decay_W: float
    decay_H: float
    decay_b: float | None
    inner: tuple[float, ...]
    is_rectified: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, decay_W=positive, decay_H=positive, decay_b=bias_decay)
        check_fields(self, inner=each(positive), is_rectified=boolean)
        check(bool(self.inner) or not self.is_rectified, "is_rectified", True, "False without a layer before the ReLU")

    @property
    def factors(self) -> int:
        """The number of factors M = L + 2: features, L layers and classifier."""
        return len(self.inner) + 2

    @property
    def has_bias(self) -> bool:
        """Whether b is a variable."""
        return self.decay_b is not None

    @property
    def has_free_bias(self) -> bool:
        """Whether b is a variable without decay."""
        return self.decay_b == 0

    @property
    def feature_spaces(self) -> int:
        """The number of feature spaces that can be rotated independently: M - 1, one between any two factors."""
        return self.factors - 1

    @property
    def size(self) -> int:
        """The number of variables: (K + N) d + L d^2 (+ K for the bias)."""
        return (self.K + self.N + len(self.inner) * self.d) * self.d + (self.K if self.has_bias else 0)

    @property
    def least_curvature(self) -> float:
        """The smallest of the factors' decays."""
        return min(self.decay_W, self.decay_H, *self.inner)

    @property
    def curvature_scale(self) -> float:
        """The largest of the factors' decays."""
        return max(self.decay_W, self.decay_H, *self.inner)

    @property
    def geometric_mean(self) -> float:
        """lam, the geometric mean of the factors' decays."""
        decays = (self.decay_W, self.decay_H, *self.inner)
        return math.exp(sum(map(math.log, decays)) / len(decays))

    def factorised(self, x: Float[Tensor, "*batch P"]) -> Factors:
        """W, the layers (the one that sees the features first), H and b, as views of the flat vector.

        Raises:
            ValueError: unless x is a float64 tensor of points of this size.
        """
        check_points(x, self.size)
        sizes = [self.K * self.d, *[self.d**2] * len(self.inner), self.N * self.d, self.K * self.has_bias]
        first, *inner, features, bias = torch.split(x, sizes, -1)
        W, H = (part.view(*x.shape[:-1], -1, self.d) for part in (first, features))
        layers = [layer.view(*x.shape[:-1], self.d, self.d) for layer in inner]
        return Factors(W, layers, H, bias if self.has_bias else torch.zeros_like(W[..., 0]))

    def assembled(self, W: Tensor, inner: Layers, H: Tensor, b: Tensor) -> Float[Tensor, "*batch P"]:
        """The flat vector of these factors."""
        parts = [part.flatten(-2) for part in (W, *inner, H)]
        return torch.cat([*parts, b] if self.has_bias else parts, -1)

    def unpack(self, x: Float[Tensor, "*batch P"]) -> Point:
        """The last layer and the features that it sees, after the ReLU if there is one."""
        W, inner, H, b = self.factorised(x)
        return Point(W, self._forward(inner, H)[-1], b)

    def before_last(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N d"]:
        """W_L ... W_1 h_i of every sample, before a ReLU."""
        _, inner, H, _ = self.factorised(x)
        return self._products(inner, H)[-1]

    def logits(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch N K"]:
        """W phi(W_L ... W_1 h_i) + b of every sample."""
        W, H, b = self.unpack(x)
        return H @ W.mT + b.unsqueeze(-2)

    def value(self, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """The objective f of each point, differentiable by torch."""
        return self.loss(self.logits(x), self.labels(x.device)).mean(-1) + (self._decays(x) * x.square()).sum(-1) / 2

    def value_and_gradient(self, x: Float[Tensor, "*batch P"]) -> tuple[Float[Tensor, "*batch"], Tensor]:
        """The objective f and its gradient, by backpropagation through the factors."""
        W, inner, H, b = self.factorised(x)
        seen = self._forward(inner, H)
        loss, G = self.loss.value_and_gradient(seen[-1] @ W.mT + b.unsqueeze(-2), self.labels(x.device))
        back = self._backward(W, inner, seen, G / self.N)
        gradients = [signal.mT @ features for signal, features in zip(back[1:], seen[:-1], strict=True)]
        gradient = self.assembled(G.mT @ seen[-1] / self.N, gradients, back[0], G.sum(-2) / self.N)
        decays = self._decays(x)
        return loss.mean(-1) + (decays * x.square()).sum(-1) / 2, gradient + decays * x

    def hessian(self, x: Float[Tensor, "*batch P"]) -> Callable[[Float[Tensor, "*batch Q P"]], Tensor]:
        """The Hessian of f as a function that maps Q directions per point to products; a ReLU's kinks are left out."""
        check_points(x, self.size)
        W, inner, H, b = self.factorised(x.unsqueeze(-2))
        seen = self._forward(inner, H)
        logits, labels = seen[-1] @ W.mT + b.unsqueeze(-2), self.labels(x.device)
        G = self.loss.value_and_gradient(logits, labels)[1] / self.N
        of_loss = self.loss.hessian(logits, labels)
        back, decays = self._backward(W, inner, seen, G), self._decays(x)

        def product(v: Float[Tensor, "*batch Q P"]) -> Float[Tensor, "*batch Q P"]:
            dW, d_inner, dH, db = self.factorised(v)
            d_seen = [dH]
            for layer, d_layer, features in zip(inner, d_inner, seen, strict=False):
                d_seen.append(d_seen[-1] @ layer.mT + features @ d_layer.mT)
            d_seen[-1] = self._passed(d_seen[-1], seen[-1])
            R = of_loss(d_seen[-1] @ W.mT + seen[-1] @ dW.mT + db.unsqueeze(-2)) / self.N
            d_back = [self._passed(R @ W + G @ dW, seen[-1])]
            for layer, d_layer, signal in zip(inner[::-1], d_inner[::-1], back[::-1], strict=False):
                d_back.insert(0, d_back[0] @ layer + signal @ d_layer)
            pairs = zip(back[1:], d_back[1:], seen[:-1], d_seen[:-1], strict=True)
            gradients = [ds.mT @ features + s.mT @ df for s, ds, features, df in pairs]
            last = R.mT @ seen[-1] + G.mT @ d_seen[-1]
            return self.assembled(last, gradients, d_back[0], R.sum(-2)) + decays * v

        return product

    def _forward(self, inner: Layers, H: Tensor) -> list[Tensor]:
        """The features before every layer; the last are those that W sees."""
        seen = self._products(inner, H)
        return [*seen[:-1], self._passed(seen[-1], seen[-1])]

    def _products(self, inner: Layers, H: Tensor) -> list[Tensor]:
        """H and the output of each layer, before any ReLU."""
        return list(itertools.accumulate(inner, lambda features, layer: features @ layer.mT, initial=H))

    def _backward(self, W: Tensor, inner: Layers, seen: list[Tensor], G: Tensor) -> list[Tensor]:
        """The gradient in the output of every layer, that in H first."""
        signal = self._passed(G @ W, seen[-1])
        return list(itertools.accumulate(inner[::-1], torch.matmul, initial=signal))[::-1]

    def _passed(self, signal: Tensor, features: Tensor) -> Tensor:
        """The mask of what the ReLU lets through, from its output or input."""
        return signal * (features > 0) if self.is_rectified else signal

    def _decays(self, x: Tensor) -> Float[Tensor, " P"]:
        """The decay of every variable."""
        counts = [self.K * self.d, *[self.d**2] * len(self.inner), self.N * self.d, self.K * self.has_bias]
        decays = [self.decay_W, *self.inner, self.decay_H, self.decay_b or 0.0]
        return torch.repeat_interleave(x.new_tensor(decays), torch.tensor(counts, device=x.device))
