"""Image folders, npz files and data sets of the user's own: what was written is read, what is wrong is named."""

import os
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepnet.data import image_folder
from deepnet.data.load import Selection, load
from deepnet.data.own_data import own_images
from deepnet.data.scaling import scaled
from ufm.errors import RequestError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_data_sets", None)


def pixels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def folder(count=6, shape=(5, 7, 3), root="pics", classes=("b", "a")):
    written = {}
    for name in classes:
        Path(root, name).mkdir(parents=True)
        written[name] = pixels(count, *shape)
        for i, image in enumerate(written[name]):
            Image.fromarray(image).save(Path(root, name, f"{i}.png"))
    return written


def refused(name, sentence, size=None):
    with pytest.raises(RequestError) as error:
        own_images(name, size)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_is_read_class_by_class_and_a_fifth_held_out():
    written = folder()
    Path("pics/a/notes.txt").write_text("no image")
    Path("pics/.cache").mkdir()
    Path("pics/a/.ipynb_checkpoints").mkdir()  # where a notebook's server keeps copies
    Path("pics/a/.ipynb_checkpoints/0.png").write_bytes(Path("pics/a/0.png").read_bytes())
    found = own_images("imagefolder:pics", None)
    assert found.classes == 2
    assert found.train.labels.tolist() == [0] * 4 + [1] * 4
    assert found.test.labels.tolist() == [0] * 2 + [1] * 2
    for k, name in enumerate("ab"):
        np.testing.assert_array_equal(found.test.images[2 * k : 2 * k + 2].permute(0, 2, 3, 1), written[name][[0, 5]])
        np.testing.assert_array_equal(found.train.images[4 * k : 4 * k + 4].permute(0, 2, 3, 1), written[name][1:5])


def test_train_and_test_have_folders_of_their_own_and_grey_stays_grey():
    train, test = folder(3, (4, 4), "pics/train"), folder(2, (4, 4), "pics/val")
    found = own_images("imagefolder:pics", None)
    assert found.train.images.shape == (6, 1, 4, 4)
    np.testing.assert_array_equal(found.train.images[:3, 0], train["a"])
    np.testing.assert_array_equal(found.test.images[2:, 0], test["b"])
    Image.fromarray(pixels(4, 4, 3)).save("pics/val/a/colour.png")
    assert own_images("imagefolder:pics", None).train.images.shape == (6, 3, 4, 4)


def _png_of(width, height):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "pics/a/2.png (cannot identify image file"),
        (b"nothing", "pics/a/2.png (cannot identify image file"),
        (None, "pics/a/2.png (image file is truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 7 5\n", "pics/a/2.png (cannot identify image file"),
        (_png_of(9000, 9000), "pics/a/2.png of 9000 x 9000 pixels"),
        (_png_of(60000, 60000), "pics/a/2.png (Image size (3600000000 pixels) exceeds limit"),
        (_png_of(8, 5), "`--image-size` must be given where images differ in size, got nothing for pics/a/0.png"),
    ],
)
def test_a_broken_image_is_named(content, sentence):
    folder()
    path = Path("pics/a/2.png")
    path.write_bytes(path.read_bytes()[:90] if content is None else content)
    refused("imagefolder:pics", sentence)


def test_other_things_than_images_are_named(monkeypatch):
    refused("imagefolder:none", "must be a folder that can be read, got none")
    folder()
    Path("pics/a/2.png").unlink()
    os.mkfifo("pics/a/2.png")
    refused("imagefolder:pics", "pics/a/2.png (a pipe, a device or the like")
    Path("pics/a/2.png").unlink()
    Image.fromarray(np.zeros((5, 7), np.uint16)).save("pics/a/2.png")
    refused("imagefolder:pics", "pics/a/2.png of Pillow's mode I;16")
    Path("pics/a/2.png").unlink()
    monkeypatch.setattr(image_folder, "LARGEST", 1000)
    refused("imagefolder:pics", "pics of 1155 bytes")
    for path in Path("pics/b").iterdir():
        path.unlink()
    refused("imagefolder:pics", "no image in pics/b")
    Path("pics/b").rmdir()
    refused("imagefolder:pics", "pics with 1 folders")


def test_images_of_any_size_are_scaled_as_pillow_does():
    written = folder(2, (40, 60, 3))
    Image.fromarray(pixels(60, 40, 3)).save("pics/a/3.png")
    found = own_images("imagefolder:pics", 16).test.images
    theirs = Image.fromarray(written["a"][0]).resize((24, 16), Image.Resampling.BILINEAR).crop((4, 0, 20, 16))
    assert np.abs(found[0].permute(1, 2, 0).numpy().astype(int) - np.asarray(theirs, dtype=int)).max() <= 1
    data = load("digits", Path(), Selection(per_class=2, test_per_class=2, image_size=12))
    assert data.shape == (1, 12, 12)


