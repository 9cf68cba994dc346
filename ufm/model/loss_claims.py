"""Measures the properties of a loss: those that it does not state, and whether those that it states hold.

Each answer is a counterexample (up to rounding) or the absence of one at random logits: numeric evidence.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.errors import check
from ufm.model.loss import Loss
from ufm.tolerances import LOSS_CLAIM_ROUNDING

SAMPLES = 256
SCALES = (0.1, 1.0, 5.0)
WHOLE = 8
"""Samples with logits of several classes at a time, where label space is rotated."""


def is_shift_invariant(loss: Loss, K: int) -> bool:
    """Whether a constant added to all logits of a sample changes nothing."""
    z, labels = _points(loss, K)
    shift = torch.linspace(-3, 3, len(z), dtype=z.dtype)[:, None]
    return _largest(loss(z + shift, labels) - loss(z, labels), loss(z, labels)) <= LOSS_CLAIM_ROUNDING


def is_class_symmetric(loss: Loss, K: int) -> bool:
    """Whether renaming the classes, of logits and labels alike, changes nothing."""
    z, labels = _points(loss, K)
    value = loss(z, labels)
    order = torch.rand(z.shape, generator=torch.Generator().manual_seed(1)).argsort(1)
    member = torch.tensor([[k in chosen for k in range(K)] for chosen in loss.label_sets(K)])
    is_renamed = (member[labels].gather(1, order)[:, None] == member).all(2)  # to which label, if to any
    change = loss(z.gather(1, order), is_renamed.int().argmax(1)) - value
    return _largest(torch.where(is_renamed.any(1), change, 0.0), value) <= LOSS_CLAIM_ROUNDING


def check_claims(loss: Loss, K: int) -> None:
    """Refuse a loss that states a property of itself that a measurement contradicts.

    Raises:
        ValueError: naming the claim.
    """
    said = loss.is_shift_invariant
    found = {
        "is_shift_invariant": said is None or said == is_shift_invariant(loss, K),
        "is_convex": not loss.is_convex or _is_below_its_chords(loss, K),
        "conjugate": not loss.has_conjugate or _meets_its_conjugate(loss, K),
        "rotates_labels": not loss.rotates_labels or _survives_rotations(loss, K),
    }
    for claim, holds in found.items():
        says = f"{type(loss).__name__} with {claim} = {getattr(loss, claim)}"
        got = says if claim != "conjugate" else f"{type(loss).__name__} with a conjugate of another function"
        check(holds, "--loss", got, "what it says of itself (at random logits it is not)")


def _is_below_its_chords(loss: Loss, K: int) -> bool:
    """At the middle of two points the loss is at most the mean of theirs."""
    a, labels = _points(loss, K)
    b = a.roll(loss.label_count(K), 0)  # of the same label
    between, ends = loss((a + b) / 2, labels), (loss(a, labels) + loss(b, labels)) / 2
    return _largest((between - ends).clamp(min=0), ends) <= LOSS_CLAIM_ROUNDING


def _meets_its_conjugate(loss: Loss, K: int) -> bool:
    """loss(z) + conjugate(g) = <g, z> at the gradient g (Fenchel and Young)."""
    z, labels = _points(loss, K)
    value, gradient = loss.value_and_gradient(z, labels)
    return _largest(value + loss.conjugate(gradient, labels) - (gradient * z).sum(-1), value) <= LOSS_CLAIM_ROUNDING


def _survives_rotations(loss: Loss, K: int) -> bool:
    """Rotating K logits of one sample per class, and the samples alike, keeps their sum."""
    generator = torch.Generator().manual_seed(2)
    Z = torch.randn(WHOLE, K, K, dtype=torch.float64, generator=generator)
    turn = torch.linalg.qr(torch.randn(K, K, dtype=torch.float64, generator=generator))[0]
    before, after = (loss(each, torch.arange(K)).sum(-1) for each in (Z, turn @ Z @ turn.mT))
    return _largest(after - before, before) <= LOSS_CLAIM_ROUNDING


def _points(loss: Loss, K: int) -> tuple[Float[Tensor, "M K"], Int[Tensor, " M"]]:
    """Normal logits of several sizes, every label in turn."""
    count = loss.label_count(K) * -(-SAMPLES // loss.label_count(K))
    z = torch.randn(len(SCALES), count, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z *= torch.tensor(SCALES, dtype=z.dtype)[:, None, None]
    return z.flatten(0, 1), torch.arange(len(SCALES) * count) % loss.label_count(K)


def _largest(difference: Tensor, value: Tensor) -> float:
    """The largest difference, relative to the largest value; infinite where something is no number."""
    found = float(difference.abs().amax() / value.abs().amax().clamp(min=1e-300))
    return math.inf if math.isnan(found) else found
