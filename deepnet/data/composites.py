"""Images with several labels: composites of a data set's images side by side (after Li et al. 2024)."""

import math

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from deepnet.data.images import Split
from ufm.errors import check
from ufm.model.pick_all_labels import PickAllLabels, all_sets


def label_sets(classes: int, most: int) -> PickAllLabels:
    """The loss whose label i stands for the i-th set of 1 to `most` classes, single classes first and in order.

    Raises:
        ValueError: unless most < classes (an image of all classes has nothing to tell).
    """
    check(most < classes, "--multilabel", most, f"below {classes}, the number of classes")
    return all_sets(classes, (1,) * most)[0]


def composites(split: Split, loss: PickAllLabels, generator: torch.Generator) -> Split:
    """Composites: one image of each class of a set, in random places of a canvas that has room for the largest set.

    Every size of set has about as many composites as the smallest class times the classes, and every set at least one.
    """
    most = max(map(len, loss.sets))
    counts = torch.bincount(split.labels)
    first = torch.cumsum(counts, 0) - counts  # of each class, in the order of labels
    order = torch.argsort(split.labels, stable=True)
    images, labels, classes = [], [], len(counts)
    for m in range(1, most + 1):
        sets = {i: chosen for i, chosen in enumerate(loss.sets) if len(chosen) == m}
        repeats = max(1, int(counts.min()) * classes // math.comb(classes, m))
        index = torch.tensor([*sets]).repeat_interleave(repeats)
        chosen = torch.tensor([*sets.values()]).repeat_interleave(repeats, 0)
        draw = (torch.rand(chosen.shape, generator=generator) * counts[chosen]).long()
        members = split.images[order[first[chosen] + draw]]
        places = torch.rand(len(index), most, generator=generator).argsort(1)[:, :m]
        images.append(_side_by_side(members, places, most))
        labels.append(index)
    return Split(torch.cat(images), torch.cat(labels))


def _side_by_side(
    members: UInt8[Tensor, "n m C height width"], places: Int[Tensor, "n m"], most: int
) -> UInt8[Tensor, "n C height wide"]:
    """On canvases of the width of `most` images; empty places are black."""
    n, _, channels, height, width = members.shape
    canvas = members.new_zeros(n, most, channels, height, width)
    canvas[torch.arange(n)[:, None], places] = members
    return canvas.permute(0, 2, 3, 1, 4).reshape(n, channels, height, most * width)
