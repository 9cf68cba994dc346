"""A folder of images for each class, as torchvision's `ImageFolder` has it, read with Pillow.

Classes are the folders' names in their order. `PATH/train/CLASS` and `PATH/test/CLASS` (or `val`), or `PATH/CLASS`
alone. Headers come first: how many pixels an image has is known before it is unpacked. If all images are grey there is
one channel, else there are three. Formats that run other programs, such as EPS, are not read.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.progress import track

from deepnet.data.images import Split
from deepnet.data.scaling import scaled
from ufm.cli.table import console
from ufm.errors import RequestError, check, reason_of
from ufm.files import opened

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "PPM": (".pgm", ".ppm", ".pbm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
LARGEST_FILE, MOST_PIXELS, LARGEST = 2**28, 2**26, 2**36
"""The most bytes of a file, pixels of an image, and bytes of all images unpacked."""
GREY, DEEP = ("1", "L", "LA"), ("I", "F")
"""Pillow's modes of grey images, and how those begin that have more than eight bits a channel."""
TEST = ("test", "val", "valid", "validation")
"""The names of a folder of test images; the first found counts."""


def read_folder(path: Path, size: int | None) -> tuple[Split, Split | None]:
    """The training images in a folder, and its test images if it has any; scaled to `size` x `size` pixels if given.

    Raises:
        ValueError: if an image cannot be read, is too large or of another size than the first, or a class is empty;
            names it.
    """
    train = path / "train" if (path / "train").is_dir() else path
    test = next((path / name for name in TEST if train != path and (path / name).is_dir()), None)
    classes = _classes(train)
    files = [_files(each, classes) for each in (train, test) if each is not None]
    every = [file for of_classes in files for of_class in of_classes for file in of_class]
    channels, shape = _looked_at(every, size)
    total = len(every) * channels * shape[0] * shape[1]
    check(total <= LARGEST, "--data", f"{path} of {total} bytes", f"a folder of images of at most {LARGEST} bytes")
    splits = [_split(of_classes, channels, shape, size) for of_classes in files]
    return splits[0], splits[1] if len(splits) > 1 else None


def _classes(folder: Path) -> list[str]:
    """The names of the subfolders that are classes; those of operating systems are left out."""
    try:
        found = sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise RequestError(f"`--data` must be a folder that can be read, got {folder} ({error.strerror}).") from None
    allowed = "imagefolder: and a folder with a folder of images for each class, of two or more"
    check(len(found) >= 2, "--data", f"{folder} with {len(found)} folders", allowed)
    return found


def _files(folder: Path, classes: Sequence[str]) -> list[list[Path]]:
    """The images of each class in the order of their names."""
    own = _classes(folder)
    check(own == classes, "--data", f"{folder} with {', '.join(own)}", f"of the classes {', '.join(classes)}")
    files = [sorted(file for file in (folder / name).rglob("*") if _is_image(file, folder)) for name in classes]
    empty = [folder / name for name, of_class in zip(classes, files, strict=True) if not of_class]
    check(not empty, "--data", f"no image in {empty[0] if empty else ''}", f"of images {', '.join(SUFFIXES)}")
    return files


def _is_image(file: Path, folder: Path) -> bool:
    """Whether a file is an image by its name; hidden ones and those of hidden folders are other programs' copies."""
    is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in SUFFIXES and not is_hidden


def _looked_at(files: Sequence[Path], size: int | None) -> tuple[int, tuple[int, int]]:
    """Channels, height and width of the images, from their headers only."""
    is_grey, shape, first = True, (0, 0), files[0]
    for file in files:
        with _opened(file) as image:
            own, mode = (image.height, image.width), image.mode
        got = f"{file} of {own[1]} x {own[0]} pixels"
        check(0 < own[0] * own[1] <= MOST_PIXELS, "--data", got, f"of images of at most {MOST_PIXELS} pixels")
        check(mode[0] not in DEEP, "--data", f"{file} of Pillow's mode {mode}", "of images of eight bits a channel")
        is_grey &= mode in GREY
        shape = own if file is first else shape
        got = f"nothing for {first} of {shape[1]} x {shape[0]} pixels and {file} of {own[1]} x {own[0]}"
        check(size is not None or own == shape, "--image-size", got, "given where images differ in size")
    return (1 if is_grey else 3), (shape if size is None else (size, size))


def _split(files: Sequence[Sequence[Path]], channels: int, shape: tuple[int, int], size: int | None) -> Split:
    labels = torch.tensor([k for k, of_class in enumerate(files) for _ in of_class])
    images = torch.empty(len(labels), channels, *shape, dtype=torch.uint8)
    out = console()
    every = [file for of_class in files for file in of_class]
    for i, file in enumerate(track(every, "images", console=out, transient=True, disable=not out.is_terminal)):
        with _opened(file) as image:
            pixels = np.array(image.convert("L" if channels == 1 else "RGB"))
        found = torch.from_numpy(pixels).view(1, *pixels.shape[:2], channels).permute(0, 3, 1, 2)
        images[i] = (found if size is None else scaled(found, size))[0]
    return Split(images, labels)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open an image and read its header.

    Raises:
        ValueError: if the file cannot be read as an image, here or while the image is used.
    """
    try:
        with opened(path, LARGEST_FILE) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that are odd
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=tuple(FORMATS)) as image:
                yield image
    except RequestError:
        raise
    except Exception as error:  # Pillow raises a dozen types for a damaged file; they mean the same to the user
        reason = reason_of(error).split(" <_io")[0]
        raise RequestError(f"`--data` must be of images that can be read, got {path} ({reason}).") from None
