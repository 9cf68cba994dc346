"""The Hessian's spectrum at a collapsed point that class permutations only rotate: a few small blocks for any K and n.

Let samples of a class share their feature, and let [W; M], M the class features, have a Gram matrix that every
permutation P of the classes leaves as it is, as at the simplex ETF. Then P [W; M] = [W; M] R for a rotation R, and the
Hessian commutes with (dW, dM, db) -> (P dW R', P dM R', P db). With F the polar factor of W, dW = D F and dM = V F for
K x K matrices D, V, on which P acts by P D P'. These fall apart (absolutely irreducible, so that Schur's lemma holds
over the reals) into

    the trivial one:    I, 11'                        and the bias 1 ,
    S (s, 1's = 0):     diag(s), 1 s', s 1'           and the bias s ,
    Lambda^2 S:         u v' - v u' ,                 u, v across 1 ,
    S^(K-2,2):          symmetric, zero rows and zero diagonal ,

so one vector of each, in D and in V, spans a space that the Hessian maps into itself with all eigenvalues that there
are; how far it leaves it is measured, and counts as an error. That holds at a point that has the symmetry, and if W has
the rank of [W; M] (else the D F are too few): `symmetrised` moves a nearby point there. Rotations are
Omega = F'(u v' - v u')F, and where W has rank K, F'(s 1' - 1 s')F. Features that differ within a class (adding up to
zero) meet nothing else: there the Hessian is decay_H I + W'A W / N, A that of the loss in the logits of one sample. An
empty column has [[decay_W I, sqrt(n) G'], [sqrt(n) G, decay_H I]] with G the loss gradient of one sample of each class,
and decay_H within classes.

At W = H = 0 and b = c 1 every column is such an empty one, and the bias meets nothing: a mean B of the loss's Hessians
stands there, + decay_b. Both G and B are t I + u 11', so that one vector across 1, and 1, tell all: with |G s| = g for
a unit vector s, the eigenvalues of a column are (decay_W + decay_H)/2 +- ((decay_W - decay_H)^2 / 4 + g^2)^(1/2).

Evidence: argument; the tests hold the whole against dense spectra.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, integer, takes, tensor
from ufm.model.model import Point
from ufm.model.problem import Problem
from ufm.tolerances import ORBIT_RANK

NEARLY_SYMMETRIC, SYMMETRIC = 1e-9, 1e-13
"""Distance from a point of the symmetry, relative to the norm: what a search may leave, and what rounding does."""
NOTHING = 1e-9
"""Vectors up to this length count as zero."""

Interval = tuple[float, float]
"""The least eigenvalue across the symmetries, and the largest |eigenvalue|."""


@takes(small=instance(Problem), y=tensor(None), d=integer(1))
def collapsed_spectrum(small: Problem, y: Float[Tensor, " Q"], d: int) -> Interval | None:
    """The interval of a d-column model, from its point y in as many columns as the rank; None without symmetry."""
    tensor(small.size).check("y", y)
    near = symmetrised(small, y)
    if near is None or float((near - y).norm()) > SYMMETRIC * float(y.norm()):
        return None
    found = [_of_block(small, y, *block) for block in _blocks(small, y)]
    if small.n > 1:
        found.append(_within_classes(small, y, d))
    if d > small.d:
        (W, H, _), (of_W, of_H, _), root = small.unpack(y), small.decays, small.n**0.5
        one, G = torch.eye(small.K).to(y), root * small.logit_gradient(y)[:: small.n]
        block = torch.cat([torch.cat([of_W * one, G.mT], 1), torch.cat([G, of_H * one], 1)])
        found.append(across(block, torch.cat([W, root * H[:: small.n]])))
    return min(least for least, _ in found), max(largest for _, largest in found)


@takes(small=instance(Problem), y=tensor(None))
def symmetrised(small: Problem, y: Float[Tensor, " Q"]) -> Float[Tensor, " Q"] | None:
    """The point with the symmetry of the classes beside y, averaged over permutations; None if none is as near.

    W = A F and M = C F with F the polar factor of W, of full column rank; A, C and the projector FF' are averaged.
    """
    tensor(small.size).check("y", y)
    if not small.is_balanced:
        return None
    W, H, b = small.unpack(y)
    left, lengths, right = torch.linalg.svd(W, full_matrices=False)
    if small.d > small.K or float(lengths[-1]) <= ORBIT_RANK * float(lengths[0].clamp(min=1.0)):
        return None
    M = H.view(small.K, small.n, small.d).mean(1)
    averaged = [_averaged(part @ right.mT @ left.mT) for part in (W, M)]
    turned, _, across = torch.linalg.svd(_averaged(left @ left.mT) @ left @ right, full_matrices=False)
    A, C = (part @ turned @ across for part in averaged)
    result = small.pack(Point(A, C.repeat_interleave(small.n, 0), b.mean().expand(small.K)))
    return result if float((result - y).norm()) <= NEARLY_SYMMETRIC * float(y.norm()) else None


def _averaged(A: Float[Tensor, "K K"]) -> Float[Tensor, "K K"]:
    """The mean of P A P' over all permutations P."""
    K, own = len(A), A.diagonal().mean()
    other = (A.sum() - A.diagonal().sum()) / (K * (K - 1))
    return other + (own - other) * torch.eye(K).to(A)


