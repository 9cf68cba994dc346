"""Data sets as tensors of images and labels, independent of their file format."""

from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int, UInt8
from torch import Tensor

from ufm import files
from ufm.arguments import Rule, tensor
from ufm.errors import RequestError, check

Pixels = UInt8[Tensor, "N C height width"] | Float32[Tensor, "N C height width"]
"""Images with channels first, as uint8, or float32 for data of your own that are not bytes."""


class Split(NamedTuple):
    """Images (N, C, height, width) and their labels (N,)."""

    images: Pixels
    labels: Int[Tensor, " N"]


def _is_split(value: object) -> bool:
    if not isinstance(value, Split):
        return False
    is_right = tensor(None, None, None, None, dtypes=(torch.uint8, torch.float32)).holds(value.images)
    return is_right and tensor(len(value.images), dtypes=(torch.int64,)).holds(value.labels)


split_rule = Rule(_is_split, "a Split of images (N, C, height, width) in uint8 or float32 and int64 labels (N,)")


class Images(NamedTuple):
    """A data set as published: training and test images, and the number of classes."""

    train: Split
    test: Split
    classes: int


def check_classes(labels: Int[Tensor, " N"], classes: int, source: str) -> None:
    """Refuse a published split with classes of different sizes: it lacks images.

    Raises:
        ValueError: if a class is absent, or has fewer images than another (a file was cut).
    """
    counts = torch.bincount(labels, minlength=classes)
    least, most = int(counts.argmin()), int(counts.argmax())
    check(bool(counts[least] > 0), source, f"none of class {least}", f"complete, with images of all {classes} classes")
    found = f"{counts[least]} of class {least} and {counts[most]} of class {most}"
    check(
        bool(counts[least] == counts[most]),
        source,
        found,
        f"complete, with equally many images of all {classes} classes",
    )


def content(path: Path, largest: int) -> bytes:
    """A file's bytes, of which there are at most so many.

    Raises:
        ValueError: if it cannot be read or is larger.
    """
    try:
        return files.content(path, largest)
    except OSError as error:
        raise RequestError(f"{path} must be a file that can be read ({error.strerror or error}).") from None
