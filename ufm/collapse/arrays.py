"""Conversion of a caller's arrays, of numpy or torch in any precision, to the tensors that the sums take."""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ufm.errors import check, complaint
from ufm.labels import check_label_type, described, int64_of

IGNORED = -100
"""The label of samples that are left out, as in `torch.nn.functional.cross_entropy`."""
LARGEST_CLASS = 2**24
"""The largest label allowed, above any vocabulary: one wrong label must not ask for billions of class means."""


def tensor_of(argument: str, value: Any) -> Tensor:
    """The value as a tensor without gradient; an array of numpy is not copied.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.dtype.itemsize <= 8:
        value = value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
        value = value if min(value.strides, default=0) >= 0 else value.copy()  # torch counts forwards only
        with warnings.catch_warnings(action="ignore"):  # that it may not be written to: nobody will
            return torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise complaint(argument, shown(value), "a tensor or an array of numbers")
    odd = _oddness(value)
    check(not odd, argument, odd, "a dense tensor of integers or of floats of 16 bits or more")
    return value.detach()


def _oddness(value: Tensor) -> str:
    """Why not every number of a tensor lies in memory, in a type that can be computed with; nothing if it does."""
    if value.is_nested:
        return "a nested one"
    if value.layout != torch.strided:
        return f"one whose layout is {value.layout}"
    is_small = value.is_floating_point() and value.dtype.itemsize < 2
    return "one on the device meta" if value.is_meta else f"{value.dtype}" if value.is_quantized or is_small else ""


def labels_of(labels: Any) -> Tensor:
    """Labels of any integer type as int64.

    Raises:
        ValueError: if they are not integers.
    """
    labels = tensor_of("labels", labels)
    check_label_type(labels)
    check(labels.ndim == 1, "labels", described(labels), "one class per sample, a tensor (samples,)")
    return int64_of(labels)


def number_of_classes(labels: Tensor, W: Tensor | None, asked: int | None, ignore_index: int) -> int:
    """The number of classes: the rows of W, else the number asked for, else one more than the largest label.

    Raises:
        ValueError: if W and what was asked for differ, or no label is left.
    """
    if W is not None:
        check(asked in (None, W.shape[-2]), "num_classes", asked, f"{W.shape[-2]}, the rows of W, or left out")
        return W.shape[-2]
    if asked is not None:
        return asked
    kept = labels[labels != ignore_index]
    check(len(kept) > 0, "labels", f"{len(labels)} labels", f"such that a sample is left (label {ignore_index}: none)")
    largest = int(kept.max())
    check(0 <= largest < LARGEST_CLASS, "labels", largest, f"in [0, {LARGEST_CLASS})")
    return largest + 1


def last_layer_of(W: Any, b: Any, d: int | None = None) -> tuple[Tensor | None, Tensor | None]:
    """W and b in float64; b is zero where only W is given.

    Raises:
        ValueError: if they are not a matrix (for features of `d` dimensions, if given) and a number for each of its
            rows, or b comes without W.
    """
    if W is None:
        check(b is None, "b", shown(b), "left out where there is no W")
        return None, None
    W = tensor_of("W", W)
    columns = "d)" if d is None else f"{d}), as features have {d} dimensions"
    is_matrix = W.ndim >= 2 and W.is_floating_point() and d in (None, W.shape[-1])
    check(is_matrix, "W", described(W), f"a floating-point tensor (..., classes, {columns}")
    b = W.new_zeros(W.shape[:-1]) if b is None else tensor_of("b", b)
    allowed = f"a floating-point tensor {tuple(W.shape[:-1])}, one bias for each row of W {tuple(W.shape)}"
    check(b.shape == W.shape[:-1] and b.is_floating_point(), "b", described(b), allowed)
    return W.double(), b.double()


def shown(value: object) -> str:
    """Type and shape of a value, for an error message."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else described(value)
