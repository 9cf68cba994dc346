"""The feature model's matrix products for many small starts on CPU cores: compiled loops instead of library calls.

A library's matrix product costs microseconds before it computes anything, which is all that a start of a few thousand
variables takes. Here every loop runs over the samples, whose number is the largest size.
"""

from collections.abc import Callable
from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.compiled import array_of, kernel, part, square, sum_part
from ufm.errors import check
from ufm.model.losses_compiled import losses

LARGEST = 2**17
"""Features and logits per start, in numbers, up to which the loops are faster (they fit the core's cache)."""


class Objective(NamedTuple):
    """The objective of every start in numbers: all that `value_and_gradient` asks.

    Attributes:
        K, d: as in the problem.
        form: of the loss, one that `losses` knows.
        labels: class of each sample.
        numbers: a start's factor of the summed losses, decays of W, H and b, and the two parameters of the loss.
    """

    K: int
    d: int
    form: int
    labels: Int[np.ndarray, " N"]
    numbers: Float[np.ndarray, "S 6"]


class Room(NamedTuple):
    """Memory for one evaluation: logits and their gradient, W', and 4 numbers a sample."""

    Z: Float[np.ndarray, "K N"]
    Wt: Float[np.ndarray, "d K"]
    samples: Float[np.ndarray, "4 N"]

    @classmethod
    def unset(cls, K: int, d: int, N: int) -> "Room":
        """Uninitialised."""
        return cls(np.empty((K, N)), np.empty((d, K)), np.empty((4, N)))


def serves(x: Tensor, K: int, d: int, N: int) -> bool:
    """Whether these loops are the faster way."""
    is_plain = x.device.type == "cpu" and x.dtype == torch.float64 and x.dim() == 2 and not x.requires_grad
    return is_plain and N * (K + d) <= LARGEST


def logits(x: Float[Tensor, "B P"], K: int, d: int, N: int) -> tuple[Float[Tensor, "B K N"], Float[Tensor, "B d N"]]:
    """W H' + b of every start, and H' (the papers' H)."""
    Z, T = x.new_empty(len(x), K, N), x.new_empty(len(x), d, N)
    _logits(_points(x, K, d, N), Z.numpy(), T.numpy())
    return Z, T


def gradient(
    x: Float[Tensor, "B P"], T: Float[Tensor, "B d N"], G: Float[Tensor, "B K N"], decays: Float[np.ndarray, "B 3"]
) -> tuple[Float[Tensor, "B P"], Float[Tensor, " B"]]:
    """Gradient of the objective given that of the summed losses in the logits, and the weight-decay terms."""
    result, penalty = torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(len(x))
    of_features, of_loss = _features_and_loss(x, T, G)
    points = _points(x, G.shape[1], T.shape[1], G.shape[2])
    check(decays.shape == (len(x), 3), "decays", decays.shape, f"({len(x)}, 3)")
    _gradient(points, of_features, of_loss, decays, result.numpy(), penalty.numpy())
    return result, penalty


def hessian(
    x: Float[Tensor, "B P"],
    T: Float[Tensor, "B d N"],
    G: Float[Tensor, "B K N"],
    of_loss: Callable[[Float[Tensor, "B Q N K"]], Float[Tensor, "B Q N K"]],
    decays: Float[np.ndarray, "B 3"],
) -> Callable[[Float[Tensor, "B Q P"]], Float[Tensor, "B Q P"]]:
    """Directions to products with the Hessian, given gradient and Hessian of the summed losses in the logits."""
    points = _points(x, G.shape[1], T.shape[1], G.shape[2]), *_features_and_loss(x, T, G)
    check(decays.shape == (len(x), 3), "decays", decays.shape, f"({len(x)}, 3)")

    def product(v: Tensor) -> Tensor:
        check(v.dim() == 3, "directions", tuple(v.shape), "(points, directions, variables)")
        v = v.contiguous()
        directions = array_of("directions", v, (len(x), v.shape[1], x.shape[1]))
        D, dT = v.new_empty(*v.shape[:2], *G.shape[1:]), v.new_empty(*v.shape[:2], *T.shape[1:])
        _logit_directions(points[0], points[1], directions, D.numpy(), dT.numpy())
        R, result = array_of("of_loss", of_loss(D.mT).mT, tuple(D.shape)), torch.empty_like(v)
        _product_with_hessian(*points, directions, dT.numpy(), R, decays, result.numpy())
        return result

    return product


def _points(x: Tensor, K: int, d: int, N: int) -> np.ndarray:
    """The points, with a bias or without."""
    without = (K + N) * d
    check(x.shape[1] in (without, without + K), "x", tuple(x.shape), f"rows of {without} variables, or {K} more")
    return array_of("x", x, tuple(x.shape))


