"""Readers on synthetic files in the official layout, splits, subsets and normalisation."""

import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deepnet.__main__ import COMMANDS
from deepnet.data.cifar import CIFAR10, CIFAR100, Archive, load_archive
from deepnet.data.load import Selection, load
from ufm.cli.command_line import main

ROWS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def records(archive: Archive, file: str, per_class: int = 3) -> bytes:
    """Each class `per_class` times, pixels random but reproducible, coarse label 0."""
    random = np.random.default_rng(len(file))
    labels = np.tile(np.arange(archive.classes, dtype=np.uint8), per_class)[:, None]
    coarse = np.zeros((len(labels), archive.label_bytes - 1), np.uint8)
    pixels = random.integers(0, 256, (len(labels), 3072), np.uint8)
    return np.concatenate([coarse, labels, pixels], 1).tobytes()


def unpack(archive: Archive, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file in archive.train_files + archive.test_files:
        (folder / file).write_bytes(records(archive, file))
    return folder


def pack(archive: Archive, path: Path, prefix: str = "") -> str:
    """Write the archive and return its sha256."""
    with tarfile.open(path, "w:gz") as tar:
        for file in archive.train_files + archive.test_files:
            content = records(archive, file)
            member = tarfile.TarInfo(f"{prefix}{archive.folder}/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ROWS)
def test_folder_subfolder_and_archive_are_read_alike(name, tmp_path):
    archive = ROWS[name]
    direct = load_archive(archive, unpack(archive, tmp_path / "a" / archive.folder))
    below = load_archive(archive, tmp_path / "a")
    path = tmp_path / archive.url.rsplit("/", 1)[1]
    packed = load_archive(replace(archive, sha256=pack(archive, path)), tmp_path)
    for images in (below, packed):
        for one, other in zip(direct[:2], images[:2], strict=True):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.labels, other.labels)
    assert torch.bincount(direct.train.labels).tolist() == [3 * len(archive.train_files)] * archive.classes
    content = records(archive, archive.test_files[0])
    assert direct.test.images[1, 2, 31, 31] == content[2 * (archive.label_bytes + 3072) - 1]  # blue, last pixel
    assert direct.test.images[0, 0, 0, 1] == content[archive.label_bytes + 1]  # rows of pixels, red first


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: os.truncate(path, 5000), "5000 bytes"),
        (lambda path: os.truncate(path, 0), "0 bytes"),
        (lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]), "label 10"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_a_damaged_file_is_named(damage, message, tmp_path):
    folder = unpack(CIFAR10, tmp_path / CIFAR10.folder)
    damage(folder / "data_batch_3.bin")
    with pytest.raises(ValueError, match=rf"data_batch_3\.bin.*{message}"):
        load_archive(CIFAR10, tmp_path)


def test_an_archive_of_another_hash_is_refused(tmp_path):
    pack(CIFAR10, tmp_path / "cifar-10-binary.tar.gz")
    with pytest.raises(ValueError, match=f"sha256 {CIFAR10.sha256}"):
        load_archive(CIFAR10, tmp_path)


def test_members_outside_the_folder_are_never_written(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    sha256 = pack(CIFAR10, inner / "cifar-10-binary.tar.gz", prefix="../")
    with pytest.raises(ValueError, match="must hold the file"):
        load_archive(replace(CIFAR10, sha256=sha256), inner)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "cifar-10-binary.tar.gz"]


