"""Reading images and labels from an untrusted .npz file, without pickles and with a bounded unpacked size."""

from pathlib import Path
from typing import Any

from deepnet.data.arrays import split_of
from deepnet.data.images import Split
from deepnet.evaluation.feature_files import npz
from ufm.errors import RequestError, check, reason_of

NAMES = {
    "train": (
        *(("train_images", "train_labels"), ("x_train", "y_train"), ("X_train", "y_train"), ("images", "labels")),
        *(("x", "y"), ("X", "y"), ("data", "labels")),
    ),
    "test": (("test_images", "test_labels"), ("x_test", "y_test"), ("X_test", "y_test"), ("val_images", "val_labels")),
}
"""The names that images and labels may have; the first found counts."""


def read_file(path: Path) -> tuple[Split, Split | None]:
    """The training images in a file, and its test images if it has any.

    Raises:
        ValueError: if it cannot be read, or has no images with labels.
    """
    wanted = {name for pairs in NAMES.values() for pair in pairs for name in pair}
    try:
        arrays = npz(path, wanted)
    except Exception as error:  # zipfile and numpy raise a dozen types for a damaged file; they mean the same
        allowed = "npz: and a file .npz of arrays that can be read"
        raise RequestError(f"`--data` must be {allowed}, got {path} ({reason_of(error)}).") from None
    splits: dict[str, Any] = dict.fromkeys(NAMES)
    for name, pairs in NAMES.items():
        for images, labels in pairs:
            if splits[name] is None and images in arrays and labels in arrays:
                splits[name] = split_of(arrays[images].numpy(), arrays[labels], f"{path}, {images}")
    shown = ", ".join(" and ".join(pair) for pair in NAMES["train"])
    check(splits["train"] is not None, "--data", path, f"a file with arrays named {shown}")
    return splits["train"], splits["test"]
