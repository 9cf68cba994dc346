"""The soft margin deficit of many small samples on CPU cores: one compiled pass instead of ten tensor operations."""

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.compiled import array_of, exp, kernel


def serves(logits: Tensor) -> bool:
    """Whether these loops can do it."""
    return logits.device.type == "cpu" and logits.dtype == torch.float64 and not logits.requires_grad


def deficit(
    logits: Float[Tensor, "*batch N K"], labels: Int[Tensor, " N"]
) -> tuple[Float[Tensor, "*batch N"], Float[Tensor, "*batch N K"]]:
    """x = log(sum_{j != y} exp z_j) - z_y, and its gradient in the logits, softmax over the other classes minus e_y."""
    z = logits.detach().mT.contiguous()
    flat = z.view(-1, *z.shape[-2:])
    gradient, gap, total = torch.empty_like(flat), torch.empty_like(flat[:, 0]), torch.empty_like(flat[:, 0])
    numbers = array_of("labels", labels.long(), z.shape[-1:], np.int64)
    _deficit(numbers, flat.numpy(), gradient.numpy(), gap.numpy(), total.numpy())
    return gap.add_(total.log_()).view(logits.shape[:-1]), gradient.view_as(z).mT


@kernel
@no_type_check
def _deficit(labels, z, gradient, gap, total):
    """gap = max_{j != y} z_j - z_y; total = sum_{j != y} exp(z_j - max); gradient in z of gap + log(total)."""
    B, K, N = z.shape
    top, own = np.empty(N), np.empty(N)
    for start in range(B):
        top[:], total[start] = -np.inf, 0.0
        for k in range(K):
            for i in range(N):
                is_own = labels[i] == k
                own[i] = z[start, k, i] if is_own else own[i]
                top[i] = z[start, k, i] if z[start, k, i] > top[i] and not is_own else top[i]
        for k in range(K):
            for i in range(N):
                e = 0.0 if labels[i] == k else exp(z[start, k, i] - top[i])
                total[start, i] += e
                gradient[start, k, i] = e
        for i in range(N):
            gap[start, i] = top[i] - own[i]
            top[i] = 1 / total[start, i]
        for k in range(K):
            for i in range(N):
                gradient[start, k, i] = -1.0 if labels[i] == k else gradient[start, k, i] * top[i]
