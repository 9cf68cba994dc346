"""Fashion-MNIST in the IDX format of MNIST: four gzipped files, each a header of big-endian sizes and raw bytes."""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from deepnet.data.download import fetch
from deepnet.data.images import Images, Split, check_classes
from ufm.errors import RequestError, check
from ufm.files import opened

_BYTES = 0x08  # the format's code for unsigned bytes
LARGEST = 2**26
"""The most bytes of a file, packed or not; the published images are 47 MB."""


@dataclass(frozen=True)
class IdxFiles:
    """Four files below one address, named like MNIST's, with their sha256."""

    url: str
    sha256: dict[str, str]
    side: int
    classes: int


FASHION_MNIST = IdxFiles(
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    sha256={
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    side=28,
    classes=10,
)


def load_idx(files: IdxFiles, folder: Path, download: bool = False) -> Images:
    """Read the four files in `folder`.

    Raises:
        ValueError: if a file is missing, has another hash or size than it should, a label out of range, or no image of
            a class.
    """
    paths = {name: fetch(f"{files.url}/{name}", folder / name, sha, download) for name, sha in files.sha256.items()}

    def split(prefix: str) -> Split:
        images, labels = paths[f"{prefix}-images-idx3-ubyte.gz"], paths[f"{prefix}-labels-idx1-ubyte.gz"]
        return _split(files, images, labels)

    return Images(split("train"), split("t10k"), files.classes)


def _split(files: IdxFiles, images: Path, labels: Path) -> Split:
    pixels, classes = read_idx(images, 3), read_idx(labels, 1)
    sides, wanted = f"{pixels.shape[1]} x {pixels.shape[2]}", f"{files.side} x {files.side}"
    check(sides == wanted, str(images), f"{sides}", f"of images of {wanted} pixels")
    check(len(pixels) == len(classes), str(labels), f"{len(classes)} labels", f"of {len(pixels)} labels, one an image")
    top = int(classes.max())
    check(top < files.classes, str(labels), f"label {top}", f"a file whose labels are below {files.classes}")
    check_classes(classes.long(), files.classes, str(labels))
    return Split(pixels[:, None], classes.long())


def read_idx(path: Path, dimensions: int) -> UInt8[Tensor, "..."]:
    """A gzipped IDX file of unsigned bytes; of a file that unpacks to more than its header says, no more is unpacked.

    Raises:
        ValueError: if it is no such file, or truncated.
    """
    try:
        with opened(path, LARGEST) as packed, gzip.GzipFile(fileobj=packed) as file:
            header = file.read(4 + 4 * dimensions)
            is_right = header[:4] == bytes((0, 0, _BYTES, dimensions)) and len(header) == 4 + 4 * dimensions
            check(is_right, str(path), f"a header {header[:4].hex()}", f"an IDX file of {dimensions}-dimensional bytes")
            sizes = [int.from_bytes(header[start : start + 4], "big") for start in range(4, len(header), 4)]
            size = math.prod(sizes)
            check(size <= LARGEST, str(path), f"{size} bytes, as its header says", f"of {LARGEST} bytes at most")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path} must be a gzip file that can be read ({error}).") from None
    wanted = f"{size} bytes, as its header says, at least one"
    check(len(content) == size > 0, str(path), f"{len(content)}", wanted)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(sizes)
