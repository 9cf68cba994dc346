"""Loading of a data set for a run: splits, subsets and normalisation, with images as uint8 tensors on the device.

A new data set is one row of `DATA_SETS`: a function (folder, whether it may download) -> Images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepnet.data.cifar import CIFAR10, CIFAR100, load_archive
from deepnet.data.composites import composites, label_sets
from deepnet.data.idx import FASHION_MNIST, load_idx
from deepnet.data.images import Images, Pixels, Split, split_rule
from deepnet.data.own_data import is_own, own_images
from deepnet.data.scaling import scaled
from ufm.arguments import (
    Rule,
    boolean,
    check_fields,
    device,
    floats,
    instance,
    integer,
    number,
    optional,
    path,
    positive,
    seed,
    takes,
    tensor,
)
from ufm.cli.bounds import check_memory
from ufm.errors import check, in_python
from ufm.model.pick_all_labels import PickAllLabels

AT_ONCE = 2**28
"""The most pixels that are converted to float64 together."""


@dataclass(frozen=True)
class Data:
    """The data of one run.

    Attributes:
        splits: `train`, `validation` (absent when its fraction is 0) and `test`.
        mean, std: per channel, of the run's own training images, in their units; the same for every split.
        classes: K.
        tags: the loss whose labels are sets of classes, for images with several labels; None for one label each.
    """

    splits: dict[str, Split]
    mean: Float[Tensor, "C 1 1"]
    std: Float[Tensor, "C 1 1"]
    classes: int
    tags: PickAllLabels | None = None

    def __post_init__(self) -> None:
        splits = Rule(_are_splits, f"a dict with `train` and other names of splits, each {split_rule.allowed}")
        check_fields(self, splits=splits, classes=integer(1), tags=optional(instance(PickAllLabels)))
        check_fields(self, mean=tensor("C", 1, 1, dtypes=floats), std=tensor("C", 1, 1, dtypes=floats))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.splits["train"].images.shape[1:]
        return channels, height, width

    def normalise(self, images: Pixels) -> Float[Tensor, "n C height width"]:
        """Images of mean 0 and standard deviation 1 over the training split."""
        return (images - self.mean) / self.std

    @takes(device=device)
    def to(self, device: torch.device | str) -> "Data":
        """The same data on a device."""
        splits = {name: Split(*(tensor.to(device) for tensor in split)) for name, split in self.splits.items()}
        return Data(splits, self.mean.to(device), self.std.to(device), self.classes, self.tags)


def _are_splits(value: object) -> bool:
    return isinstance(value, dict) and "train" in value and all(map(split_rule.holds, value.values()))


@dataclass(frozen=True)
class Selection:
    """Which images of a data set a run uses; every split is balanced as far as the data set is.

    Attributes:
        imbalance: the second half of the classes has this many times fewer training images.
        multilabel: composites of up to this many images in place of the images.
        image_size: pixels of a side, to which images are scaled; None leaves them as they are.
    """

    validation: float = 0.0
    per_class: int | None = None
    test_per_class: int | None = None
    seed: int = 0
    imbalance: float = 1.0
    multilabel: int = 1
    image_size: int | None = None

    def __post_init__(self) -> None:
        at_least_one, count = Rule(lambda v: positive.holds(v) and v >= 1, "finite and >= 1"), optional(integer(1))
        check_fields(
            self, validation=number(0.0, 1.0, "a number in [0, 1]"), per_class=count, test_per_class=count, seed=seed
        )
        check_fields(self, imbalance=at_least_one, multilabel=integer(1), image_size=count)


@takes(name=instance(str), folder=path, selection=instance(Selection), download=boolean)
def load(name: str, folder: str | Path, selection: Selection, download: bool = False) -> Data:
    """Load a data set for a run: training, validation and test split, subsets, mean and standard deviation.

    Args:
        name: one of `DATA_SETS`, or data of your own (`deepnet/data/own_data.py`).
        folder: where the files of the data set are.
        selection: which of its images are used, and the seed of the choice.
        download: whether missing files may be downloaded.

    Raises:
        ValueError: if the data set is unknown or damaged, or has fewer images than asked for.
    """
    with in_python(data="name", data_folder="folder"):
        return loaded(name, Path(folder), selection, download)


def loaded(name: str, folder: Path, selection: Selection, download: bool) -> Data:
    """As `load`, for a command, whose options sentences name."""
    images = _images(name, folder, selection.image_size, download)
    generator = torch.Generator().manual_seed(selection.seed)
    held_out, rest = _split_classes(images.train, selection.validation, generator)
    kept = torch.bincount(rest.labels, minlength=images.classes)
    allowed = "such that every class keeps an image to train on"
    check(bool(kept.all()), "--validation", selection.validation, allowed)
    counts = torch.bincount(held_out.labels, minlength=images.classes)
    allowed = "0, or large enough that every class gives it an image"
    check(selection.validation == 0 or bool(counts.all()), "--validation", selection.validation, allowed)
    train = _thinned(_balanced(rest, selection.per_class, "--per-class", generator), selection.imbalance, generator)
    splits = {
        "train": train,
        "validation": _balanced(held_out, selection.test_per_class, "--test-per-class", generator),
        "test": _balanced(images.test, selection.test_per_class, "--test-per-class", generator),
    }
    splits = {name: split for name, split in splits.items() if len(split.labels)}
    tags = None
    if selection.multilabel > 1:
        tags = label_sets(images.classes, selection.multilabel)
        splits = {name: composites(split, tags, generator) for name, split in splits.items()}
    std, mean = _moments(splits["train"].images)
    return Data(splits, mean.float()[:, None, None], std.float()[:, None, None], images.classes, tags)


def _images(name: str, folder: Path, size: int | None, download: bool) -> Images:
    """The whole data set, with images scaled to the size asked for."""
    if is_own(name):
        images = own_images(name, size)
    else:
        check(name in DATA_SETS, "--data", name, f"one of {', '.join(DATA_SETS)}")
        images = DATA_SETS[name](folder, download)
    if size is None or images.train.images.shape[2:] == (size, size):
        return images
    needed = sum(math.prod(each.images.shape[:2]) * each.images.element_size() for each in (images.train, images.test))
    check_memory("--image-size", size, needed * size**2)
    train, test = (Split(scaled(split.images, size), split.labels) for split in (images.train, images.test))
    return Images(train, test, images.classes)


def _moments(images: Pixels) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Standard deviation (1 for a constant channel) and mean of each channel, in float64."""
    if images.numel() <= AT_ONCE:
        std, mean = torch.std_mean(images.double(), (0, 2, 3), correction=0)
    else:
        parts, count = torch.split(images, max(1, AT_ONCE // images[0].numel())), images.numel() / images.shape[1]
        mean = torch.stack([part.double().sum((0, 2, 3)) for part in parts]).sum(0) / count
        squares = [(part.double() - mean[:, None, None]).square().sum((0, 2, 3)) for part in parts]
        std = (torch.stack(squares).sum(0) / count).sqrt()
    return torch.where(std > 0, std, 1.0), mean


def load_digits(_: Path, __: bool = False) -> Images:
    """1,797 handwritten digits of 8 x 8 pixels (UCI optdigits): the first 130 of each class train, the rest test."""
    from sklearn import datasets

    digits = datasets.load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images, labels = torch.from_numpy(pixels)[:, None], torch.from_numpy(digits.target).long()
    is_train = torch.zeros(len(labels), dtype=torch.bool)
    for k in range(10):
        is_train[torch.nonzero(labels == k)[:130, 0]] = True
    return Images(Split(images[is_train], labels[is_train]), Split(images[~is_train], labels[~is_train]), 10)


DATA_SETS: dict[str, Callable[[Path, bool], Images]] = {
    "cifar10": partial(load_archive, CIFAR10),
    "cifar100": partial(load_archive, CIFAR100),
    "fashion_mnist": partial(load_idx, FASHION_MNIST),
    "digits": load_digits,
}


def _split_classes(split: Split, fraction: float, generator: torch.Generator) -> tuple[Split, Split]:
    """A split into a random `fraction` of each class and the rest."""
    chosen = torch.zeros(len(split.labels), dtype=torch.bool)
    for members in _shuffled_classes(split.labels, generator):
        chosen[members[: round(fraction * len(members))]] = True
    return Split(split.images[chosen], split.labels[chosen]), Split(split.images[~chosen], split.labels[~chosen])


def _balanced(split: Split, per_class: int | None, argument: str, generator: torch.Generator) -> Split:
    """`per_class` random images of each class, in the order of the data set; all of them for None."""
    if per_class is None or not len(split.labels):
        return split
    classes = _shuffled_classes(split.labels, generator)
    least = min(len(members) for members in classes)
    check(per_class <= least, argument, per_class, f"at most {least}, what the smallest class has left (--validation)")
    index = torch.cat([members[:per_class] for members in classes]).sort().values
    return Split(split.images[index], split.labels[index])


def _thinned(split: Split, factor: float, generator: torch.Generator) -> Split:
    """One in `factor` of the images of the second half of the classes, and all of the others."""
    if factor == 1:
        return split
    classes = _shuffled_classes(split.labels, generator)
    half = len(classes) // 2
    kept = classes[:half] + [members[: int(len(members) / factor)] for members in classes[half:]]
    least = min(len(members) for members in classes)
    check(all(map(len, kept)), "--imbalance", factor, f"at most {least}, so that every class keeps an image")
    index = torch.cat(kept).sort().values
    return Split(split.images[index], split.labels[index])


def _shuffled_classes(labels: Int[Tensor, " N"], generator: torch.Generator) -> list[Int[Tensor, " n"]]:
    members = [torch.nonzero(labels == k)[:, 0] for k in range(int(labels.max()) + 1)]
    return [own[torch.randperm(len(own), generator=generator)] for own in members]
