"""Fashion-MNIST's files: made here in the official layout, and every way they can be wrong."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deepnet.data.idx import FASHION_MNIST, IdxFiles, load_idx

COUNTS = {"train": 30, "t10k": 20}


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def contents() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    found = {}
    for prefix, count in COUNTS.items():
        found[f"{prefix}-images-idx3-ubyte.gz"] = idx(random.integers(0, 256, (count, 28, 28), np.uint8))
        found[f"{prefix}-labels-idx1-ubyte.gz"] = idx(np.arange(count, dtype=np.uint8) % 10)
    return found


def write(folder: Path, unpacked: dict[str, bytes]) -> IdxFiles:
    """The files, and the row that pins their hashes."""
    packed = {name: gzip.compress(content) for name, content in unpacked.items()}
    for name, content in packed.items():
        (folder / name).write_bytes(content)
    return replace(FASHION_MNIST, sha256={name: hashlib.sha256(c).hexdigest() for name, c in packed.items()})


def test_pixels_and_labels_are_read_in_order(tmp_path):
    images = load_idx(write(tmp_path, contents()), tmp_path)
    raw = contents()["t10k-images-idx3-ubyte.gz"]
    assert images.test.images.shape == (20, 1, 28, 28)
    assert images.test.images[3, 0, 5, 7] == raw[16 + 3 * 784 + 5 * 28 + 7]
    assert images.train.labels.tolist() == 3 * list(range(10))
    assert images.train.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("t10k-images-idx3-ubyte.gz", lambda content: content[:-1], "at least one, got 15679"),
        ("t10k-images-idx3-ubyte.gz", lambda content: content + b"\0" * 10**6, "at least one, got 15681"),
        ("t10k-images-idx3-ubyte.gz", lambda content: content[:3] + b"\x02" + content[4:], "a header 00000802"),
        ("t10k-images-idx3-ubyte.gz", lambda _: idx(np.zeros((20, 32, 32), np.uint8)), "of images of 28 x 28 pixels"),
        ("train-labels-idx1-ubyte.gz", lambda content: content[:-1] + b"\x0a", "label 10"),
        ("train-labels-idx1-ubyte.gz", lambda _: idx(np.zeros(29, np.uint8)), "29 labels"),
        ("train-labels-idx1-ubyte.gz", lambda _: idx(np.arange(30, dtype=np.uint8) % 9), "all 10 .* none of class 9"),
        ("t10k-labels-idx1-ubyte.gz", lambda _: idx(np.arange(20, dtype=np.uint8) % 7), "all 10 .* none of class 7"),
        ("t10k-labels-idx1-ubyte.gz", lambda c: c[:-1] + b"\0", "got 1 of class 9 and 3 of class 0"),
        ("train-labels-idx1-ubyte.gz", lambda _: idx(np.zeros(0, np.uint8)), "at least one, got 0"),
    ],
)
def test_a_wrong_file_is_named(name, damage, message, tmp_path):
    unpacked = contents()
    files = write(tmp_path, unpacked | {name: damage(unpacked[name])})
    with pytest.raises(ValueError, match=message) as error:
        load_idx(files, tmp_path)
    assert name in str(error.value)


def test_a_broken_gzip_file_another_hash_and_a_missing_file_are_named(tmp_path):
    files = write(tmp_path, contents())
    name = "train-images-idx3-ubyte.gz"
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=f"{name} must have sha256"):
        load_idx(files, tmp_path)
    same = files.sha256 | {name: hashlib.sha256(path.read_bytes()).hexdigest()}
    with pytest.raises(ValueError, match=f"{name} must be a gzip file that can be read"):
        load_idx(replace(files, sha256=same), tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=f"holds {name} .`--download true` fetches it"):
        load_idx(files, tmp_path)