@takes(small=instance(Problem), y=tensor(None))
def spectrum_at_zero(small: Problem, y: Float[Tensor, " Q"]) -> Interval | None:
    """The interval at W = H = 0, for any number of columns; None where the bias is not the same for all classes."""
    tensor(small.size).check("y", y)
    W, H, b = small.unpack(y)
    if not small.is_balanced or bool(W.any() | H.any()) or not bool(((b - b.mean()).abs() <= NOTHING).all()):
        return None
    K, labels = small.K, torch.arange(min(small.K, 3), device=y.device)
    share = torch.tensor([1.0, 1.0, K - 2.0][: len(labels)]).to(y) / K
    s, one = torch.zeros_like(b), torch.full_like(b, K**-0.5)
    s[0], s[1] = 2**-0.5, -(2**-0.5)
    logits = b.expand(len(labels), -1)
    gradient, of_loss = small.loss.value_and_gradient(logits, labels)[1][0], small.loss.hessian(logits, labels)
    slopes = torch.stack([gradient[0] - gradient[1], gradient.sum()]).abs() * small.n**0.5 / small.N
    bends = torch.stack([share @ (of_loss(v.expand_as(logits)) @ v) for v in (s, one)]) + small.decays[2]
    decay_W, decay_H = map(float, small.decays[:2])
    root = torch.hypot(slopes, torch.full_like(slopes, (decay_W - decay_H) / 2))
    mean = (decay_W + decay_H) / 2
    is_free = small.has_free_bias and small.is_shift_invariant
    of_bias = (bends[:1] if is_free else bends) if small.has_bias else bends[:0]
    values = torch.cat([mean - root, mean + root, of_bias, y.new_tensor([decay_H])])
    return float(values.min()), float(values.abs().max())


def _of_block(small: Problem, y: Tensor, vectors: Float[Tensor, "m Q"], along: Float[Tensor, "t Q"]) -> Interval:
    """The interval of the Hessian on the span of these vectors, less the norm of what leaves the span."""
    basis, lengths, _ = torch.linalg.svd(vectors.mT, full_matrices=False)
    basis = basis[:, lengths > NOTHING * lengths[0]]
    image = small.hessian(y)(basis.mT.contiguous()).mT
    block = basis.mT @ image
    least, largest = across((block + block.mT) / 2, basis.mT @ along.mT)
    return least - float(torch.linalg.matrix_norm(image - basis @ block, 2)), largest


def _within_classes(small: Problem, y: Tensor, d: int) -> Interval:
    """The interval along features that add up to zero in each class, in used and in empty columns."""
    unit = torch.eye(small.K).to(y)[:, None]
    curvature = small.loss.hessian(small.logits(y)[:1], small.labels()[:1])(unit)[:, 0]
    W, decay = small.unpack(y).W, float(small.decay_H)
    values = torch.linalg.eigvalsh(W.mT @ curvature @ W / small.N) + decay
    least, largest = float(values[0]), float(values.abs().amax())
    return (min(least, decay), max(largest, decay)) if d > small.d else (least, largest)


def across(matrix: Float[Tensor, "Q Q"], along: Float[Tensor, "Q T"]) -> Interval:
    """The least eigenvalue across the columns of `along` that are not zero, and the largest |eigenvalue| there."""
    basis = torch.linalg.qr(along[:, along.norm(dim=0) > NOTHING])[0]
    matrix = matrix - basis @ (basis.mT @ matrix)
    matrix = matrix - (matrix @ basis) @ basis.mT
    values = torch.linalg.eigvalsh(matrix + 2 * matrix.norm() * basis @ basis.mT)
    values = values[: len(values) - basis.shape[1]]
    return (float(values[0]), float(values.abs().amax())) if len(values) else (torch.inf, 0.0)


def _blocks(small: Problem, y: Float[Tensor, " Q"]) -> list[tuple[Float[Tensor, "m Q"], Float[Tensor, "t Q"]]]:
    """Of each irreducible representation vectors that span one copy of each, and the symmetries' directions there."""
    K, (W, H, b) = small.K, small.unpack(y)
    left, _, right = torch.linalg.svd(W, full_matrices=False)
    F, M = left @ right, H[:: small.n]
    e, one, zero = torch.eye(K).to(y), torch.ones(K).to(y), torch.zeros(K, K).to(y)

    def point(D: Tensor, V: Tensor, c: Tensor) -> Tensor:
        return small.pack(Point(D @ F, (V @ F).repeat_interleave(small.n, 0), c))

    def turned(Omega: Tensor) -> Tensor:
        turn = F.mT @ Omega @ F
        return small.pack(Point(W @ turn, (M @ turn).repeat_interleave(small.n, 0), 0 * b))

    def block(matrices: list[Tensor], bias: Tensor, along: list[Tensor]) -> tuple[Tensor, Tensor]:
        of_matrices = [point(*pair, 0 * b) for D in matrices for pair in ((D, zero), (zero, D))]
        vectors = [*of_matrices, *([point(zero, zero, bias)] if small.has_bias and bias.any() else [])]
        return torch.stack(vectors), torch.stack([*along, torch.zeros_like(y)])

    s, rank_one = e[0] - e[1], torch.outer
    is_free = small.has_free_bias and small.is_shift_invariant
    constant = [point(zero, zero, one)] if is_free else []
    found = [
        block([e, rank_one(one, one)], one, constant),
        block([s.diag(), rank_one(one, s), rank_one(s, one)], s, [turned(rank_one(s, one) - rank_one(one, s))]),
    ]
    if K > 2:
        pair = rank_one(s, e[0] + e[1] - 2 * e[2])
        found.append(block([pair - pair.mT], 0 * one, [turned(pair - pair.mT)]))
    if K > 3:
        pair = rank_one(s, e[2] - e[3])
        found.append(block([pair + pair.mT], 0 * one, []))
    return found
