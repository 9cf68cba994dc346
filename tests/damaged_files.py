"""A folder full of files that no command should trust; `test_bad_requests` hands them to every command."""

import dataclasses
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import torch

from deepnet.settings import TrainSetting
from deepnet.training.checkpoint import plain_setting
from deepnet.training.training import begin

ALIASES = "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
YAML = {
    "empty": "",
    "list": "[1, 2]",
    "number": "3",
    "unknown": "nonsense: 3",
    "number_as_key": "3: 4",
    "wrong_type": "starts: {a: 1}",
    "null": "starts: null",
    "nan": "decay_W: .nan",
    "date": "starts: 2020-01-01",
    "twice": "starts: 3\nstarts: 4",
    "two_documents": "starts: 3\n---\nstarts: 4",
    "loss_parameter_twice": "loss: {name: focal, gamma: 2, gamma: 3}",
    "null_loss": "loss: null",
    "tab": "\tstarts: 3",
    "nul": "starts: 3\0",
    "deep": "[" * 3000,
    "long": "# " + "x" * 2**17,
    "anchor": "starts: &s 3\nclasses: *s",
    "itself": "loss: &l {name: *l}",
    "aliases": f"a: &a [{', '.join('x' * 9)}]\n{ALIASES}",
    "code": "!!python/object/apply:os.system ['touch pwned']",
    "code_as_value": "loss: !!python/object/apply:os.system ['touch pwned']",
}
JSON = {
    "empty": b"",
    "junk": bytes(range(256)),
    "list": b"[1]",
    "newer": b'{"schema": 99, "setting": {}, "result": {}}',
    "cut": b'{"schema": 1, "setting": {"a": ',
    "bare": b'{"schema": 1}',
    "numbers": b'{"schema": 1, "setting": 3, "result": 4}',
    "deep": b'{"schema": 1, "setting": ' + b"[" * 100_000,
}
MODEL = {"classes": 4, "dim": 5, "per_class": 1, "decay_W": 5e-3, "decay_H": 5e-3, "decay_b": 1e-2}
ATLAS = MODEL | {"loss": {"name": "ce"}, "seed": 0, "symmetric": True, "max_steps": 300}
ATLASES = {"rows": {"rows": [1]}, "rows_without_fields": {"rows": [{"rank": 1}]}, "rows_without_end": {"rows": 3}}
GRID = {"decay": "1e-3,1e-2"}
SCANS = {
    "grids": {"grid": GRID, "grids": 3},
    "grid": {"grid": 3, "grids": [3]},
    "wrong_type": {"grid": GRID, "grids": [GRID], "starts": "many"},
    "newer": {"grid": GRID, "grids": [GRID], "future": 1},
}


class Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def write_all(folder: Path) -> None:
    """Every damaged file under `folder`, by what is wrong with it."""
    (folder / "folder").mkdir()
    (folder / "folder" / "precious").write_text("data")
    (folder / "empty").touch()
    (folder / "dangling").symlink_to("nowhere")
    (folder / "junk").write_bytes(bytes(range(256)))
    for name, text in YAML.items():
        (folder / f"{name}.yaml").write_text(text)
    for name, content in JSON.items():
        for kind, file in (("atlas", "record.json"), ("scan", "setting.json"), ("run", "setting.json")):
            _write(folder / kind / name / file, content)
    for kind, file in (("atlas", "record.json"), ("scan", "setting.json"), ("run", "setting.json")):
        (folder / kind / "folder" / file).mkdir(parents=True)
    for name, result in ATLASES.items():
        record = {"schema": 1, "setting": ATLAS, "result": result}
        _write(folder / "atlas" / name / "record.json", json.dumps(record).encode())
    for name, setting in SCANS.items():
        _write(folder / "scan" / f"{name}_setting" / "setting.json", json.dumps(setting).encode())
    _write_runs(folder / "run")
    _write_images(folder / "cifar")
    _write_features(folder / "features")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_runs(folder: Path) -> None:
    """Runs of `deepnet train` with a sound setting and no sound checkpoint."""
    plain = plain_setting(dataclasses.replace(TrainSetting(), data="digits"))
    setting = json.dumps(plain).encode()
    for name in ("none", "empty_state", "junk_state", "code", "climbing", "number"):
        _write(folder / name / "setting.json", setting)
    (folder / "empty_state" / "checkpoint.pt").touch()
    (folder / "junk_state" / "checkpoint.pt").write_bytes(bytes(range(256)))
    torch.save({"setting": Payload()}, folder / "code" / "checkpoint.pt")
    torch.save(3, folder / "number" / "checkpoint.pt")
    with zipfile.ZipFile(folder / "climbing" / "checkpoint.pt", "w") as archive:
        archive.writestr("../../pwned", "x")
    _write(folder / "wrong_words" / "setting.json", json.dumps(plain | {"schedule": "never"}).encode())
    _write(folder / "future" / "setting.json", json.dumps(plain | {"future": 1}).encode())
    small = dataclasses.replace(TrainSetting(), data="digits", net="mlp", width=1 / 16, per_class=2)
    state = begin(small).state()
    wider = plain_setting(dataclasses.replace(small, width=1 / 8))
    _write(folder / "other_net" / "setting.json", json.dumps(wider).encode())
    torch.save(state | {"setting": wider}, folder / "other_net" / "checkpoint.pt")
    _write(folder / "torn_metrics" / "setting.json", json.dumps(plain_setting(small)).encode())
    _write(folder / "torn_metrics" / "metrics.jsonl", b'{"epoch": 1, "los')
    torch.save(state | {"epoch": 1}, folder / "torn_metrics" / "checkpoint.pt")


def _write_images(folder: Path) -> None:
    """CIFAR-10 with one bad file."""
    sound = b"".join(bytes([k]) + bytes(3072) for k in range(10))
    bad = {"empty": b"", "cut": sound[:5000], "label": bytes([99]) + bytes(3072), "missing": None}
    for name, content in bad.items():
        for file in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
            _write(folder / name / file, sound)
        path = folder / name / "data_batch_2.bin"
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    _write(folder / "archive" / "cifar-10-binary.tar.gz", b"junk")


def _write_features(folder: Path) -> None:
    """Files of features that are none, or whose arrays do not belong together."""
    folder.mkdir()
    features, labels = np.zeros((4, 3)), np.arange(4) % 2
    np.savez(folder / "sound.npz", features=np.eye(4, 3), labels=labels)
    np.savez(folder / "no_labels.npz", features=features)
    np.savez(folder / "no_features.npz", labels=labels)
    np.savez(folder / "nan.npz", features=features / np.nan, labels=labels)
    np.savez(folder / "lengths.npz", features=features, labels=labels[:3])
    np.savez(folder / "objects.npz", features=np.array([Payload()], dtype=object), labels=labels)
    np.savez(folder / "head_of_two.npz", W=np.zeros((2, 2)))
    np.savez(folder / "head_of_three.npz", W=np.eye(3))
    np.savez(folder / "zero.npz", features=features, labels=labels)
    np.savez(folder / "huge.npz", features=1e200 * np.eye(4, 3), labels=labels)
    np.savez(folder / "no_columns.npz", features=features[:, :0], labels=labels)
    np.savez(folder / "no_rows.npz", features=features[:0], labels=labels[:0])
    torch.save({"features": Payload(), "labels": 0}, folder / "code.pt")
    (folder / "junk.parquet").write_bytes(bytes(range(256)))