def test_scaling_to_the_same_size_changes_nothing():
    images = torch.from_numpy(pixels(2, 3, 8, 8))
    assert torch.equal(scaled(images, 8), images)
    assert torch.equal(scaled(images.float(), 8), images.float())


@pytest.mark.parametrize("last", [True, False])
def test_arrays_have_channels_first_or_last(last):
    images, labels = pixels(12, 3, 6, 5), np.arange(12) % 3
    np.savez("file.npz", x_train=images.transpose(0, 2, 3, 1) if last else images, y_train=labels[:, None])
    found = own_images("npz:file.npz", None)
    np.testing.assert_array_equal(found.train.images, images[3:])
    assert found.test.labels.tolist() == [0, 1, 2]


def test_floats_stay_floats_and_a_constant_channel_divides_nothing():
    images = RNG.normal(size=(12, 2, 6, 6))
    images[:, 1] = 7
    np.savez("file.npz", images=images, labels=np.arange(12) % 2, test_images=images, test_labels=np.arange(12) % 2)
    data = load("npz:file.npz", Path(), Selection())
    shown = data.normalise(data.splits["train"].images)
    assert shown.dtype == torch.float32
    assert torch.equal(shown[:, 1], torch.zeros(12, 6, 6))
    np.testing.assert_allclose(shown[:, 0].double().std(correction=0), 1, rtol=1e-6)


def test_nothing_in_a_file_runs_or_grows():
    labels = np.arange(6) % 2
    np.savez("code.npz", images=np.array([print] * 6, dtype=object), labels=labels, allow_pickle=True)
    refused("npz:code.npz", "holds object, no numbers")
    with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"\0" * 10**8)
    refused("npz:bomb.npz", "would unpack to 100000000 bytes")
    np.savez("odd.npz", images=pixels(6, 4), labels=labels)
    refused("npz:odd.npz", "(6, 4) in odd.npz, images")
    np.savez("nan.npz", images=np.full((6, 4, 4), np.nan), labels=labels)
    refused("npz:nan.npz", "nan or infinity in nan.npz")
    np.savez("few.npz", images=pixels(5, 4, 4), labels=labels)
    refused("npz:few.npz", "6 labels of 5 images")
    np.savez("gap.npz", images=pixels(6, 4, 4), labels=2 * labels)
    refused("npz:gap.npz", "of images of every class from 0 to 2, got npz:gap.npz with no image of [1]")
    np.savez("hot.npz", images=pixels(6, 4, 4), labels=np.eye(2, dtype=int)[labels])
    refused("npz:hot.npz", "torch.int64 (6, 2)")
    np.savez("none.npz", pictures=pixels(6, 4, 4))
    refused("npz:none.npz", "a file with arrays named")
    refused("npz:missing.npz", "missing.npz")


SOURCE = """
import numpy as np, torch
from pathlib import Path
from torch.utils.data import Dataset

class Items(Dataset):
    def __len__(self):
        return 10
    def __getitem__(self, i):
        return torch.full((1, 4, 4), float(i)) + 0 * torch.rand(1), i % 2

class Broken(Items):
    def __getitem__(self, i):
        if i == 7:
            raise OSError("no such image")
        return super().__getitem__(i)

class Uneven(Items):
    def __getitem__(self, i):
        return np.zeros((4 + (i == 3), 4, 3), np.uint8), i % 2

def arrays(train):
    return np.zeros((4 if train else 2, 4, 4, 3), np.uint8), torch.arange(4 if train else 2) % 2

def deploy():
    Path("ran").touch()

class Tool:
    def __init__(self):
        Path("ran").touch()
"""


def test_code_of_the_user_gives_items_or_arrays():
    Path("own_data_sets.py").write_text(SOURCE)
    found = own_images("own_data_sets:Items", None)
    assert found.test.images[:, 0, 0, 0].tolist() == [0, 1]
    assert found.train.images[:, 0, 0, 0].tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    found = own_images("own_data_sets:arrays", None)
    assert (found.train.images.shape, found.test.images.shape) == ((4, 3, 4, 4), (2, 3, 4, 4))
    refused(
        "own_data_sets:Broken", "must have items (image, label), got own_data_sets:Broken (item 7: OSError: no such"
    )
    refused("own_data_sets:Uneven", "(5, 4, 3) of item 3 and (4, 4, 3) before it")
    for name in ("deploy", "Tool"):
        refused(f"own_data_sets:{name}", "a class with __len__ and __getitem__")
    for name in ("collections:UserList", "os:getcwd", "rich.tree:Tree"):
        refused(name, "`--data` must be")
    assert not Path("ran").exists()
