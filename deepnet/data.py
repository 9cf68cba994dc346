"""Real images as uint8 tensors on the device: CIFAR-10, CIFAR-100, and digits that ship with scikit-learn.

A further data set is one function (folder) -> Images in `DATA_SETS`; CIFAR's own binary layout is one `Archive` row.
Nothing is unpickled and no archive is unpacked: the *binary* archives are read member by member.
"""

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from deepnet.download import fetch
from ufm.command_line import RequestError, check


class Split(NamedTuple):
    """Images (channels first, 0..255) and their labels."""

    images: UInt8[Tensor, "N C height width"]
    labels: Int[Tensor, " N"]


class Images(NamedTuple):
    """A data set as published."""

    train: Split
    test: Split
    classes: int


@dataclass(frozen=True)
class Archive:
    """A CIFAR binary archive: records of `label_bytes` label bytes (the last one counts) and 3 x 32 x 32 pixels."""

    url: str
    sha256: str
    folder: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    label_bytes: int
    classes: int


CIFAR10 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar-10-batches-bin",
    train_files=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test_files=("test_batch.bin",),
    label_bytes=1,
    classes=10,
)
CIFAR100 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder="cifar-100-binary",
    train_files=("train.bin",),
    test_files=("test.bin",),
    label_bytes=2,  # coarse, fine
    classes=100,
)


@dataclass(frozen=True)
class Data:
    """What one run sees.

    Attributes:
        splits: `train`, `validation` (absent when its fraction is 0) and `test`.
        mean, std: per channel, of the run's own training images, in units of 0..255; the same for every split.
        classes: K.
    """

    splits: dict[str, Split]
    mean: Float[Tensor, "C 1 1"]
    std: Float[Tensor, "C 1 1"]
    classes: int

    def normalise(self, images: UInt8[Tensor, "n C height width"]) -> Float[Tensor, "n C height width"]:
        """Images of mean 0 and standard deviation 1 over the training split."""
        return (images - self.mean) / self.std

    def to(self, device: torch.device) -> "Data":
        """All of it on a device."""
        splits = {name: Split(*(tensor.to(device) for tensor in split)) for name, split in self.splits.items()}
        return Data(splits, self.mean.to(device), self.std.to(device), self.classes)


@dataclass(frozen=True)
class Selection:
    """Which images of a data set a run uses; every split is balanced as far as the data set is."""

    validation: float = 0.0
    per_class: int | None = None
    test_per_class: int | None = None
    seed: int = 0


def load(name: str, folder: Path, selection: Selection) -> Data:
    """Read a data set, keep some training images of each class for validation, take the subsets, find mean and std.

    Raises:
        ValueError: if the data set is unknown or damaged, or has fewer images than asked for.
    """
    check(name in DATA_SETS, "--data", name, f"one of {', '.join(DATA_SETS)}")
    images = DATA_SETS[name](folder)
    generator = torch.Generator().manual_seed(selection.seed)
    held_out, rest = _split_classes(images.train, selection.validation, generator)
    kept = torch.bincount(rest.labels, minlength=images.classes)
    allowed = "such that every class keeps an image to train on"
    check(bool(kept.all()), "--validation", selection.validation, allowed)
    train = _balanced(rest, selection.per_class, "--per-class", generator)
    splits = {
        "train": train,
        "validation": _balanced(held_out, selection.test_per_class, "--test-per-class", generator),
        "test": _balanced(images.test, selection.test_per_class, "--test-per-class", generator),
    }
    std, mean = torch.std_mean(train.images.double(), (0, 2, 3), correction=0)
    return Data(
        {name: split for name, split in splits.items() if len(split.labels)},
        mean.float()[:, None, None],
        std.float()[:, None, None],
        images.classes,
    )


def load_archive(archive: Archive, folder: Path) -> Images:
    """Read CIFAR from an unpacked folder (`folder` or its subfolder of the official name), else from the archive in it.

    Raises:
        ValueError: if a file is missing, truncated, or has a label out of range, or the archive cannot be had.
    """
    for unpacked in (folder, folder / archive.folder):
        if any((unpacked / file).is_file() for file in archive.train_files + archive.test_files):
            return _read_files(archive, partial(_content, unpacked), str(unpacked))
    path = fetch(archive.url, folder / archive.url.rsplit("/", 1)[1], archive.sha256)
    try:
        with tarfile.open(path) as tar:
            return _read_files(archive, lambda file: _member(tar, f"{archive.folder}/{file}", path), str(path))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise RequestError(f"{path} must be a tar archive that can be read ({error}).") from None


def load_digits(_: Path) -> Images:
    """1,797 handwritten digits of 8 x 8 pixels (UCI optdigits): the first 130 of each class train, the rest test."""
    from sklearn import datasets

    digits = datasets.load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images, labels = torch.from_numpy(pixels)[:, None], torch.from_numpy(digits.target).long()
    is_train = torch.zeros(len(labels), dtype=torch.bool)
    for k in range(10):
        is_train[torch.nonzero(labels == k)[:130, 0]] = True
    return Images(Split(images[is_train], labels[is_train]), Split(images[~is_train], labels[~is_train]), 10)


DATA_SETS: dict[str, Callable[[Path], Images]] = {
    "cifar10": partial(load_archive, CIFAR10),
    "cifar100": partial(load_archive, CIFAR100),
    "digits": load_digits,
}


def _read_files(archive: Archive, read: Callable[[str], bytes], source: str) -> Images:
    def split(files: tuple[str, ...]) -> Split:
        parts = [_records(archive, read(file), f"{source}/{file}") for file in files]
        return Split(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))

    return Images(split(archive.train_files), split(archive.test_files), archive.classes)


def _records(archive: Archive, content: bytes, source: str) -> Split:
    size = archive.label_bytes + 3 * 32 * 32
    whole = f"a whole number of records of {size} bytes, at least one"
    check(len(content) > 0 and len(content) % size == 0, source, f"{len(content)} bytes", whole)
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, size)
    labels = records[:, archive.label_bytes - 1].long()
    top = int(labels.max())
    check(top < archive.classes, source, f"label {top}", f"a file whose labels are below {archive.classes}")
    return Split(records[:, archive.label_bytes :].reshape(-1, 3, 32, 32), labels)


def _content(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError as error:
        raise RequestError(f"{folder / file} must be a file that can be read ({error.strerror}).") from None


def _member(tar: tarfile.TarFile, name: str, source: Path) -> bytes:
    """The content of one regular file of the archive; members under any other name are never touched."""
    try:
        file = tar.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise RequestError(f"{source} must hold the file {name}.")
    return file.read()


def _split_classes(split: Split, fraction: float, generator: torch.Generator) -> tuple[Split, Split]:
    """A random `fraction` of each class, and the rest."""
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
    check(per_class <= least, argument, per_class, f"at most {least}, what the smallest class has")
    index = torch.cat([members[:per_class] for members in classes]).sort().values
    return Split(split.images[index], split.labels[index])


def _shuffled_classes(labels: Int[Tensor, " N"], generator: torch.Generator) -> list[Int[Tensor, " n"]]:
    members = [torch.nonzero(labels == k)[:, 0] for k in range(int(labels.max()) + 1)]
    return [own[torch.randperm(len(own), generator=generator)] for own in members]
