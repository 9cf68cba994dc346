"""The losses that the command line knows, with their exact gradients and Hessians in the logits.

Cross entropy and focal loss depend on the logits only through the *soft margin deficit*

    x = log(sum_{j != y} exp(z_j)) - z_y ,      1 - p_y = sigmoid(x) ,      -log p_y = log(1 + exp(x)) ,

so each is a function psi(x) and its derivatives in the logits follow from psi' and psi''. Written in x nothing cancels:
p_y = 1 - 1e-17 and logits of +-1e4 are as accurate as any other point.

A new loss is one subclass of `Loss` (`ufm/model/loss.py`) and its line in `LOSS_ENTRIES` (`ufm/specs.py`).

Every method refuses labels that are not one class per sample (`checked_labels`), with a ValueError.
Numeric parameters may be one number, or one per start: a float64 tensor (S,) where the logits are (S, ..., N, K).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor
from torch.nn import functional

from ufm.arguments import check_fields, instance, one_of, takes
from ufm.errors import check
from ufm.labels import Labels
from ufm.model import losses_compiled
from ufm.model.loss import LogitOperator, Logits, Loss, PerSample, checked_labels
from ufm.model.parameters import Parameter, along, check_parameter
from ufm.specs import LOSS_ENTRIES
from ufm.tolerances import DISTRIBUTION_EPS


class SoftMarginLoss(Loss):
    """A loss psi(x) of the soft margin deficit x = log(sum_{j != y} exp z_j) - z_y."""

    is_shift_invariant = True
    has_unit_gradient = True

    def of_deficit(self, x: Tensor) -> Tensor:
        """psi(x)."""
        raise NotImplementedError

    def slope(self, x: Tensor) -> Tensor:
        """psi'(x)."""
        raise NotImplementedError

    def curvature(self, x: Tensor) -> Tensor:
        """psi''(x)."""
        raise NotImplementedError

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """psi of each sample's deficit."""
        labels = checked_labels(labels, logits)
        others = torch.logsumexp(_without_label(logits, labels), -1)
        return self.of_deficit(others - _at_label(logits, labels))

    def value_and_gradient(self, logits: Logits, labels: Labels) -> tuple[PerSample, Logits]:
        """psi(x) and psi'(x) (w - e_y), w the softmax over the other classes."""
        labels = checked_labels(labels, logits)
        x, u = _deficit(logits, labels)
        return self.of_deficit(x), self.slope(x)[..., None] * u

    def hessian(self, logits: Logits, labels: Labels) -> LogitOperator:
        """v -> psi'' (w - e_y)(w - e_y)' v + psi' (diag(w) - w w') v."""
        labels = checked_labels(labels, logits)
        x, u = _deficit(logits, labels)
        w = u.clamp(min=0)
        slope, curvature = self.slope(x)[..., None], self.curvature(x)[..., None]

        def product(direction: Tensor) -> Tensor:
            along = (u * direction).sum(-1, keepdim=True)
            mean = (w * direction).sum(-1, keepdim=True)
            return curvature * along * u + slope * w * (direction - mean)

        return product


@dataclass(frozen=True)
class CrossEntropy(SoftMarginLoss):
    """-log p_y, p = softmax(z)."""

    is_convex = True

    @property
    def smoothing(self) -> Parameter:
        """The share of the target that all K classes divide equally: 0 here."""
        return 0.0

    def of_deficit(self, x: Tensor) -> Tensor:
        """log(1 + exp(x))."""
        return _softplus(x)

    def slope(self, x: Tensor) -> Tensor:
        """sigmoid(x) = 1 - p_y."""
        return torch.sigmoid(x)

    def curvature(self, x: Tensor) -> Tensor:
        """p_y (1 - p_y)."""
        return torch.sigmoid(x) * torch.sigmoid(-x)

    def conjugate(self, dual: Logits, labels: Labels) -> PerSample:
        """Negative entropy of dual + e_y where that is a distribution."""
        labels = checked_labels(labels, dual)
        return negative_entropy(dual + _one_hot(labels, dual))


