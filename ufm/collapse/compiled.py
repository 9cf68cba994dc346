"""Sums of features by class, and deviations from class means, on CPU cores: one pass through memory each.

A sum takes one addition a number, where a product with one-hot labels takes K. Sums are shared out by columns and
deviations by rows, so that no two threads write the same numbers.
"""

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.compiled import array_of, sum_kernel
from ufm.errors import check
from ufm.parallel import share_out

COLUMNS = 256
"""Columns at a time: the sums of some ten classes stay in a core's first cache."""


def add_class_sums(
    H: Float[Tensor, "n d"], labels: Int[Tensor, " n"], shift: Float[Tensor, "K d"], sums: Float[Tensor, "K d"]
) -> None:
    """Add each sample's h - shift_y, a difference in the features' precision, to its class's row of float64 `sums`."""
    (n, d), K, dtype = H.shape, len(sums), np.float32 if H.dtype == torch.float32 else np.float64
    arrays = array_of("H", H, (n, d), dtype), array_of("labels", labels.long(), (n,), np.int64)
    is_plain = sums.shape == (K, d) and sums.dtype == torch.float64 and sums.is_contiguous()
    check(is_plain, "sums", f"{sums.dtype} {tuple(sums.shape)}", f"float64 ({K}, {d}) without gaps")
    in_range = not n or (int(labels.min()) >= 0 and int(labels.max()) < K)
    check(in_range, "labels", "others", f"in [0, {K - 1}]")
    blocks = (d + COLUMNS - 1) // COLUMNS
    share_out(_add, blocks, *arrays, array_of("shift", shift, (K, d), dtype), sums.numpy())


def deviations(
    H: Float[Tensor, "n d"], labels: Int[Tensor, " n"], means: Float[Tensor, "K d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """x = h - mean_y in the features' precision, and |x|^2 in float64, where a float32's square has room."""
    x, squares = torch.empty_like(H), H.new_empty(len(H), dtype=torch.float64)
    share_out(_deviations, len(H), H.numpy(), labels.numpy(), means.numpy(), x.numpy(), squares.numpy())
    return x, squares


@sum_kernel
@no_type_check
def _add(H, labels, shift, sums, first_block, beyond):
    n, d = H.shape
    for block in range(first_block, beyond):
        low, high = block * COLUMNS, min(d, (block + 1) * COLUMNS)
        for i in range(n):
            k = labels[i]
            for c in range(low, high):
                sums[k, c] += np.float64(H[i, c] - shift[k, c])


@sum_kernel
@no_type_check
def _deviations(H, labels, means, x, squares, first, beyond):
    d = H.shape[1]
    for i in range(first, beyond):
        k, total = labels[i], 0.0
        for c in range(d):
            x[i, c] = H[i, c] - means[k, c]
        for c in range(d):
            total += np.float64(x[i, c]) * np.float64(x[i, c])
        squares[i] = total
