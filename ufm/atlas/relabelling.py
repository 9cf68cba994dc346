"""The relabellings of classes that a model really has, and the labelled copies of a point under them.

A permutation of classes carries every label (a class, or a set of them) to a label; it is a symmetry where the two have
equally many samples. So class sizes stay, and so do counts of label sets. Samples of one label may be in any order.

At a critical point of `Problem` the logits determine everything else up to O(d): Z = H W' without the bias follows from
them because the bias is a function of the loss gradient (or, where it is free, the mean logits), and the factors of Z
are balanced, decay_W W'W = decay_H H'H. So two points are the same *labelled copy* when their logits agree, and belong
to the same *orbit* when a relabelling carries one's logits to the other's. Orbit sizes are counted exactly, on the
pattern of equal logits.
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, takes
from ufm.model.model import Model
from ufm.tolerances import SAME_LOGITS

WORKING_BYTES = 2**27


@dataclass(frozen=True)
class Relabellings:
    """All relabellings of a model's classes, the identity first.

    Attributes:
        classes: which class stands in the place of class k.
        samples: which sample stands in the place of sample i.
        labels: of each sample.
    """

    classes: Int[Tensor, "count K"]
    samples: Int[Tensor, "count N"]
    labels: Int[Tensor, " N"]

    @classmethod
    def of(cls, model: Model) -> "Relabellings":
        """The relabellings of a model; K! permutations are tried."""
        return _relabellings(model.K, tuple(label_sets(model)), model.sizes, model.n)

    def images(self, logits: Float[Tensor, "N K"]) -> Float[Tensor, "count N K"]:
        """The logits of every relabelled point, samples in a fixed order within labels."""
        rows = logits[self.samples]
        index = self.classes[:, None, :].expand(-1, rows.shape[1], -1)
        return self.ordered(rows.gather(-1, index))

    def ordered(self, logits: Float[Tensor, "*batch N K"]) -> Float[Tensor, "*batch N K"]:
        """Samples within labels in the order of a projection, which tells samples of different logits apart."""
        direction = torch.randn(logits.shape[-1], dtype=logits.dtype, generator=torch.Generator().manual_seed(0))
        place = logits @ direction
        order = place.argsort(-1)
        order = order.gather(-1, self.labels[order].argsort(dim=-1, stable=True))
        return logits.gather(-2, order[..., None].expand_as(logits))


@dataclass(frozen=True)
class Copies:
    """The labelled copies of one point.

    Attributes:
        logits: one copy per entry, samples in order; of classes alone, K! / (order of the stabiliser) in a balanced
        model. of_samples: copies of each under reordering samples within labels; 1 where features collapse.
        spread: largest difference between logits that were taken to be equal.
        gap: smallest difference between logits that were taken to be different (inf if there is none).
    """

    logits: Float[Tensor, "C N K"]
    of_samples: int
    spread: float
    gap: float


@takes(model=instance(Model))
def label_sets(model: Model) -> list[frozenset[int]]:
    """The classes of every label."""
    return [frozenset(chosen) for chosen in model.loss.label_sets(model.K)]


def copies(relabellings: Relabellings, logits: Float[Tensor, "N K"]) -> Copies:
    """Every labelled copy of a point: which logits are equal is decided once, then counted with integers."""
    equal, spread, gap = colours(logits, SAME_LOGITS * max(1.0, float(logits.abs().max())))
    images = relabellings.images(torch.from_numpy(equal.astype(np.float64)))
    first = np.unique(images.flatten(1).numpy(), axis=0, return_index=True)[1]
    chosen = torch.from_numpy(np.sort(first))
    some = Relabellings(relabellings.classes[chosen], relabellings.samples[chosen], relabellings.labels)
    return Copies(some.images(logits), _orders(images[0], relabellings.labels), spread, gap)


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


def same_copy(
    logits: Float[Tensor, "B N K"], own: Float[Tensor, "C N K"]
) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"]]:
    """For each point, samples in order, the number of its copy (-1: none), and the distance of its logits."""
    scale = SAME_LOGITS * max(1.0, float(own.abs().max()))
    width = max(1, WORKING_BYTES // (8 * own.numel()))
    distances = [(part[:, None] - own).abs().amax((-2, -1)) for part in torch.split(logits, width)]
    nearest, number = torch.cat(distances).min(1)
    return torch.where(nearest <= scale, number, -1), nearest


@lru_cache(maxsize=8)
def _relabellings(K: int, sets: tuple[frozenset[int], ...], sizes: tuple[int, ...] | None, n: int) -> Relabellings:
    number = {chosen: label for label, chosen in enumerate(sets)}
    counts = sizes or (1,) * len(sets)
    labels = torch.repeat_interleave(torch.arange(len(sets)), n * torch.tensor(counts))
    first = torch.searchsorted(labels, torch.arange(len(sets)))
    place = torch.arange(len(labels)) - first[labels]
    classes, samples = [], []
    for permutation in itertools.permutations(range(K)):
        images = [number.get(frozenset(permutation[k] for k in chosen), -1) for chosen in sets]
        if all(image >= 0 and counts[image] == count for image, count in zip(images, counts, strict=True)):
            classes.append(permutation)
            samples.append(first[torch.tensor(images)][labels] + place)
    return Relabellings(torch.tensor(classes), torch.stack(samples), labels)


def _orders(rows: Tensor, labels: Tensor) -> int:
    """The number of orders of the samples of each label, equal samples not being distinguished."""
    total = 1
    for label in range(int(labels.max()) + 1):
        here = rows[labels == label].numpy()
        alike = np.unique(here, axis=0, return_counts=True)[1].tolist()
        total *= math.factorial(len(here)) // math.prod(map(math.factorial, alike))
    return total


def random_relabelling(model: Model, generator: torch.Generator) -> tuple[Int[Tensor, " K"], Int[Tensor, " N"]]:
    """Which class and which sample stand in the place of each; in a balanced model, any permutation of classes."""
    if model.is_balanced:
        classes = torch.randperm(model.K, generator=generator)
        return classes, (classes[:, None] * model.n + torch.arange(model.n)).flatten()
    every = _relabellings(model.K, tuple(label_sets(model)), model.sizes, model.n)
    chosen = int(torch.randint(len(every.classes), (), generator=generator))
    return every.classes[chosen], every.samples[chosen]