@dataclass(frozen=True)
class LabelSmoothing(CrossEntropy):
    """-(1 - alpha) log p_y - (alpha / K) sum_j log p_j, cross entropy with the target (1 - alpha) e_y + alpha/K.

    Raises:
        ValueError: unless 0 <= alpha < 1.
    """

    alpha: Parameter = 0.05

    def __post_init__(self) -> None:
        check_parameter(lambda v: (v >= 0) & (v < 1), "LabelSmoothing(alpha=...)", self.alpha, "in [0, 1)")

    @property
    def smoothing(self) -> Parameter:
        """The share of the target that all K classes divide equally: alpha."""
        return self.alpha

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """Cross entropy plus alpha (z_y - mean(z))."""
        labels = checked_labels(labels, logits)
        linear = _at_label(logits, labels) - _mean(logits)
        return super().__call__(logits, labels) + along(self.alpha, linear) * linear

    def value_and_gradient(self, logits: Logits, labels: Labels) -> tuple[PerSample, Logits]:
        """Value and gradient of cross entropy plus alpha (z_y - mean(z)), which does not change the Hessian."""
        labels = checked_labels(labels, logits)
        value, gradient = super().value_and_gradient(logits, labels)
        K = logits.shape[-1]
        linear = _at_label(logits, labels) - _mean(logits)
        in_logits = along(self.alpha, gradient) * (_one_hot(labels, logits) - 1 / K)
        return value + along(self.alpha, linear) * linear, gradient + in_logits

    def conjugate(self, dual: Logits, labels: Labels) -> PerSample:
        """Negative entropy of dual + target where that is a distribution."""
        labels = checked_labels(labels, dual)
        K = dual.shape[-1]
        alpha = along(self.alpha, dual)
        return negative_entropy(dual + (1 - alpha) * _one_hot(labels, dual) + alpha / K)


@dataclass(frozen=True)
class Focal(SoftMarginLoss):
    """-(1 - p_y)^gamma log p_y (Lin et al. 2017); convex in the logits only where p_y is large enough.

    Raises:
        ValueError: unless 0 <= gamma <= 1e100.
    """

    gamma: Parameter = 3.0

    def __post_init__(self) -> None:
        check_parameter(lambda v: (v >= 0) & (v <= 1e100), "Focal(gamma=...)", self.gamma, "in [0, 1e100]")

    def of_deficit(self, x: Tensor) -> Tensor:
        """(1 - p)^gamma (-log p)."""
        return torch.exp(-along(self.gamma, x) * _softplus(-x)) * _softplus(x)

    def slope(self, x: Tensor) -> Tensor:
        """(1 - p)^gamma (gamma p (-log p) + 1 - p)."""
        gamma, log_q = along(self.gamma, x), -_softplus(-x)
        return torch.exp(gamma * log_q) * (gamma * _entropy_of_label(x) + torch.exp(log_q))

    def curvature(self, x: Tensor) -> Tensor:
        """p (1 - p)^gamma [gamma (gamma p - (1 - p)) (-log p) + (2 gamma + 1)(1 - p)]."""
        gamma, log_q = along(self.gamma, x), -_softplus(-x)
        p, q = torch.sigmoid(-x), torch.exp(log_q)
        return torch.exp(gamma * log_q) * (gamma * (gamma * p - q) * _entropy_of_label(x) + (2 * gamma + 1) * p * q)


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared distance of the logits to `rescale` times the one-hot label.

    `convention="half_norm"` is 1/2 |z - r e_y|^2, the theory's MSE; `convention="mean"` is (1/K) |z - r e_y|^2, whose
    mean over samples is the mean over all N*K entries that common training code (`F.mse_loss`) takes.

    Raises:
        ValueError: unless 1e-50 <= rescale <= 1e50 and the convention is one of the two.
    """

    rescale: Parameter = 1.0
    convention: Literal["half_norm", "mean"] = "half_norm"

    is_convex = True
    is_shift_invariant = False
    rotates_labels = True
    has_unit_gradient = True

    def __post_init__(self) -> None:
        allowed = "in [1e-50, 1e50]"
        check_parameter(lambda v: (v >= 1e-50) & (v <= 1e50), "SquaredError(rescale=...)", self.rescale, allowed)
        check_fields(self, convention=one_of(("half_norm", "mean")))

    def weight(self, K: int) -> float:
        """The factor k in k/2 |z - r e_y|^2: 1 for `half_norm`, 2/K for `mean`."""
        return 1.0 if self.convention == "half_norm" else 2 / K

    def in_own_units(self, K: int) -> tuple[Loss, Any, Any]:
        """1/2 |z' - e_y|^2 with z = r z'; the loss is weight r^2 times it."""
        return SquaredError(), self.weight(K) * self.rescale**2, self.rescale

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """weight/2 |z - r e_y|^2."""
        labels = checked_labels(labels, logits)
        residual = logits - along(self.rescale, logits) * _one_hot(labels, logits)
        return self.weight(logits.shape[-1]) / 2 * residual.square().sum(-1)

    def value_and_gradient(self, logits: Logits, labels: Labels) -> tuple[PerSample, Logits]:
        """The loss and weight (z - r e_y)."""
        labels = checked_labels(labels, logits)
        residual = logits - along(self.rescale, logits) * _one_hot(labels, logits)
        gradient = self.weight(logits.shape[-1]) * residual
        return (gradient * residual).sum(-1) / 2, gradient

    def hessian(self, logits: Logits, labels: Labels) -> LogitOperator:
        """v -> weight v."""
        checked_labels(labels, logits)
        return lambda direction: self.weight(logits.shape[-1]) * direction

    def conjugate(self, dual: Logits, labels: Labels) -> PerSample:
        """|dual|^2 / (2 weight) + r dual_y."""
        labels = checked_labels(labels, dual)
        own = _at_label(dual, labels)
        return dual.square().sum(-1) / (2 * self.weight(dual.shape[-1])) + along(self.rescale, own) * own


LOSSES: dict[str, type[Loss]] = {name: globals()[entry.kind] for name, entry in LOSS_ENTRIES.items()}


@takes(spec=instance(Mapping))
def make_loss(spec: Mapping[str, int | float | str]) -> Loss:
    """Make the loss that a name and parameters specify: `make_loss({"name": "focal", "gamma": 2})` is `Focal(2.0)`.

    Raises:
        ValueError: on an unknown name, an unknown parameter, or a value the loss refuses.
    """
    parameters = dict(spec)
    name = parameters.pop("name", None)
    check(name in LOSSES, "--loss", name, f"one of {', '.join(LOSSES)}")
    allowed = {field.name: field.type for field in dataclasses.fields(LOSSES[str(name)])}  # type: ignore[arg-type]
    for key, value in parameters.items():
        known = ", ".join(f"--loss.{field}" for field in allowed) or "no parameters"
        check(key in allowed, f"--loss.{key}", value, f"left out: the loss {name} takes {known}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        check(is_number or allowed[key] != Parameter, f"--loss.{key}", value, "a number")
        choices = get_args(allowed[key]) if get_origin(allowed[key]) is Literal else ()
        check(not choices or value in choices, f"--loss.{key}", value, f"one of {', '.join(map(str, choices))}")
    converted: dict[str, Any] = {
        key: float(value) if allowed[key] == Parameter else value for key, value in parameters.items()
    }
    return LOSSES[str(name)](**converted)


@takes(loss=instance(Loss))
def parameters_of(loss: Loss) -> dict[str, Any]:
    """All parameters of a loss that `make_loss` made, defaults included, by name."""
    return dataclasses.asdict(loss)  # type: ignore[call-overload]


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)); beyond 40 it is x to the last bit."""
    return functional.softplus(x, threshold=40.0)


