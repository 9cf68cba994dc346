"""The losses of `ufm` as criteria of an ordinary training loop: `Criterion(Focal(gamma=2.0))(net(x), labels)`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ufm.arguments import check_fields, instance, one_of, positive, takes
from ufm.labels import Labels, check_label_type, mark_labels
from ufm.model.loss import Logits, Loss, PerSample, checked_labels

REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"mean": torch.mean, "sum": torch.sum, "none": torch.positive}


class Criterion(nn.Module):
    """A loss of logits (N, K) and labels (N,): the mean over the N samples, their sum, or one number for each.

    `CrossEntropy()` and `LabelSmoothing(alpha)` are `torch.nn.CrossEntropyLoss`; `Focal(gamma)` is -(1 - p_y)^gamma
    log p_y; `SquaredError()` is 1/2 |z - e_y|^2, and with `convention="mean"`, the mean over entries too, it is
    `torch.nn.MSELoss` with one-hot labels. Logits in half precision are taken to float32, in which the result is.

    Args:
        loss: one of `ufm`'s, or one of your own that is a `ufm.Loss`.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: if the loss is no `Loss` or the reduction another word; when called, on labels that are not one
            class per sample. On CUDA and in compiled code, where nothing waits for labels to be read, one out of range
            is an assertion of the device.
    """

    @takes(loss=instance(Loss), reduction=one_of(tuple(REDUCTIONS)))
    def __init__(self, loss: Loss, reduction: str = "mean") -> None:
        super().__init__()
        self.loss, self.reduction = loss, reduction

    def forward(self, logits: Float[Tensor, "N K"], labels: Labels) -> Float[Tensor, "..."]:
        """The loss of these logits, reduced as asked for."""
        instance(Tensor).check("logits", logits)
        check_label_type(labels)
        labels = labels.long()
        if torch.compiler.is_compiling() or labels.is_cuda:
            _assert_later(labels, logits.shape[-1])
        labels = checked_labels(labels, logits)
        at_least_single = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return REDUCTIONS[self.reduction](self.loss(at_least_single, labels))

    def extra_repr(self) -> str:
        """Loss and reduction, for `print`."""
        return f"{self.loss}, reduction={self.reduction!r}"


class DotRegressionLoss(Criterion):
    """(z_y - s)^2 / (2 s) of the label's logit, s = `scale` (Yang et al. 2022, there s = sqrt(E_W E_H)).

    A feature is drawn to its class's vector and pushed from no other; the pushes are what imbalance distorts, they
    argue. It belongs behind logits that are at most s, as those of `ETFClassifier(d, K, scale=s, normalize=True)`:
    E_W = s^2 is the square of a row's length, E_H = 1 that of a feature's. Their code divides by 2 sqrt(E_H), the same
    for s = 1.

    Raises:
        ValueError: unless `scale` is positive and finite; as `Criterion`.
    """

    def __init__(self, scale: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(DotRegression(scale), reduction)


@dataclass(frozen=True)
class DotRegression(Loss):
    """(z_y - s)^2 / (2 s), s = `scale`."""

    scale: float = 1.0

    is_convex = True
    is_shift_invariant = False

    def __post_init__(self) -> None:
        check_fields(self, scale=positive)

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """The loss of each sample: half the squared distance of the label's logit from s, over s."""
        labels = checked_labels(labels, logits)
        own = logits.gather(-1, labels[:, None].expand(*logits.shape[:-1], 1))[..., 0]
        return (own - self.scale).square() / (2 * self.scale)


def _assert_later(labels: Tensor, count: int) -> None:
    """Let the device assert that labels are in [0, count), without the host waiting."""
    torch._assert_async(((labels >= 0) & (labels < count)).all(), f"`labels` must be in [0, {count}).")
    if not torch.compiler.is_compiling():
        mark_labels(labels, count)