def _features_and_loss(x: Tensor, T: Tensor, G: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Transposed features and gradient in the logits, of as many samples and starts as there are."""
    return array_of("T", T, (len(x), T.shape[1], G.shape[2])), array_of("G", G, (len(x), *G.shape[1:]))


@kernel
@no_type_check
def value_and_gradient(objective, start, x, room, gradient):
    """Value and gradient of the objective of one start at x, which is W, H' and b one after the other."""
    numbers, labels = objective.numbers[start], objective.labels
    scale, decay_W, decay_H, decay_b = numbers[0], numbers[1], numbers[2], numbers[3]
    Z, Wt = room.Z, room.Wt
    (K, N), d = Z.shape, len(Wt)
    in_W, in_H = K * d, (K + N) * d
    W, T, b = x[:in_W].reshape(K, d), x[in_W:in_H].reshape(d, N), x[in_H:]
    _set_logits(W, T, b, Z)
    value = scale * losses(objective.form, numbers[4], numbers[5], labels, Z, room.samples)
    value += (decay_W * square(x[:in_W]) + decay_H * square(x[in_W:in_H]) + decay_b * square(b)) / 2
    of_T = gradient[in_W:in_H].reshape(d, N)
    _set_gradient(scale, numbers[1:4], W, T, b, Z, Wt, gradient[:in_W].reshape(K, d), of_T, gradient[in_H:])
    return value


@kernel
@no_type_check
def _logit_directions(x, T, v, D, dT):
    (B, Q, K, N), d = D.shape, T.shape[1]
    in_W, in_H = K * d, (K + N) * d
    for start in range(B):
        W = x[start, :in_W].reshape(K, d)
        for q in range(Q):
            dW, dH, db = v[start, q, :in_W].reshape(K, d), v[start, q, in_W:in_H].reshape(N, d), v[start, q, in_H:]
            _transpose(1.0, dH, dT[start, q])
            for k in range(K):
                D[start, q, k] = db[k] if len(db) else 0.0
            _add_product(W, dT[start, q], D[start, q])
            _add_product(dW, T[start], D[start, q])


@kernel
@no_type_check
def _product_with_hessian(x, T, G, v, dT, R, decays, result):
    (B, Q, K, N), d = R.shape, T.shape[1]
    in_W, in_H = K * d, (K + N) * d
    Wt, dWt, Tt = np.empty((d, K)), np.empty((d, K)), np.empty((d, N))
    for start in range(B):
        decay_W, decay_H, decay_b = decays[start, 0], decays[start, 1], decays[start, 2]
        _transpose(1 / N, x[start, :in_W].reshape(K, d), Wt)
        for q in range(Q):
            dW, db, out = v[start, q, :in_W], v[start, q, in_H:], result[start, q]
            _scale(decay_W, dW, out[:in_W])
            _add_products_of_rows(1 / N, R[start, q], T[start], out[:in_W].reshape(K, d))
            _add_products_of_rows(1 / N, G[start], dT[start, q], out[:in_W].reshape(K, d))
            _transpose(1 / N, dW.reshape(K, d), dWt)
            _scale(decay_H, dT[start, q].reshape(d * N), Tt.reshape(d * N))
            _add_product(Wt, R[start, q], Tt)
            _add_product(dWt, G[start], Tt)
            _transpose(1.0, Tt, out[in_W:in_H].reshape(N, d))
            for k in range(len(db)):
                out[in_H + k] = decay_b * db[k] + _sum(R[start, q, k]) / N


@kernel
@no_type_check
def _logits(x, Z, T):
    (B, K, N), d = Z.shape, T.shape[1]
    for start in range(B):
        W, H, b = x[start, : K * d].reshape(K, d), x[start, K * d : (K + N) * d].reshape(N, d), x[start, (K + N) * d :]
        _transpose(1.0, H, T[start])
        _set_logits(W, T[start], b, Z[start])


@kernel
@no_type_check
def _gradient(x, T, G, decays, gradient, penalty):
    (B, K, N), d = G.shape, T.shape[1]
    Wt, Tt = np.empty((d, K)), np.empty((d, N))
    for start in range(B):
        decay_W, decay_H, decay_b = decays[start, 0], decays[start, 1], decays[start, 2]
        in_W, in_H = K * d, (K + N) * d
        W, H, b, out = x[start, :in_W], x[start, in_W:in_H], x[start, in_H:], gradient[start]
        penalty[start] = (decay_W * square(W) + decay_H * square(H) + decay_b * square(b)) / 2
        of_W = out[:in_W].reshape(K, d)
        _set_gradient(1 / N, decays[start], W.reshape(K, d), T[start], b, G[start], Wt, of_W, Tt, out[in_H:])
        _transpose(1.0, Tt, out[in_W:in_H].reshape(N, d))


@part
@no_type_check
def _set_logits(W, T, b, Z):
    """Z = W T + b."""
    for k in range(len(Z)):
        for i in range(Z.shape[1]):
            Z[k, i] = b[k] if len(b) else 0.0
    _add_product(W, T, Z)


@part
@no_type_check
def _set_gradient(scale, decays, W, T, b, G, Wt, of_W, of_T, of_b):
    """The gradients in W, H' and b of scale times the losses, G theirs in the logits, and the decays; Wt is room."""
    _scale(decays[0], W.reshape(W.size), of_W.reshape(W.size))
    _add_products_of_rows(scale, G, T, of_W)
    _transpose(scale, W, Wt)
    _scale(decays[1], T.reshape(T.size), of_T.reshape(T.size))
    _add_product(Wt, G, of_T)
    for k in range(len(b)):
        of_b[k] = decays[2] * b[k] + scale * _sum(G[k])


@part
@no_type_check
def _transpose(factor, A, out):
    for j in range(A.shape[1]):
        for i in range(A.shape[0]):
            out[j, i] = factor * A[i, j]


@part
@no_type_check
def _scale(factor, v, out):
    for i in range(len(v)):
        out[i] = factor * v[i]


@sum_part
@no_type_check
def _sum(v):
    total = 0.0
    for i in range(len(v)):
        total += v[i]
    return total


@part
@no_type_check
def _add_product(A, B, C):
    """C += A B in tiles of two rows of C and four of B, so that what is loaded is used more than once."""
    M, K = A.shape
    for m in range(0, M - 1, 2):
        c0, c1 = C[m], C[m + 1]
        for k in range(0, K - 3, 4):
            b0, b1, b2, b3 = B[k], B[k + 1], B[k + 2], B[k + 3]
            p0, p1, p2, p3 = A[m, k], A[m, k + 1], A[m, k + 2], A[m, k + 3]
            q0, q1, q2, q3 = A[m + 1, k], A[m + 1, k + 1], A[m + 1, k + 2], A[m + 1, k + 3]
            for i in range(len(c0)):
                c0[i] += p0 * b0[i] + p1 * b1[i] + p2 * b2[i] + p3 * b3[i]
                c1[i] += q0 * b0[i] + q1 * b1[i] + q2 * b2[i] + q3 * b3[i]
        for k in range(K - K % 4, K):
            b0, p0, q0 = B[k], A[m, k], A[m + 1, k]
            for i in range(len(c0)):
                c0[i] += p0 * b0[i]
                c1[i] += q0 * b0[i]
    if M % 2:
        for k in range(K):
            b0, p0, c0 = B[k], A[M - 1, k], C[M - 1]
            for i in range(len(c0)):
                c0[i] += p0 * b0[i]


@sum_part
@no_type_check
def _add_products_of_rows(factor, A, B, C):
    """C += factor A B' in tiles of two rows of A and four of B."""
    M, K = C.shape
    for m in range(0, M - 1, 2):
        a0, a1 = A[m], A[m + 1]
        for k in range(0, K - 3, 4):
            b0, b1, b2, b3 = B[k], B[k + 1], B[k + 2], B[k + 3]
            p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = 0.0
            for i in range(len(a0)):
                p0 += a0[i] * b0[i]
                p1 += a0[i] * b1[i]
                p2 += a0[i] * b2[i]
                p3 += a0[i] * b3[i]
                q0 += a1[i] * b0[i]
                q1 += a1[i] * b1[i]
                q2 += a1[i] * b2[i]
                q3 += a1[i] * b3[i]
            C[m, k] += factor * p0
            C[m, k + 1] += factor * p1
            C[m, k + 2] += factor * p2
            C[m, k + 3] += factor * p3
            C[m + 1, k] += factor * q0
            C[m + 1, k + 1] += factor * q1
            C[m + 1, k + 2] += factor * q2
            C[m + 1, k + 3] += factor * q3
        for k in range(K - K % 4, K):
            C[m, k] += factor * _product(a0, B[k])
            C[m + 1, k] += factor * _product(a1, B[k])
    if M % 2:
        for k in range(K):
            C[M - 1, k] += factor * _product(A[M - 1], B[k])


@sum_part
@no_type_check
def _product(v, w):
    total = 0.0
    for i in range(len(v)):
        total += v[i] * w[i]
    return total