def _entropy_of_label(x: Tensor) -> Tensor:
    """-p log p; beyond 800 p is zero, and zero times an infinite -log p would not be."""
    return torch.sigmoid(-x) * _softplus(x.clamp(max=800.0))


def _mean(z: Tensor) -> Tensor:
    """The mean over classes; the sum of logits of 1e308 would overflow."""
    return (z * (1 / z.shape[-1])).sum(-1)


def _one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """(N, K) in the dtype of `like`, with the samples innermost as the model's logits have them."""
    return (torch.arange(like.shape[-1], device=labels.device)[:, None] == labels).to(like.dtype).mT


def _at_label(z: Tensor, labels: Tensor) -> Tensor:
    """z[..., i, y_i]."""
    index = labels[:, None].expand(*z.shape[:-1], 1)
    return z.gather(-1, index)[..., 0]


def _without_label(z: Tensor, labels: Tensor) -> Tensor:
    """z with -inf in place of the label's entry."""
    return z.masked_fill(_one_hot(labels, z).bool(), -math.inf)


def _deficit(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The soft margin deficit x and its gradient u = w - e_y, w the softmax over the other classes."""
    if losses_compiled.serves(logits):
        return losses_compiled.deficit(logits, labels)
    others = _without_label(logits, labels)
    top = others.amax(-1, keepdim=True)
    w = torch.exp(others - top)
    total = w.sum(-1, keepdim=True)
    x = (top + torch.log(total))[..., 0] - _at_label(logits, labels)
    return x, w.div_(total).sub_(_one_hot(labels, w))


def negative_entropy(p: Tensor) -> Tensor:
    """sum p log p, +inf where p is not a distribution (tolerance: rounding)."""
    tolerance = DISTRIBUTION_EPS * torch.finfo(p.dtype).eps
    is_distribution = (p.amin(-1) >= -tolerance) & ((p.sum(-1) - 1).abs() <= tolerance)
    p = p.clamp(min=0)
    entropy = torch.xlogy(p, p).sum(-1)
    return torch.where(is_distribution, entropy, torch.full_like(entropy, math.inf))
