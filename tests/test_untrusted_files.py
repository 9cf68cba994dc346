"""Files from elsewhere, fuzzed: the reader's own complaint or a sound result, no other error, no foreign code."""

import contextlib
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from deepnet.data.cifar import CIFAR10, load_archive
from deepnet.data.own_data import own_images
from deepnet.evaluation.files import evaluate_file
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint, shapes
from tests.damaged_files import Payload
from tests.deepnet.data.test_data import pack, records, unpack
from ufm.__main__ import COMMANDS
from ufm.atlas.comparison_job import read_atlases
from ufm.atlas.job import asked, opened
from ufm.atlas.setting import AtlasSetting
from ufm.cli.command_line import main
from ufm.cli.records import read_record, write_record
from ufm.cli.resume import earlier_result
from ufm.errors import RequestError
from ufm.scan.setting import ScanSetting
from ufm.scan.shards import SHARDS, commits, read_rows, resumed_setting, write_setting, write_shard

fuzzed = settings(
    deadline=None,
    max_examples=60,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Some bytes changed, cut out or put in."""
    place = draw(st.integers(0, max(0, len(content) - 1)))
    length = draw(st.integers(0, 40))
    return content[:place] + draw(st.binary(max_size=40)) + content[place + length :]


def refused_or_read(read: Callable[[], object]) -> None:
    with contextlib.suppress(RequestError):
        read()


def altered(value: object, draw: Callable) -> object:
    """One entry of a nested JSON value replaced by anything."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 5)):
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        key = draw(st.sampled_from(list(keys)))
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = altered(value[key], draw)  # type: ignore[index]
        return copy
    return draw(JSON)


@pytest.fixture(scope="module")
def atlas_record(tmp_path_factory) -> tuple[AtlasSetting, dict]:
    out = tmp_path_factory.mktemp("atlas") / "out"
    words = ["--classes", "2", "--dim", "2", "--starts", "20", "--quiet-rounds", "1", "--certify", "false"]
    assert main("python -m ufm", "", COMMANDS, ["atlas", *words, "--out", str(out)]) == 0
    setting = AtlasSetting(classes=2, dim=2, starts=20, quiet_rounds=1, certify=False, out=out)
    return setting, json.loads((out / "record.json").read_text())


@fuzzed
@given(st.data())
def test_records_of_atlases(atlas_record, tmp_path, data):
    setting, record = atlas_record
    path = tmp_path / "record.json"
    path.write_text(json.dumps(altered(record, data.draw)))
    refused_or_read(lambda: read_record(path))
    refused_or_read(lambda: earlier_result(tmp_path, setting.as_dict()))
    refused_or_read(lambda: read_atlases([tmp_path, tmp_path]))
    refused_or_read(lambda: opened(*asked(setting), tmp_path))


@fuzzed
@given(st.data())
def test_bytes_of_records(tmp_path, data):
    path = write_record(tmp_path / "r.json", {"seed": 0}, {"value": [1.5, None]})
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    refused_or_read(lambda: read_record(path))


@pytest.mark.parametrize("kind", ["npz", "pt", "safetensors", "parquet"])
@fuzzed
@given(data=st.data())
def test_files_of_features(tmp_path, kind, data):
    path, arrays = tmp_path / f"features.{kind}", {"features": torch.eye(6, 3), "labels": torch.arange(6) % 2}
    match kind:
        case "npz":
            np.savez_compressed(path, **{name: array.numpy() for name, array in arrays.items()})
        case "pt":
            torch.save(arrays, path)
        case "safetensors":
            pytest.importorskip("safetensors.torch").save_file(arrays, path)
        case "parquet":
            parquet.write_table(pyarrow.table({name: array.tolist() for name, array in arrays.items()}), path)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    refused_or_read(lambda: evaluate_file(path))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "npz"])
@fuzzed
@given(data=st.data())
def test_images_of_the_user(tmp_path, kind, data):
    image, file = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8), BytesIO()
    if kind == "npz":
        np.savez(file, images=image[None].repeat(4, 0), labels=np.arange(4) % 2)
        (tmp_path / "a.npz").write_bytes(data.draw(damaged(file.getvalue())))
        refused_or_read(lambda: own_images(f"npz:{tmp_path / 'a.npz'}", None))
        return
    Image.fromarray(image).save(file, kind)
    for k in range(4):
        path = tmp_path / "pictures" / str(k % 2) / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.draw(damaged(file.getvalue())) if k == 3 else file.getvalue())
    refused_or_read(lambda: own_images(f"imagefolder:{tmp_path / 'pictures'}", None))


@fuzzed
@given(st.data())
def test_folders_of_scans(tmp_path, data):
    setting = ScanSetting(grid={"decay": "1e-3,1e-2"})
    if not (tmp_path / "setting.json").exists():
        write_setting(tmp_path, setting)
    stored = json.loads((tmp_path / "setting.json").read_text())
    folder = tmp_path / "again"
    (folder / SHARDS).mkdir(parents=True, exist_ok=True)
    (folder / "setting.json").write_text(json.dumps(altered(stored, data.draw)))
    refused_or_read(lambda: resumed_setting(ScanSetting(resume=folder)))


