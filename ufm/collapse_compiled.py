"""Sums of features by class on CPU cores: one addition a number, where a product with one-hot labels takes K.

Columns are summed in parallel, so that no two threads write the same sums.
"""

from typing import no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.command_line import check
from ufm.compiled import array_of, parallel_kernel, use_threads_of_torch

COLUMNS = 256
"""Columns at a time: the sums of some ten classes stay in a core's first cache."""


def can_take(H: Tensor) -> bool:
    """One set of features on the CPU in single or double precision, its rows without gaps."""
    return H.ndim == 2 and H.device.type == "cpu" and H.dtype in (torch.float32, torch.float64) and H.is_contiguous()


def add_class_sums(
    H: Float[Tensor, "n d"], labels: Int[Tensor, " n"], shift: Float[Tensor, "1 d"], sums: Float[Tensor, "K d"]
) -> None:
    """Add each sample's h - shift, a difference in the features' precision, to its class's row of float64 `sums`."""
    (n, d), K, dtype = H.shape, len(sums), np.float32 if H.dtype == torch.float32 else np.float64
    arrays = array_of("H", H, (n, d), dtype), array_of("labels", labels.long(), (n,), np.int64)
    is_plain = sums.shape == (K, d) and sums.dtype == torch.float64 and sums.is_contiguous()
    check(is_plain, "sums", f"{sums.dtype} {tuple(sums.shape)}", f"float64 ({K}, {d}) without gaps")
    in_range = not n or (int(labels.min()) >= 0 and int(labels.max()) < K)
    check(in_range, "labels", "others", f"in [0, {K - 1}]")
    use_threads_of_torch()
    _add(*arrays, array_of("shift", shift, (1, d), dtype)[0], sums.numpy())


@parallel_kernel
@no_type_check
def _add(H, labels, shift, sums):
    n, d = H.shape
    for block in numba.prange((d + COLUMNS - 1) // COLUMNS):
        low, high = block * COLUMNS, min(d, (block + 1) * COLUMNS)
        for i in range(n):
            k = labels[i]
            for c in range(low, high):
                sums[k, c] += np.float64(H[i, c] - shift[c])
