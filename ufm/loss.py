"""What a loss is: one number per sample from its logits; gradient, Hessian product and convex conjugate go with it.

The losses themselves are in `ufm/losses.py`. One of your own is a subclass with a `__call__`: gradient and Hessian
product then come from automatic differentiation.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from ufm.command_line import check

Logits = Float[Tensor, "*batch N K"]
Labels = Integer[Tensor, " N"]
PerSample = Float[Tensor, "*batch N"]
LogitOperator = Callable[[Float[Tensor, "*more N K"]], Float[Tensor, "*more N K"]]
_MARK = "_ufm_labels"
"""Attribute of a label tensor: below which number its labels are known to lie, and the version that was read."""


class Loss:
    """A loss: (logits, labels) -> one number per sample, no factor 1/N. Samples must not see each other."""

    is_convex = False
    """Whether the loss is convex in the logits (a certificate of global optimality exists only then)."""

    is_shift_invariant = True
    """Whether a constant added to all logits of a sample changes nothing; then 1'W = 0 at every critical point."""
    rotates_labels = False
    """Whether rotations of label space are symmetries, not only permutations of the classes."""

    def label_count(self, K: int) -> int:
        """How many labels there are: the K classes, unless a label is something else."""
        return K

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """The loss of each sample."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(logits, labels).")

    def value_and_gradient(self, logits: Logits, labels: Labels) -> tuple[PerSample, Logits]:
        """The loss of each sample and its gradient in that sample's logits.

        Raises:
            ValueError: if the loss is not one number per sample in the precision of the logits.
        """
        with torch.enable_grad():
            z = logits.detach().requires_grad_()
            value = self(z, labels)
            got, expected = ((each.dtype, tuple(each.shape)) for each in (value, z[..., 0]))
            check(got == expected, f"{type(self).__name__}(...)", got, f"one number per sample, {expected}")
            (gradient,) = torch.autograd.grad(value.sum(), z)
        return value.detach(), gradient

    def hessian(self, logits: Logits, labels: Labels) -> LogitOperator:
        """Second derivative in each sample's logits, as a function direction -> product (leading axes broadcast)."""

        def product(direction: Tensor) -> Tensor:
            z, v = (logits + torch.zeros_like(direction)).detach(), (direction + torch.zeros_like(logits)).detach()
            with torch.enable_grad():
                z = z.clone().requires_grad_()
                (gradient,) = torch.autograd.grad(self(z, labels).sum(), z, create_graph=True)
                along = (gradient * v).sum()
                if not along.requires_grad:  # the loss is linear
                    return torch.zeros_like(v)
                (result,) = torch.autograd.grad(along, z)
            return result

        return product

    def conjugate(self, dual: Logits, labels: Labels) -> PerSample:
        """Convex conjugate sup_z <dual, z> - loss(z) of each sample, +inf outside its domain.

        Raises:
            NotImplementedError: if the loss is not convex or nobody has written its conjugate.
        """
        raise NotImplementedError(f"{self} has no convex conjugate: it is not convex, or nobody has written it.")


def checked_labels(labels: Labels, logits: Logits, count: int | None = None) -> Labels:
    """The labels as int64, if there is one in [0, `count`) for each sample; `count` is K unless given.

    Reading them makes the host wait for an accelerator. So a tensor that was found right is marked, and not read again
    until it is written to: a loop over one tensor of labels reads it once, and one over batches marks them itself
    (`mark_labels`).

    Raises:
        ValueError: on another type, shape or device, or a label outside; names it.
    """
    is_logits = isinstance(logits, Tensor) and logits.is_floating_point() and logits.ndim >= 2
    check(is_logits, "logits", described(logits), "a floating-point tensor (..., samples, classes)")
    return one_per_sample(labels, logits, logits.shape[-1] if count is None else count)


def one_per_sample(labels: Labels, samples: Float[Tensor, "*batch N m"], count: int) -> Labels:
    """The labels as int64, if there is one in [0, `count`) for each row of `samples`.

    Raises:
        ValueError: as `checked_labels`.
    """
    check_label_type(labels)
    shape = tuple(samples.shape[-2:-1])
    check(labels.shape == shape, "labels", described(labels), f"one class per sample, a tensor {shape}")
    check(labels.device == samples.device, "labels", labels.device, f"where the samples are, on {samples.device}")
    return labels_below(labels, count)


def check_label_type(labels: object) -> None:
    """Refuse what is not a tensor of integers.

    Raises:
        ValueError: naming its type.
    """
    is_integer = isinstance(labels, Tensor) and not (labels.is_floating_point() or labels.is_complex())
    is_integer = is_integer and labels.dtype != torch.bool  # type: ignore[attr-defined]
    check(is_integer, "labels", described(labels), "a tensor of integers")


def labels_below(labels: Labels, count: int) -> Labels:
    """Integers as int64, if all lie in [0, count); read unless they are marked.

    Raises:
        ValueError: naming a label outside.
    """
    labels = labels.long()
    if _is_marked(labels, count) or labels.numel() == 0:
        return labels
    for label in torch.stack(torch.aminmax(labels)).tolist():
        check(0 <= label < count, "labels", label, f"in [0, {count})")
    mark_labels(labels, count)
    return labels


def mark_labels(labels: Labels, count: int) -> None:
    """Say that all these labels lie in [0, count), so that nobody need read them: rows of labels that were read."""
    if not labels.is_inference():  # such tensors do not count how often they are written to
        setattr(labels, _MARK, (count, labels._version))


def _is_marked(labels: Labels, count: int) -> bool:
    below, version = getattr(labels, _MARK, (None, None))
    return below is not None and below <= count and version == labels._version


def described(value: object) -> str:
    """Type and shape, for a complaint."""
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
