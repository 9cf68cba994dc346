"""Which critical points are the same, up to rotations of feature space and relabellings of classes and samples.

At a critical point the logits determine everything else up to O(d): Z = H W' without the bias follows from them because
the bias is a function of the loss gradient (or, where it is free, the mean logits), and the factors of Z are balanced,
decay_W W'W = decay_H H'H. So two points are the same *labelled copy* when their logits agree, and belong to the same
*orbit* when a permutation of classes, with any permutation of samples within classes, carries one's logits to the
other's. Orbit sizes are counted exactly, on the pattern of equal logits.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, integer, takes, tensor
from ufm.losses import SquaredError
from ufm.problem import Problem

SAME = 1e-6
"""Logits that differ by at most this times max(1, largest logit) are the same."""
WORKING_BYTES = 2**27


@dataclass(frozen=True)
class Copies:
    """The labelled copies of one critical point.

    Attributes:
        logits: one labelled copy per entry, up to the order of samples within classes (C, K, n, K).
        of_classes: C, the number of copies under relabelling classes, K! / (order of the stabiliser).
        of_samples: copies of each under relabelling samples within classes; 1 when features collapse.
        spread: largest difference between logits that were taken to be equal.
        gap: smallest difference between logits that were taken to be different (inf if there is none).
    """

    logits: Float[Tensor, "C K n K"]
    of_classes: int
    of_samples: int
    spread: float
    gap: float

    @property
    def count(self) -> int:
        """Labelled copies in all."""
        return self.of_classes * self.of_samples


@takes(problem=instance(Problem))
def is_shift_invariant(problem: Problem) -> bool:
    """Whether the loss does not see a constant added to all logits of a sample (softmax losses)."""
    return not isinstance(problem.loss, SquaredError)


@takes(problem=instance(Problem), x=tensor(..., None))
def labelled_logits(problem: Problem, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch K n K"]:
    """Logits by class, sample and class, without the constant that a softmax loss does not see."""
    logits = problem.logits(x)
    if is_shift_invariant(problem):
        logits = logits - logits.mean(-1, keepdim=True)
    return logits.reshape(*x.shape[:-1], problem.K, problem.n, problem.K)


@takes(K=integer(2, 10))
def class_permutations(K: int) -> Int[Tensor, "count K"]:
    """All K! permutations of the classes, the identity first."""
    return torch.tensor(list(itertools.permutations(range(K))))


def copies(logits: Float[Tensor, "K n K"], tolerance: float = SAME) -> Copies:
    """Every labelled copy of a point: which logits are equal is decided once, then counted with integers."""
    K, n = logits.shape[0], logits.shape[1]
    equal, spread, gap = colours(logits, tolerance * max(1.0, float(logits.abs().max())))
    permutations = class_permutations(K)
    images = _permuted(torch.from_numpy(equal), permutations)
    base = int(equal.max()) + 1
    weights = torch.tensor([base**power for power in range(K)])
    rows = (images * weights).sum(-1).sort(-1).values  # each sample's logits as one integer, in any fixed order
    first = np.unique(rows.flatten(1).numpy(), axis=0, return_index=True)[1]
    chosen = permutations[torch.from_numpy(np.sort(first))]
    of_samples = math.prod(
        math.factorial(n) // math.prod(math.factorial(int(m)) for m in row.unique(return_counts=True)[1])
        for row in rows[0]
    )
    return Copies(_permuted(logits, chosen), len(chosen), of_samples, spread, gap)


def same_copy(
    a: Float[Tensor, "B K n K"], b: Float[Tensor, "C K n K"], tolerance: float = SAME
) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"]]:
    """For each point of `a` the number of the copy in `b` that it is (-1: none), and the distance of their logits."""
    n, K = a.shape[2], a.shape[1]
    width = max(1, WORKING_BYTES // (8 * len(b) * K * K * n * n))
    parts = [_same_copy(chunk, b, tolerance) for chunk in torch.split(a, width)]
    number, distance = zip(*parts, strict=True)
    return torch.cat(number), torch.cat(distance)


def distance(a: Float[Tensor, "K n K"], b: Float[Tensor, "C K n K"]) -> float:
    """Smallest largest difference of the logits of `a` and those of any copy in `b`, samples in any order."""
    return float(_sample_distances(a[None], b).amin(-1).amax((-2, -1)).min())


def colours(logits: Float[Tensor, "*axes"], tolerance: float) -> tuple[Int[np.ndarray, "*axes"], float, float]:
    """Equal logits get equal integers; sorted neighbours closer than the tolerance are equal.

    Returns:
        The integers; the largest difference within one of them, and the smallest between two (inf if there is one).
    """
    values, order = np.unique(logits.flatten().numpy(), return_inverse=True)
    steps = np.diff(values)
    ends = np.concatenate([[0], (steps > tolerance).cumsum()])
    bounds = [values[ends == colour] for colour in range(int(ends[-1]) + 1)]
    spread = max(float(group[-1] - group[0]) for group in bounds)
    gap = float(steps[steps > tolerance].min()) if (steps > tolerance).any() else math.inf
    return ends[order].reshape(logits.shape).astype(np.int64), spread, gap


def together(
    problem: Problem, x: Float[Tensor, " P"], tolerance: float = SAME
) -> tuple[list[list[int]], list[int], bool]:
    """Which classes share classifier row and features, which stand at zero, and whether features collapse.

    Returns:
        Blocks of classes with equal w_k and equal class-mean features, those at zero left out; the classes at zero;
        whether all samples of each class have the same features.
    """
    W, H, _ = problem.unpack(x)
    features = H.view(problem.K, problem.n, problem.d)
    mean = features.mean(1)
    scale = tolerance * max(1.0, float(W.abs().max()), float(H.abs().max()))
    both = torch.cat([W, mean], 1)
    zero = (both.abs().amax(1) <= scale).tolist()
    blocks: list[list[int]] = []
    for k in range(problem.K):
        if zero[k]:
            continue
        block = next((block for block in blocks if float((both[k] - both[block[0]]).abs().max()) <= scale), None)
        if block is None:
            blocks.append([k])
        else:
            block.append(k)
    is_collapsed = bool((features - mean[:, None]).abs().max() <= scale)
    return blocks, [k for k in range(problem.K) if zero[k]], is_collapsed


def _permuted(logits: Tensor, permutations: Tensor) -> Tensor:
    """image[k, i, l] = logits[p(k), i, p(l)] for every permutation p."""
    rows = logits[permutations]
    index = permutations[:, None, None, :].expand(-1, rows.shape[1], rows.shape[2], -1)
    return rows.gather(-1, index)


def _sample_distances(a: Tensor, b: Tensor) -> Tensor:
    """(B, C, K, n, n): largest difference of the logits of sample i of a and sample j of b, class by class."""
    return (a[:, None, :, :, None, :] - b[None, :, :, None, :, :]).abs().amax(-1)


def _same_copy(a: Tensor, b: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    scale = tolerance * a.abs().amax((1, 2, 3)).clamp(min=1.0)
    across = _sample_distances(a, b)
    distance = torch.maximum(across.amin(-1).amax((-2, -1)), across.amin(-2).amax((-2, -1)))
    if a.shape[2] > 1:  # samples may come in another order: as often here as there
        near = scale[:, None, None, None, None]
        within = (a[:, :, :, None, :] - a[:, :, None, :, :]).abs().amax(-1) <= scale[:, None, None, None]
        agree = ((across <= near).sum(-1) == within.sum(-1)[:, None]).all(-1).all(-1)
        distance = torch.where(agree, distance, math.inf)
    nearest, number = distance.min(1)
    return torch.where(nearest <= scale, number, -1), nearest
