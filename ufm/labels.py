"""Labels of samples: integers, checked once for each tensor."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from ufm.errors import check

Labels = Integer[Tensor, " N"]
_MARK = "_ufm_labels"
"""Attribute of a label tensor: below which number its labels are known to lie, and the version that was read."""


def one_per_sample(labels: Labels, samples: Float[Tensor, "*batch N m"], count: int) -> Labels:
    """The labels as int64, checked to be one per row of `samples` and in [0, `count`).

    Raises:
        ValueError: as `checked_labels`.
    """
    check_label_type(labels)
    shape = tuple(samples.shape[-2:-1])
    check(labels.shape == shape, "labels", described(labels), f"one class per sample, a tensor {shape}")
    check(labels.device == samples.device, "labels", labels.device, f"where the samples are, on {samples.device}")
    return labels_below(labels, count)


def check_label_type(labels: object) -> None:
    """Refuse labels that are not a tensor of integers.

    Raises:
        ValueError: naming its type.
    """
    is_integer = isinstance(labels, Tensor) and not (labels.is_floating_point() or labels.is_complex())
    is_integer = is_integer and labels.dtype != torch.bool  # type: ignore[attr-defined]
    check(is_integer, "labels", described(labels), "a tensor of integers")


def int64_of(labels: Integer[Tensor, "..."]) -> Integer[Tensor, "..."]:
    """Integers as int64.

    Raises:
        ValueError: if a label of uint64 is no int64.
    """
    found = labels.long()
    if labels.dtype == torch.uint64:
        check(bool((found >= 0).all()), "labels", "2^63 or more", "integers below 2^63")
    return found


def labels_below(labels: Labels, count: int) -> Labels:
    """Integers as int64, if all lie in [0, count); read unless they are marked, or the code is compiled, which cannot.

    Raises:
        ValueError: naming a label outside.
    """
    labels = int64_of(labels)
    if torch.compiler.is_compiling() or _is_marked(labels, count) or labels.numel() == 0:
        return labels
    for label in torch.stack(torch.aminmax(labels)).tolist():
        check(0 <= label < count, "labels", label, f"in [0, {count})")
    mark_labels(labels, count)
    return labels


def mark_labels(labels: Labels, count: int) -> None:
    """Mark labels as known to lie in [0, count), so that they are not checked again: parts of labels that were."""
    if not labels.is_inference():  # such tensors do not count how often they are written to
        setattr(labels, _MARK, (count, labels._version))


def _is_marked(labels: Labels, count: int) -> bool:
    below, version = getattr(labels, _MARK, (None, None))
    return below is not None and below <= count and version == labels._version


def described(value: object) -> str:
    """Type and shape of a value, for an error message."""
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
