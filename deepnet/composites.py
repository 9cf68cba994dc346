"""Images with several labels: composites of a data set's images side by side (after Li et al. 2024)."""

import math

import torch

from deepnet.images import Split
from ufm.command_line import check
from ufm.pick_all_labels import PickAllLabels, all_sets


def label_sets(classes: int, most: int) -> PickAllLabels:
    """The loss whose label i stands for the i-th set of 1 to `most` classes, single classes first and in order.

    Raises:
        ValueError: unless most < classes (an image of all classes has nothing to tell).
    """
    check(most < classes, "--multilabel", most, f"below {classes}, the number of classes")
    return all_sets(classes, (1,) * most)[0]


def composites(split: Split, loss: PickAllLabels, generator: torch.Generator) -> Split:
    """One image of each class of a set, in random places of a canvas that has room for the largest set.

    Every size of set has about as many composites as the smallest class times the classes, and every set at least one.
    """
    most = max(map(len, loss.sets))
    counts = torch.bincount(split.labels)
    first = torch.cumsum(counts, 0) - counts  # of each class, in the order of labels
    order = torch.argsort(split.labels, stable=True)
    images, labels, classes = [], [], len(counts)
    for m in range(1, most + 1):
        index = torch.tensor([i for i, chosen in enumerate(loss.sets) if len(chosen) == m])
        index = index.repeat_interleave(max(1, int(counts.min()) * classes // math.comb(classes, m)))
        chosen = torch.tensor([loss.sets[i] for i in index])
        draw = (torch.rand(chosen.shape, generator=generator) * counts[chosen]).long()
        members = split.images[order[first[chosen] + draw]]
        places = torch.rand(len(index), most, generator=generator).argsort(1)[:, :m]
        images.append(_side_by_side(members, places, most))
        labels.append(index)
    return Split(torch.cat(images), torch.cat(labels))


def _side_by_side(members: torch.Tensor, places: torch.Tensor, most: int) -> torch.Tensor:
    """(n, m, C, height, width) on canvases (n, C, height, most * width); empty places are black."""
    n, _, channels, height, width = members.shape
    canvas = members.new_zeros(n, most, channels, height, width)
    canvas[torch.arange(n)[:, None], places] = members
    return canvas.permute(0, 2, 3, 1, 4).reshape(n, channels, height, most * width)