@fuzzed
@given(st.data())
def test_shards_of_scans(tmp_path, data):
    (tmp_path / SHARDS).mkdir(exist_ok=True)
    path = tmp_path / SHARDS / "unit.parquet"
    write_shard(
        tmp_path, "unit", [{"cell": "a", "value": 1.0, "names": [1, 2]}, {"cell": "b", "value": 2.0, "names": []}]
    )
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    refused_or_read(lambda: read_rows(tmp_path))
    refused_or_read(lambda: commits(tmp_path))


@pytest.mark.parametrize("row", [{"other": 1}, {"cell": None}, {"cell": [1]}])
def test_foreign_parquet_files(tmp_path, row):
    (tmp_path / SHARDS).mkdir()
    write_shard(tmp_path, "unit", [row])
    refused_or_read(lambda: read_rows(tmp_path))


@settings(fuzzed, max_examples=15)
@given(text=st.text(max_size=60), key=st.sampled_from(["loss", "starts", "decay_W", "out", "config"]))
def test_configs(tmp_path, text, key):
    path = tmp_path / "c.yaml"
    path.write_text(f"{key}: {text}")
    try:
        code = main("python -m ufm", "", COMMANDS, ["verify", "--config", str(path), "--print_config"])
    except SystemExit as done:
        code = done.code
    assert code in (0, 2)


@fuzzed
@given(st.data())
def test_checkpoints_and_metrics(tmp_path, data):
    setting = TrainSetting(data="digits")
    checkpoint.write_setting(tmp_path, setting)
    checkpoint.save(tmp_path, {"setting": checkpoint.read_setting(tmp_path), "epoch": 1, "net": {"w": torch.zeros(3)}})
    path = tmp_path / checkpoint.CHECKPOINT
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    refused_or_read(lambda: checkpoint.load(tmp_path))
    (tmp_path / checkpoint.METRICS).write_bytes(data.draw(damaged(b'{"epoch": 1}\n{"epoch": 2}\n')))
    refused_or_read(lambda: checkpoint.read_metrics(tmp_path))
    refused_or_read(lambda: checkpoint.cut_metrics(tmp_path, 1))
    line = b'{"epoch": 2, "class_means": [[1.0]], "W": [[1.0]], "spread": [0.1], "seen": 1.0}\n'
    (tmp_path / shapes.FILE).write_bytes(data.draw(damaged(line)))
    refused_or_read(lambda: shapes.read(tmp_path))
    refused_or_read(lambda: shapes.cut(tmp_path, 1))


@fuzzed
@given(st.data())
def test_settings_of_runs(tmp_path, data):
    checkpoint.write_setting(tmp_path, TrainSetting(data="digits"))
    path = tmp_path / checkpoint.SETTING
    path.write_text(json.dumps(altered(json.loads(path.read_text()), data.draw)))
    refused_or_read(lambda: checkpoint.read_setting(tmp_path))
    refused_or_read(lambda: checkpoint.resumed_setting(TrainSetting(resume=tmp_path)))


@fuzzed
@given(st.data())
def test_images(tmp_path, data):
    folder = tmp_path / CIFAR10.folder
    if not folder.exists():
        unpack(CIFAR10, folder)
    (folder / "data_batch_1.bin").write_bytes(data.draw(damaged(records(CIFAR10, "data_batch_1.bin", 1))))
    refused_or_read(lambda: load_archive(CIFAR10, tmp_path))


def hashed(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@settings(fuzzed, max_examples=15)
@given(st.data())
def test_archives(tmp_path, data):
    path = tmp_path / "cifar-10-binary.tar.gz"
    pack(CIFAR10, path)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    refused_or_read(lambda: load_archive(replace(CIFAR10, sha256=hashed(path)), tmp_path))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_an_archive_lead_nowhere(tmp_path, kind):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret").write_bytes(records(CIFAR10, "secret"))
    path = inner / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for file in CIFAR10.train_files + CIFAR10.test_files:
            member = tarfile.TarInfo(f"{CIFAR10.folder}/{file}")
            member.type, member.linkname = kind, "../../secret"
            tar.addfile(member)
        climbing = tarfile.TarInfo("../pwned")
        climbing.size = 1
        tar.addfile(climbing, BytesIO(b"x"))
    with pytest.raises(RequestError):
        load_archive(replace(CIFAR10, sha256=hashed(path)), inner)
    assert {found.name for found in tmp_path.rglob("*")} == {"inner", "secret", path.name}


def test_a_checkpoint_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.write_setting(tmp_path, TrainSetting(data="digits"))
    torch.save({"setting": Payload(), "net": Payload()}, tmp_path / checkpoint.CHECKPOINT)
    with pytest.raises(RequestError, match="got code or other objects"):
        checkpoint.load(tmp_path)
    assert "pwned" not in os.listdir(tmp_path)
    torch.load(tmp_path / checkpoint.CHECKPOINT, weights_only=False)  # the payload is a real one
    assert "pwned" in os.listdir(tmp_path)


def test_a_pickle_in_place_of_images_is_read_as_bytes(tmp_path, monkeypatch):
    import pickle

    monkeypatch.chdir(tmp_path)
    folder = unpack(CIFAR10, tmp_path / CIFAR10.folder)
    (folder / "data_batch_1.bin").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(RequestError, match="whole number of records"):
        load_archive(CIFAR10, tmp_path)
    assert "pwned" not in os.listdir(tmp_path)
