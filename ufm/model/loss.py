"""What a loss is: one number per sample from its logits; gradient, Hessian product and convex conjugate go with it.

The losses themselves are in `ufm/model/losses.py`. One of your own is a subclass with a `__call__`: gradient and
Hessian product then come from automatic differentiation. What a loss says about itself here is all that the rest asks
of it; `ufm/model/loss_claims.py` holds it against the loss's values.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ufm.errors import check
from ufm.labels import Labels, described, one_per_sample

Logits = Float[Tensor, "*batch N K"]
PerSample = Float[Tensor, "*batch N"]
LogitOperator = Callable[[Float[Tensor, "*more N K"]], Float[Tensor, "*more N K"]]


class Loss:
    """A loss: it maps logits and labels to one number per sample (no factor 1/N), which depends on that sample only."""

    is_convex = False
    """Whether the loss is convex in the logits."""
    is_shift_invariant: bool | None = None
    """Whether adding a constant to all logits of a sample changes nothing; None: `Model` measures it."""
    rotates_labels = False
    """Whether rotations of label space are symmetries, not only permutations of the classes."""
    has_unit_gradient = False
    """Whether its gradients are of the size of cross entropy's; if not, their ratio is measured and taken as a unit."""

    @property
    def has_conjugate(self) -> bool:
        """Whether the loss has a `conjugate`, which the dual bound of the global minimum needs."""
        return self.is_convex and type(self).conjugate is not Loss.conjugate

    @property
    def on_samples(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The callable that computes the loss of samples (M, K): the loss itself, or the function that it wraps."""
        return self

    def label_sets(self, K: int) -> tuple[tuple[int, ...], ...]:
        """The classes that each label stands for: label k is class k, unless the loss has labels that are sets."""
        return tuple((k,) for k in range(K))

    def label_count(self, K: int) -> int:
        """The number of different labels."""
        return K

    def in_own_units(self, K: int) -> tuple["Loss", Any, Any]:
        """The loss in its own units, and the unit of its value and that of the logits."""
        return self, 1.0, 1.0

    def is_right(self, logits: Float[Tensor, "n K"], labels: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether the largest logit of each sample is its label's."""
        return logits.argmax(-1) == labels

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
        """The second derivative in each sample's logits, as a function direction -> product; leading axes broadcast."""

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
        """The convex conjugate sup_z <dual, z> - loss(z) of each sample, +inf outside its domain.

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
