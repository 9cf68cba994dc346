"""Data of your own: `imagefolder:PATH`, `npz:PATH`, or `mymodule:MyData`.

All images are read, and the first that is wrong is named, before the first step. Without test images every fifth of
each class is one, in the order of files or arrays.

`mymodule:MyData` is a class whose instances have a length and items (image, label), as torch's data sets, or a function
that takes `train`. What takes `train` is called with True and with False, for training and test images; a function may
also return the pair (images, labels), arrays of numpy or torch. Tensors have channels first, arrays of numpy last.
Random transforms are drawn once. The path may stand in a file from elsewhere: `ufm/import_string.py` finds the object,
`_found` looks at it before it is called.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deepnet.data.arrays import split_of
from deepnet.data.image_file import read_file
from deepnet.data.image_folder import read_folder
from deepnet.data.images import Images, Split
from ufm import import_string
from ufm.errors import check
from ufm.import_string import foreign

HELD_OUT = 5
"""One image in this many is a test image if the data have none."""
Parts = tuple[Split, Split | None]
"""Training images, and test images or None."""


def is_own(name: str) -> bool:
    """Whether a name means data of the user, not one of `DATA_SETS`."""
    return ":" in name


def own_images(name: str, size: int | None) -> Images:
    """Load data of the user; the images of a folder are scaled to `size` x `size` pixels, one by one.

    Raises:
        ValueError: if it cannot be read, its images differ in shape, or a class has too few; names file or class.
    """
    kind, _, rest = name.partition(":")
    train, test = READERS[kind](Path(rest), size) if kind in READERS else _of_code(name)
    classes = int(train.labels.max()) + 1 if len(train.labels) else 0
    check(classes >= 2, "--data", f"{name} with {classes}", "of at least two classes")
    train, test = _held_out(train, classes, name) if test is None else (train, test)
    got = f"{tuple(train.images.shape[1:])} and {tuple(test.images.shape[1:])} in {name}"
    check(train.images.shape[1:] == test.images.shape[1:], "--data", got, "of training and test images of one shape")
    for what, split in (("training", train), ("test", test)):
        counts = torch.bincount(split.labels, minlength=classes)
        check(len(counts) == classes, "--data", f"{name} with {len(counts)}", f"of {classes} classes in every split")
        absent = (counts == 0).nonzero()[:, 0].tolist()
        check(not absent, "--data", f"{name} with no {what} image of {absent}", "of images of every class")
    return Images(train, test, classes)


def _held_out(split: Split, classes: int, name: str) -> tuple[Split, Split]:
    """A split into all but every fifth image of each class, and those."""
    counts = torch.bincount(split.labels, minlength=classes)
    absent = (counts == 0).nonzero()[:, 0].tolist()
    check(
        not absent, "--data", f"{name} with no image of {absent}", f"of images of every class from 0 to {classes - 1}"
    )
    few = (counts < 2).nonzero()[:, 0].tolist()
    check(
        not few, "--data", f"{name} with fewer of {few}", "of test images, or of two images of each class to take some"
    )
    is_test = torch.zeros(len(split.labels), dtype=torch.bool)
    for k in range(classes):
        is_test[torch.nonzero(split.labels == k)[::HELD_OUT, 0]] = True
    return Split(*(each[~is_test] for each in split)), Split(*(each[is_test] for each in split))


def _of_code(name: str) -> Parts:
    found, takes_train = check_code(name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        with foreign("--data", "give images and labels", name):
            made = [found(train=True), found(train=False)] if takes_train else [found()]
        train, *test = [_split(each, name) for each in made]
    return train, test[0] if test else None


def check_code(name: str) -> tuple[Callable[..., Any], bool]:
    """The object that an import path names, if it can be a data set, and whether it takes `train`.

    Raises:
        ValueError: if there is none.
    """
    path = name.replace(":", ".")
    found = import_string.find(path, "--data")
    is_class = inspect.isclass(found)
    with foreign("--data", "say what it takes", name):
        takes_train = (is_class or inspect.isfunction(found)) and "train" in inspect.signature(found).parameters
    if is_class:
        has_items = all(hasattr(found, method) for method in ("__len__", "__getitem__"))
        is_data_set = issubclass(found, Dataset) if import_string.is_installed(path) else has_items
    else:
        is_data_set = takes_train
    allowed = (
        "imagefolder:PATH, npz:PATH, or module: and a class with __len__ and __getitem__ (of an installed package "
    )
    allowed += "a subclass of torch.utils.data.Dataset), or a function that takes train"
    check(is_data_set, "--data", name, allowed)
    return found, takes_train


def _split(found: Any, name: str) -> Split:
    """A split from a pair of arrays, or from the items of a data set."""
    arrays = np.ndarray | Tensor
    if isinstance(found, tuple | list) and len(found) == 2 and isinstance(found[0], arrays):
        return split_of(found[0], found[1], name)
    images, labels = list[Any](), list[int]()
    with foreign("--data", "have a length and items (image, label)", name):
        count = len(found)
    for i in range(count):
        with foreign("--data", "have items (image, label)", name, f"item {i}: "):
            image, label = found[i]
            images.append(image if isinstance(image, Tensor) else np.asarray(image))
            labels.append(int(label))
        got = f"{tuple(images[i].shape)} of item {i} and {tuple(images[0].shape)} before it in {name}"
        check(images[i].shape == images[0].shape, "--data", got, "of images of one shape")
    check(count > 0, "--data", name, "a data set with images")
    stacked = torch.stack(images) if isinstance(images[0], Tensor) else np.stack(images)
    return split_of(stacked, torch.tensor(labels), name)


READERS: dict[str, Callable[[Path, int | None], Parts]] = {
    "imagefolder": read_folder,
    "npz": lambda path, _: read_file(path),
}
"""The readers of data in files, by the word before the colon."""
