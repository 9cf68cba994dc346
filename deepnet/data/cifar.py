"""CIFAR-10 and CIFAR-100 in their binary layout, unpacked or in the archive: nothing is unpickled, nothing unpacked."""

import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from deepnet.data.download import fetch
from deepnet.data.images import Images, Split, check_classes, content
from ufm.errors import RequestError, check
from ufm.files import opened

PIXELS = 3 * 32 * 32
LARGEST_ARCHIVE = 2**28
"""The most bytes of an archive: those of the published ones, rounded up."""


@dataclass(frozen=True)
class Archive:
    """A CIFAR binary archive: records of `label_bytes` label bytes (the last one counts) and 3 x 32 x 32 pixels.

    Attributes:
        is_even: whether all its files, training and test, have equally many records.
        images: how many records a file of either split has as published; none has more.
    """

    url: str
    sha256: str
    folder: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    label_bytes: int
    classes: int
    is_even: bool
    images: tuple[int, int]

    def largest(self, file: str) -> int:
        """Bytes of a file as published."""
        return self.images[file in self.test_files] * (self.label_bytes + PIXELS)


CIFAR10 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar-10-batches-bin",
    train_files=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test_files=("test_batch.bin",),
    label_bytes=1,
    classes=10,
    is_even=True,
    images=(10_000, 10_000),
)
CIFAR100 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder="cifar-100-binary",
    train_files=("train.bin",),
    test_files=("test.bin",),
    label_bytes=2,  # coarse, fine
    classes=100,
    is_even=False,
    images=(50_000, 10_000),
)


def load_archive(archive: Archive, folder: Path, download: bool = False) -> Images:
    """Read CIFAR from an unpacked folder (`folder` or its subfolder of the official name), else from the archive in it.

    Raises:
        ValueError: if a file is missing, truncated (at a record too), has a label out of range or lacks a class, or the
            archive is not available.
    """
    for unpacked in (folder, folder / archive.folder):
        if any((unpacked / file).is_file() for file in archive.train_files + archive.test_files):
            return _read_files(archive, partial(_unpacked, archive, unpacked), str(unpacked))
    path = fetch(archive.url, folder / archive.url.rsplit("/", 1)[1], archive.sha256, download)
    try:
        with opened(path, LARGEST_ARCHIVE) as packed, tarfile.open(fileobj=packed) as tar:
            return _read_files(archive, lambda file: _member(tar, archive, file, path), str(path))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise RequestError(f"{path} must be a tar archive that can be read ({error}).") from None


def _read_files(archive: Archive, read: Callable[[str], bytes], source: str) -> Images:
    counts: dict[str, int] = {}

    def split(files: tuple[str, ...]) -> Split:
        parts = [_records(archive, read(file), f"{source}/{file}") for file in files]
        counts.update(zip(files, (len(part.labels) for part in parts), strict=True))
        whole = Split(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))
        check_classes(whole.labels, archive.classes, f"{source}/{', '.join(files)}")
        return whole

    images = Images(split(archive.train_files), split(archive.test_files), archive.classes)
    least, most = min(counts, key=counts.__getitem__), max(counts.values())
    is_whole = counts[least] == most or not archive.is_even
    check(is_whole, f"{source}/{least}", f"{counts[least]}", f"a file of {most} records, as the others are")
    return images


def _records(archive: Archive, content: bytes, source: str) -> Split:
    size = archive.label_bytes + PIXELS
    whole = f"a whole number of records of {size} bytes, at least one"
    check(len(content) > 0 and len(content) % size == 0, source, f"{len(content)} bytes", whole)
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, size)
    labels = records[:, archive.label_bytes - 1].long()
    top = int(labels.max())
    check(top < archive.classes, source, f"label {top}", f"a file whose labels are below {archive.classes}")
    return Split(records[:, archive.label_bytes :].reshape(-1, 3, 32, 32), labels)


def _unpacked(archive: Archive, folder: Path, name: str) -> bytes:
    return content(folder / name, archive.largest(name))


def _member(tar: tarfile.TarFile, archive: Archive, name: str, source: Path) -> bytes:
    """The content of one regular file of the archive; members under any other name are never touched."""
    path = f"{archive.folder}/{name}"
    try:
        file, size = tar.extractfile(path), tar.getmember(path).size
    except KeyError:
        file, size = None, 0
    if file is None:
        raise RequestError(f"{source} must hold the file {path}.")
    check(size <= archive.largest(name), f"{source}/{path}", f"{size} bytes", f"of {archive.largest(name)} at most")
    return file.read()
