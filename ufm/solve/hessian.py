"""Curvature of the objective at a batch of points: the dense spectrum, or the smallest eigenpair by Lanczos."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import singledispatch

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import boolean, function, instance, positive, progress, takes, tensor
from ufm.model.model import Model
from ufm.model.parameters import along
from ufm.model.problem import Problem
from ufm.parallel import cores, map_chunks, room
from ufm.tolerances import EIGENPAIR

DENSE_UP_TO = 300
"""Variables up to which the whole spectrum is computed."""
WORKING_BYTES = 2**23
LANCZOS_STEPS = 600
STEPS_BETWEEN_CHECKS = 20
BASIS_BYTES = 2**28
"""Room for Lanczos vectors, per CPU core; usually a quarter of it is filled."""
FEWEST_WITH_BASIS = 8
"""Points whose vectors must fit there; with fewer at a time, computing the basis twice is cheaper than storing it."""

Operator = Callable[[Float[Tensor, "B Q P"]], Float[Tensor, "B Q P"]]


@dataclass(frozen=True)
class SmallestEigenpair:
    """The smallest eigenvalue of each point's Hessian, with a unit eigenvector.

    Attributes:
        value: Ritz value or dense eigenvalue.
        vector: unit vector.
        residual: |Hess v - value v|; some eigenvalue lies within it of `value`. That it is the smallest one is certain
            for the dense method, and for Lanczos true with probability one over its random start (numeric evidence).
    """

    value: Float[Tensor, " B"]
    vector: Float[Tensor, "B P"]
    residual: Float[Tensor, " B"]


@singledispatch
def dense_hessian(problem: Model, x: Float[Tensor, "B P"]) -> Float[Tensor, "B P P"]:
    """The dense Hessian of every point, from its products with all unit vectors."""
    instance(Model).check("problem", problem)
    tensor(None, problem.size).check("x", x)
    rows = torch.eye(problem.size, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
    return problem.hessian(x)(rows)


@dense_hessian.register
def _plain_dense_hessian(problem: Problem, x: Float[Tensor, "B P"]) -> Float[Tensor, "B P P"]:
    """The dense Hessian of the plain model, block by block.

    With A_i the Hessian of the mean loss in the logits of sample i and G its gradient in all logits, the blocks are
    sum_i A_i (x) h_i h_i' for W, W' A_i W for h_i, A_i W (x) h_i + G_i (x) 1 between the two, and for b the same with
    h_i = 1; the decays stand on the diagonal.
    """
    tensor(None, problem.size).check("x", x)
    (W, H, _), (K, d, N) = problem.unpack(x), (problem.K, problem.d, problem.N)
    A = problem.logit_hessian(x)  # (B, N, K, K)
    AW = A @ W[:, None]
    G = problem.logit_gradient(x)
    result = x.new_zeros(len(x), problem.size, problem.size)
    in_W, in_H = K * d, (K + N) * d
    outer = (H[..., None] * H[..., None, :]).flatten(2)
    WW = (A.flatten(2).mT @ outer).view(-1, K, K, d, d)
    result[:, :in_W, :in_W] = WW.transpose(2, 3).reshape(-1, in_W, in_W)
    # (B, k, j, i, m): derivative in W_kj and H_im.
    WH = H.mT[:, None, :, :, None] * AW.transpose(1, 2)[:, :, None]
    WH.diagonal(dim1=2, dim2=4).add_(G.mT[..., None])
    result[:, :in_W, in_W:in_H] = WH.flatten(3).flatten(1, 2)
    result[:, in_W:in_H, :in_W] = result[:, :in_W, in_W:in_H].mT
    of_samples = result[:, in_W:in_H, in_W:in_H].view(-1, N, d, N, d)
    of_samples.diagonal(dim1=1, dim2=3).copy_((W.mT[:, None] @ AW).movedim(1, -1))
    if problem.has_bias:
        result[:, :in_W, in_H:] = (A.flatten(2).mT @ H).view(-1, K, K, d).transpose(2, 3).flatten(1, 2)
        result[:, in_W:in_H, in_H:] = AW.mT.flatten(1, 2)
        result[:, in_H:, in_H:] = A.sum(1)
        result[:, in_H:, :in_H] = result[:, :in_H, in_H:].mT
    diagonal = result.diagonal(dim1=1, dim2=2)
    for part, decay in zip(problem.unpack(diagonal), problem.decays, strict=True):
        part.add_(along(decay, part))
    return result


@takes(problem=instance(Model), x=tensor(None, None), tolerance=positive, progress=progress)
def smallest_eigenpair(
    problem: Model,
    x: Float[Tensor, "B P"],
    tolerance: float = EIGENPAIR,
    progress: Callable[[int], None] | None = None,
) -> SmallestEigenpair:
    """The smallest eigenvalue of every point's Hessian: dense up to 300 variables, Lanczos beyond.

    Args:
        problem: the model.
        x: points, one per row.
        tolerance: Lanczos stops a chunk of points when every residual is at most this times the largest |eigenvalue|.
        progress: called with the number of points done since the last call.
    """
    is_dense = problem.size <= DENSE_UP_TO
    with_basis = BASIS_BYTES // (8 * problem.size * LANCZOS_STEPS)
    keeps_basis = with_basis >= FEWEST_WITH_BASIS
    per_point = 8 * problem.size * (4 * problem.size if is_dense else 12)
    width = with_basis if keeps_basis and not is_dense else room(x.device, WORKING_BYTES) // per_point
    width = max(1, min(width, math.ceil(len(x) / cores(x.device))))

    # Made before the work: what stays between temporaries that go would keep the C library from using their room again.
    found = SmallestEigenpair(x.new_empty(len(x)), torch.empty_like(x), x.new_empty(len(x)))

    def solve(chunk: tuple[int, tuple[Model, Tensor]]) -> None:
        number, (part, points) = chunk
        pair = _dense(part, points) if is_dense else lanczos(part.hessian(points), points, tolerance, keeps_basis)
        rows = slice(number * width, number * width + len(points))
        for name, values in vars(pair).items():
            getattr(found, name)[rows] = values
        if progress:
            progress(len(points))

    map_chunks(solve, enumerate(problem.split(x, width)), x.device)
    return found


def _dense(problem: Model, x: Tensor) -> SmallestEigenpair:
    values, vectors = torch.linalg.eigh(dense_hessian(problem, x))
    return _with_residual(problem.hessian(x), vectors[..., 0], values[:, 0])


@takes(operator=function, like=tensor(None, None), tolerance=positive, keeps_basis=boolean)
def lanczos(
    operator: Operator, like: Float[Tensor, "B P"], tolerance: float = EIGENPAIR, keeps_basis: bool = False
) -> SmallestEigenpair:
    """The three-term recurrence until every point's smallest Ritz value has settled once, then the Ritz vectors.

    Without reorthogonalisation converged Ritz values appear again and again; the extreme one is unharmed (Paige 1980),
    but its error bound grows for a while whenever a copy arrives. So a point's answer is the first one within
    tolerance. The basis is kept where memory allows, otherwise a second sweep makes it again.

    Args:
        operator: one symmetric matrix per point, as a function of vectors (B, 1, P).
        like: says how many points of how many variables there are, and where.
        tolerance: of the residual, relative to the largest |eigenvalue|.
        keeps_basis: in memory.
    """
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    # In one piece, for the reason above.
    basis = like.new_empty(LANCZOS_STEPS if keeps_basis else 0, *like.shape)
    value, weights = torch.zeros_like(like[:, 0]), like.new_zeros(len(like), LANCZOS_STEPS)
    is_known = torch.zeros_like(value, dtype=torch.bool)
    for alpha, beta, v in _recurrence(operator, like):
        alphas.append(alpha)
        betas.append(beta)
        if keeps_basis:
            basis[len(alphas) - 1] = v
        steps = len(alphas)
        if steps % STEPS_BETWEEN_CHECKS == 0:
            rows = (~is_known).nonzero()[:, 0]
            smallest, radius, vector = _smallest_ritz(torch.stack(alphas, 1)[rows], torch.stack(betas[:-1], 1)[rows])
            bound = beta[rows] * vector[:, -1].abs()
            settles = (bound <= tolerance * radius) | (steps >= LANCZOS_STEPS)
            now = rows[settles]
            is_known[now], value[now], weights[now, :steps] = True, smallest[settles], vector[settles]
            if len(now) == len(rows):
                break
    ritz = torch.zeros_like(like)
    again = basis[:steps] if keeps_basis else (v for _, _, v in _recurrence(operator, like))
    for weight, v in zip(weights[:, :steps].unbind(1), again, strict=False):
        ritz.addcmul_(weight[:, None], v)
    return _with_residual(operator, ritz / ritz.norm(dim=1, keepdim=True), value)


def _recurrence(operator: Operator, like: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """alpha_k, beta_k and the basis vector v_k of every point, for ever."""
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(like.shape[1], dtype=like.dtype, generator=generator).to(like.device).expand_as(like)
    v = v / v.norm(dim=1, keepdim=True)
    previous, beta = torch.zeros_like(like), like.new_zeros(len(like))
    while True:
        w = operator(v[:, None])[:, 0] - beta[:, None] * previous
        alpha = torch.linalg.vecdot(w, v)
        w -= alpha[:, None] * v
        beta = w.norm(dim=1)
        yield alpha, beta, v
        previous, v = v, w / beta.clamp(min=torch.finfo(like.dtype).tiny)[:, None]


def _smallest_ritz(diagonal: Tensor, beside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of tridiagonal matrices: smallest eigenvalue, largest |eigenvalue|, eigenvector of the former."""
    width = max(1, room(diagonal.device, WORKING_BYTES) // (8 * diagonal.shape[1] ** 2))
    found = []
    for a, b in zip(torch.split(diagonal, width), torch.split(beside, width), strict=True):
        off = torch.diag_embed(b, offset=1)
        values, vectors = torch.linalg.eigh(torch.diag_embed(a) + off + off.mT)
        found.append((values[:, 0], values.abs().amax(1), vectors[:, :, 0].clone()))
    smallest, radius, vector = (torch.cat(column) for column in zip(*found, strict=True))
    return smallest, radius, vector


def _with_residual(operator: Operator, vector: Tensor, value: Tensor) -> SmallestEigenpair:
    residual = operator(vector[:, None])[:, 0] - value[:, None] * vector
    return SmallestEigenpair(value, vector, residual.norm(dim=1))
