"""The losses of many small samples on CPU cores: compiled passes instead of tensor operations.

Samples are innermost, since their number is the largest size. Formulas and names are those of `ufm/model/losses.py`.
"""

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.compiled import array_of, copy, exp, kernel, log, log1p, part, sum_part

SOFTMAX, FOCAL, SQUARED = range(3)
"""The forms that `losses` knows, each with two parameters: smoothing; gamma; rescale and weight."""


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
    factor, own = np.empty(N), np.ones(N)
    for start in range(B):
        for k in range(K):
            copy(z[start, k], gradient[start, k])
        _exponentials(labels, gradient[start], gap[start], total[start], factor)
        for i in range(N):
            factor[i] = 1 / total[start, i]
        _scale(labels, factor, own, 0.0, gradient[start])


@kernel
@no_type_check
def losses(form, first, second, labels, z, room):
    """The sum of the samples' losses; z, their logits, becomes its gradient in them; room for 4 numbers a sample."""
    if form == SQUARED:
        return _squared_error(first, second, labels, z)
    gap, total, factor, own = room[0], room[1], room[2], room[3]
    linear = 0.0
    if form == SOFTMAX and first > 0:
        linear = first * _above_the_mean(labels, z)
    _exponentials(labels, z, gap, total, factor)
    if form == SOFTMAX:
        value = linear + _cross_entropy(gap, total, factor, own)
        _scale(labels, factor, own, first, z)
    else:
        value = _focal(first, gap, total, factor, own)
        _scale(labels, factor, own, 0.0, z)
    return value


@part
@no_type_check
def _exponentials(labels, z, gap, total, top):
    """z becomes exp(z - top), top the largest of other classes, and zero for the label; total is its sum."""
    K, N = z.shape
    for i in range(N):
        top[i], total[i] = -np.inf, 0.0
    for k in range(K):
        for i in range(N):
            is_own = labels[i] == k
            gap[i] = z[k, i] if is_own else gap[i]
            top[i] = z[k, i] if z[k, i] > top[i] and not is_own else top[i]
    for k in range(K):
        for i in range(N):
            e = 0.0 if labels[i] == k else exp(z[k, i] - top[i])
            total[i] += e
            z[k, i] = e
    for i in range(N):
        gap[i] = top[i] - gap[i]


@part
@no_type_check
def _scale(labels, factor, own, smoothing, z):
    """z becomes factor z, for the label -own, plus smoothing (e_y - 1/K)."""
    K, N = z.shape
    others = smoothing / K
    for k in range(K):
        for i in range(N):
            z[k, i] = (smoothing - own[i] if labels[i] == k else factor[i] * z[k, i]) - others


@sum_part
@no_type_check
def _above_the_mean(labels, z):
    """The sum over samples of z_y - mean(z)."""
    K, N = z.shape
    total = 0.0
    for k in range(K):
        for i in range(N):
            total += (1.0 if labels[i] == k else 0.0) * z[k, i] - z[k, i] * (1 / K)
    return total


@sum_part
@no_type_check
def _cross_entropy(gap, total, factor, own):
    """The sum of log(1 + exp(x)), x = gap + log(total); the slopes, and these by the totals."""
    value = 0.0
    for i in range(len(gap)):
        x = gap[i] + log(total[i])
        e = exp(-abs(x))
        value += (x if x > 0 else 0.0) + log1p(e)
        own[i] = (1.0 if x > 0 else e) / (1.0 + e)
        factor[i] = own[i] / total[i]
    return value


@sum_part
@no_type_check
def _focal(gamma, gap, total, factor, own):
    """The sum of q^gamma log(1 + exp(x)), q = 1 - p = sigmoid(x); the slopes, and these by the totals."""
    value = 0.0
    for i in range(len(gap)):
        x = gap[i] + log(total[i])
        e = exp(-abs(x))
        near, far = log1p(e), log1p(e) + abs(x)
        minus_log_p, minus_log_q = (far, near) if x > 0 else (near, far)
        p, q = (e / (1.0 + e), 1 / (1.0 + e)) if x > 0 else (1 / (1.0 + e), e / (1.0 + e))
        power = exp(-gamma * minus_log_q)
        value += power * minus_log_p
        own[i] = power * (gamma * (p * min(minus_log_p, 800.0)) + q)  # beyond 800 p is zero
        factor[i] = own[i] / total[i]
    return value


@sum_part
@no_type_check
def _squared_error(rescale, weight, labels, z):
    K, N = z.shape
    total = 0.0
    for k in range(K):
        for i in range(N):
            residual = z[k, i] - (rescale if labels[i] == k else 0.0)
            total += residual * residual
            z[k, i] = weight * residual
    return weight / 2 * total