def test_a_broken_archive_is_named(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    pack(CIFAR10, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz must be a tar archive"):
        load_archive(replace(CIFAR10, sha256=hashlib.sha256(path.read_bytes()).hexdigest()), tmp_path)


def test_validation_is_a_tenth_of_each_class_and_seeded():
    splits = load("digits", Path(), Selection(validation=0.1)).splits
    again = load("digits", Path(), Selection(validation=0.1)).splits
    other = load("digits", Path(), Selection(validation=0.1, seed=1)).splits
    assert torch.bincount(splits["train"].labels).tolist() == [117] * 10
    assert torch.bincount(splits["validation"].labels).tolist() == [13] * 10
    assert torch.equal(splits["validation"].images, again["validation"].images)
    assert not torch.equal(splits["validation"].images, other["validation"].images)
    assert torch.equal(splits["test"].images, other["test"].images)


def test_no_image_is_in_two_splits():
    splits = load("digits", Path(), Selection(validation=0.5)).splits
    together = torch.cat([split.images for split in splits.values()]).flatten(1)
    assert len(together) == len(together.unique(dim=0)) == 1797


def test_per_class_takes_a_balanced_subset():
    splits = load("digits", Path(), Selection(validation=0.0, per_class=5, test_per_class=2)).splits
    assert set(splits) == {"train", "test"}
    assert torch.bincount(splits["train"].labels).tolist() == [5] * 10
    assert torch.bincount(splits["test"].labels).tolist() == [2] * 10


def test_normalisation_is_that_of_the_images_trained_on():
    digits = load("digits", Path(), Selection(per_class=20))
    train = digits.normalise(digits.splits["train"].images).double()
    torch.testing.assert_close(train.mean(), torch.tensor(0.0, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(correction=0), torch.tensor(1.0, dtype=torch.float64), atol=1e-6, rtol=0)
    assert abs(float(digits.normalise(digits.splits["test"].images).mean())) > 1e-3  # not its own statistics


@pytest.mark.parametrize(
    ("name", "selection", "message"),
    [
        ("mnist", Selection(), "`name` must be one of cifar10, cifar100, fashion_mnist, digits, got mnist"),
        ("digits", Selection(per_class=131), "`per_class` must be at most 130"),
        ("digits", Selection(test_per_class=99), "`test_per_class` must be at most 4"),
    ],
)
def test_what_cannot_be_had_is_refused(name, selection, message):
    with pytest.raises(ValueError, match=message):
        load(name, Path(), selection)


@pytest.mark.skipif("CIFAR10_FOLDER" not in os.environ, reason="CIFAR10_FOLDER does not name a folder with CIFAR-10")
def test_real_cifar10_has_its_known_sizes_and_statistics():
    cifar = load("cifar10", Path(os.environ["CIFAR10_FOLDER"]), Selection())
    assert {name: len(split.labels) for name, split in cifar.splits.items()} == {"train": 50_000, "test": 10_000}
    assert torch.bincount(cifar.splits["train"].labels).tolist() == [5000] * 10
    # The published channel means are 0.4914, 0.4822, 0.4465 and deviations 0.2470, 0.2435, 0.2616.
    assert (cifar.mean.flatten() / 255).tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    assert (cifar.std.flatten() / 255).tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=4e-3)


def keep(count: int):
    """Cut a file behind so many records."""
    return lambda path, size: os.truncate(path, count * size)


def without(label: int):
    """Drop the records of a class, or of a class but one."""

    def drop(path: Path, size: int) -> None:
        content = path.read_bytes()
        rows = [content[start : start + size] for start in range(0, len(content), size)]
        path.write_bytes(b"".join(row for row in rows if row[size - 3073] != label))

    return drop


TRAIN = ", ".join(CIFAR10.train_files)


@pytest.mark.parametrize(
    ("name", "files", "damage", "sentence"),
    [
        (
            "cifar10",
            ["data_batch_5.bin"],
            keep(20),
            r"data_batch_5\.bin` must be a file of 30 records, as the others are, got 20\.",
        ),
        (
            "cifar10",
            ["test_batch.bin"],
            keep(20),
            r"test_batch\.bin` must be a file of 30 records, as the others are, got 20\.",
        ),
        (
            "cifar10",
            ["data_batch_2.bin"],
            keep(29),
            "complete, with equally many images of all 10 classes, got 14 of class 9 and 15",
        ),
        (
            "cifar10",
            ["test_batch.bin"],
            without(9),
            r"test_batch\.bin` must be complete, with images of all 10 .* none of class 9",
        ),
        (
            "cifar10",
            CIFAR10.train_files,
            without(3),
            f"{TRAIN}` must be complete, with images of all 10 .* none of class 3",
        ),
        (
            "cifar100",
            ["train.bin"],
            keep(299),
            r"train\.bin` must be complete, .* got 2 of class 99 and 3 of class 0\.",
        ),
        (
            "cifar100",
            ["train.bin"],
            keep(99),
            r"train\.bin` must be complete, with images of all 100 .* none of class 99",
        ),
        (
            "cifar100",
            ["test.bin"],
            without(57),
            r"test\.bin` must be complete, with images of all 100 .* none of class 57",
        ),
    ],
)
def test_files_that_lack_images_are_named(name, files, damage, sentence, tmp_path):
    archive = ROWS[name]
    unpack(archive, tmp_path / archive.folder)
    for file in files:
        damage(tmp_path / archive.folder / file, archive.label_bytes + 3072)
    with pytest.raises(ValueError, match=sentence):
        load(name, tmp_path, Selection())


def test_a_run_on_images_that_lack_a_class_is_refused_before_anything_is_written(tmp_path, capsys):
    unpack(CIFAR10, tmp_path / "data")
    without(9)(tmp_path / "data" / "test_batch.bin", 3073)
    words = ["train", "--data-folder", str(tmp_path / "data"), "--net", "mlp", "--validation", "0"]
    assert main("python -m deepnet", "", COMMANDS, [*words, "--out", str(tmp_path / "run")]) == 2
    assert (
        "test_batch.bin` must be complete, with images of all 10 classes, got none of class 9."
        in capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()


def test_a_validation_split_has_every_class_or_is_not_asked_for():
    sentence = "`validation` must be 0, or large enough that every class gives it an image, got 0.001"
    with pytest.raises(ValueError, match=sentence):
        load("digits", Path(), Selection(validation=0.001))
    assert "validation" not in load("digits", Path(), Selection(validation=0.0)).splits


def test_images_larger_than_the_memory_are_refused_before_they_are_scaled(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 1000)
    with pytest.raises(ValueError, match="`image_size` must be such that the work fits"):
        load("digits", Path(), Selection(image_size=64))
