"""What a data set is, whatever its file format: images as uint8 tensors and their labels."""

from pathlib import Path
from typing import NamedTuple

from jaxtyping import Int, UInt8
from torch import Tensor

from ufm import files
from ufm.command_line import RequestError


class Split(NamedTuple):
    """Images (channels first, 0..255) and their labels."""

    images: UInt8[Tensor, "N C height width"]
    labels: Int[Tensor, " N"]


class Images(NamedTuple):
    """A data set as published."""

    train: Split
    test: Split
    classes: int


def content(path: Path, largest: int) -> bytes:
    """A file's bytes, of which there are at most so many.

    Raises:
        ValueError: if it cannot be read or is larger.
    """
    try:
        return files.content(path, largest)
    except OSError as error:
        raise RequestError(f"{path} must be a file that can be read ({error.strerror or error}).") from None
