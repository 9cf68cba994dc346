"""Every reader refuses every hostile file in its own words, soon: no traceback, no wait, no memory."""

import errno
import gzip
import itertools
import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
import torch
from pyarrow import parquet

import deepnet.__main__
import figures.__main__
import ufm.__main__
from deepnet.data.cifar import CIFAR10, load_archive
from deepnet.data.idx import read_idx
from deepnet.grid.setting import GridSetting
from deepnet.grid.trainings import resumed_grid
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint
from deepnet.training.training import begin, reopen
from figures.stored import DATA, read_any
from tests.hostile_files import checkpoints, special, texts
from ufm import files
from ufm.cli.command_line import main
from ufm.cli.records import read_record
from ufm.cli.resume import earlier_result
from ufm.errors import RequestError
from ufm.scan.setting import ScanSetting
from ufm.scan.shards import SHARDS, read_rows, resumed_setting, write_setting

RECORD = {"schema": 1, "setting": {"a": 1}, "result": {"b": 2.5}, "command": "python -m ufm scan"}
SECONDS, BYTES = 20, 2**31
"""A file's share of patience and memory (address space beside what the process has)."""


@pytest.fixture(autouse=True)
def little_memory():
    """More than `BYTES` cannot be had, so that a reader without a limit fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def emptied(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def refuses(read: Callable[[], object], name: str) -> None:
    began, error = time.monotonic(), None
    try:
        read()
    except BaseException as raised:
        error = raised
    assert isinstance(error, RequestError), f"{name}: {type(error).__name__}: {error}"
    assert len(str(error)) < 1000, name
    assert time.monotonic() - began < SECONDS, name


def refuses_all(path: Path, sound: dict, *reads: Callable[[], object]) -> int:
    """How many files were refused in place of the sound one."""
    count = 0
    for name, content in texts(sound):
        path.write_bytes(content)
        for read in reads:
            refuses(read, name)
        count += 1
    path.unlink()
    for name, put in special(path):
        put()
        for read in reads:
            if name != "link_to_nothing" or read is reads[0]:
                refuses(read, name)
        emptied(path)
        count += 1
    return count


def test_records(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(RECORD))
    assert read_record(path) == RECORD
    count = refuses_all(path, RECORD, lambda: read_record(path))
    assert count > 60


@pytest.mark.parametrize("kind", ["record", "data"])
def test_the_page_and_figures_leave_records_out(tmp_path, kind):
    path = tmp_path / ("record.json" if kind == "record" else "scan.json")
    for name, put in special(path):
        put()
        records, refused = read_any(tmp_path)
        assert not records, name
        assert all(str(path) in line or name in ("link_to_nothing", "link_to_itself") for line in refused), name
        emptied(path)


def test_earlier_results(tmp_path):
    path = tmp_path / "record.json"
    for name, content in texts(RECORD):
        path.write_bytes(content)
        refuses(lambda: earlier_result(tmp_path, {"a": 1}), name)


def test_settings_of_scans(tmp_path):
    write_setting(tmp_path, ScanSetting(grid={"decay": "1e-3,1e-2"}))
    path = tmp_path / "setting.json"
    sound = json.loads(path.read_text())
    assert refuses_all(path, sound, lambda: resumed_setting(ScanSetting(resume=tmp_path))) > 100


WRONG = (
    None,
    True,
    -1,
    2.5,
    "x",
    [],
    {},
    [{"name": "ce"}],
    {"name": 3},
    {"name": "ce", "q": None},
    {"name": "ce", "q": []},
)


@pytest.mark.parametrize("field", ["loss", "grid", "classes", "starts", "seed", "tolerance", "decay_W"])
def test_types_of_what_a_scan_was_asked(tmp_path, field):
    write_setting(tmp_path, ScanSetting(grid={"decay": "1e-3,1e-2"}))
    path = tmp_path / "setting.json"
    sound = json.loads(path.read_text())
    for wrong in WRONG:
        if type(wrong) is type(sound[field]) and not isinstance(wrong, dict):
            continue
        if field in ("tolerance", "decay_W") and type(wrong) in (int, float):
            continue
        path.write_text(json.dumps(sound | {field: wrong}))
        if (field, wrong) != ("grid", {}):
            refuses(lambda: resumed_setting(ScanSetting(resume=tmp_path)), f"{field}: {wrong}")


def test_settings_of_runs_and_grids(tmp_path):
    checkpoint.write_setting(tmp_path, TrainSetting(data="digits"))
    path = tmp_path / "setting.json"
    sound = {name: value for name, value in json.loads(path.read_text()).items() if name in ("data", "loss", "epochs")}
    assert refuses_all(path, sound, lambda: checkpoint.read_setting(tmp_path)) > 50
    refuses_all(tmp_path / "grid.json", sound, lambda: resumed_grid(GridSetting(resume=tmp_path, grid={"seed": "0"})))


LINE = {
    "epoch": 1,
    "lr": 0.1,
    "loss": 2.0,
    "accuracy": 0.5,
    "images_per_s": 100.0,
    "seconds": 1.0,
    "train": {"nc1": None},
}


def test_metrics(tmp_path):
    path = tmp_path / checkpoint.METRICS
    path.write_text(json.dumps(LINE) + "\n")
    assert checkpoint.read_metrics(tmp_path) == [LINE]
    sound = {name: LINE[name] for name in ("epoch", "loss", "train")}
    reads = (lambda: checkpoint.read_metrics(tmp_path), lambda: checkpoint.cut_metrics(tmp_path, 1))
    for name, content in texts(sound):
        if content:
            path.write_bytes(content)
            for read in reads:
                refuses(read, name)
    path.unlink()
    for name, put in special(path):
        put()
        if name not in ("link_to_nothing", "link_to_itself"):  # no metrics yet
            refuses(reads[0], name)
        refuses(reads[1], name)
        emptied(path)
    for key, wrong in itertools.product(LINE, (None, "x", [1], {"a": "b"}, {"a": {"b": 1}}, 2)):
        if (key == "train" and wrong in (None, 2)) or (key not in ("epoch", "train") and wrong == 2):
            continue
        path.write_text(json.dumps(LINE | {key: wrong}))
        refuses(reads[0], f"{key}: {wrong}")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    setting = TrainSetting(data="digits", net="mlp", width=1 / 16, per_class=2, test_per_class=2)
    checkpoint.write_setting(folder, setting)
    state = begin(setting).state()
    checkpoint.save(folder, state)
    checkpoint.save_best(folder, state)
    return folder


@pytest.mark.parametrize("name", [checkpoint.CHECKPOINT, checkpoint.BEST])
def test_checkpoints(run, tmp_path, name):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    path, which = tmp_path / name, "best" if name == checkpoint.BEST else "last"
    state = torch.load(path, weights_only=True)
    reopen(tmp_path, "cpu", which=which)
    for wrong, content in checkpoints(state):
        if (name == checkpoint.BEST and "momentum" in wrong) or wrong in ("none_as_best", "without_setting_of"):
            continue
        path.write_bytes(content)
        refuses(lambda: reopen(tmp_path, "cpu", which=which), wrong)
    path.unlink()
    for wrong, put in special(path):
        put()
        refuses(lambda: reopen(tmp_path, "cpu", which=which), wrong)
        emptied(path)


def test_a_checkpoint_of_nan_is_named_by_the_commands(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "run")
    state = torch.load("run/checkpoint.pt", weights_only=True)
    first = next(iter(state["net"]))
    state["net"][first] *= float("nan")
    torch.save(state, "run/checkpoint.pt")
    for words in (["measure", "--run", "run"], ["compare", "--runs", "[run]"], ["train", "--resume", "run"]):
        assert main("python -m deepnet", "", deepnet.__main__.COMMANDS, words) == 2
        complaint = f"the checkpoint in run must hold finite numbers, got {first} with nan or infinity in it."
        assert capsys.readouterr().err.strip() == f"python -m deepnet: {complaint}"


@pytest.mark.parametrize(("epoch", "complaint"), [
    ("1", "`the checkpoint in run` must be a state after a number of epochs, got epoch = '1'."),
    (-1, "`the checkpoint in run` must be a state after a number of epochs, got epoch = -1."),
    (7, "run/metrics.jsonl must hold the checkpoint's 7 epochs, got 0 lines."),
])  # fmt: skip
def test_a_checkpoint_of_other_epochs_is_named_by_the_commands(run, tmp_path, capsys, monkeypatch, epoch, complaint):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "run")
    (tmp_path / "run" / "metrics.jsonl").unlink(missing_ok=True)
    state = torch.load("run/checkpoint.pt", weights_only=True)
    torch.save(state | {"epoch": epoch}, "run/checkpoint.pt")
    for words in (["measure", "--run", "run"], ["compare", "--runs", "[run]"], ["train", "--resume", "run"]):
        assert main("python -m deepnet", "", deepnet.__main__.COMMANDS, words) == 2
        assert capsys.readouterr().err.strip() == f"python -m deepnet: {complaint}"


def test_optimisers_options_are_the_settings(run, tmp_path):
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    state = torch.load(tmp_path / checkpoint.CHECKPOINT, weights_only=True)
    state["optimiser"]["param_groups"][0] |= {"weight_decay": 9.0, "momentum": "x"}
    torch.save(state, tmp_path / checkpoint.CHECKPOINT)
    (group,) = reopen(tmp_path, "cpu").optimiser.param_groups
    assert (group["weight_decay"], group["momentum"]) == (5e-4, 0.9)


def test_shards(tmp_path):
    (tmp_path / SHARDS).mkdir()
    path = tmp_path / SHARDS / f"{'0' * 16}.parquet"
    for name, put in special(path):
        put()
        if name != "link_to_nothing":
            refuses(lambda: read_rows(tmp_path), name)
        emptied(path)
    row = pyarrow.array(["a"])
    equal = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2**25, pyarrow.int32()), row)
    long = pyarrow.array(["x" * 2**26])
    zeros = pyarrow.array(torch.zeros(2**25, dtype=torch.int64).numpy())
    lists = pyarrow.ListArray.from_arrays([0, 2**25], zeros)
    for column in (equal, long, lists):
        parquet.write_table(pyarrow.table({"cell": column}), path, compression="zstd")
        assert path.stat().st_size < 2**20
        refuses(lambda: read_rows(tmp_path), str(column.type))


def test_images(tmp_path):
    folder = tmp_path / CIFAR10.folder
    folder.mkdir()
    for file in (*CIFAR10.train_files, *CIFAR10.test_files):
        (folder / file).touch()
    path = folder / "data_batch_1.bin"
    path.unlink()
    for name, put in special(path):
        put()
        refuses(lambda: load_archive(CIFAR10, tmp_path), name)
        emptied(path)
    packed = tmp_path / "cifar-10-binary.tar.gz"
    shutil.rmtree(folder)
    for name, put in special(packed):
        put()
        refuses(lambda: load_archive(CIFAR10, tmp_path), name)
        emptied(packed)


@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (2**20, 2**10, 2**10), (60_000, 28, 29 * 28)])
def test_an_idx_file_is_not_unpacked_beyond_any_that_is_published(tmp_path, sizes):
    path = tmp_path / "images.gz"
    header = bytes((0, 0, 8, 3)) + b"".join(size.to_bytes(4, "big") for size in sizes)
    path.write_bytes(gzip.compress(header + bytes(2**20)))
    refuses(lambda: read_idx(path, 3), str(sizes))
    for name, put in special(tmp_path / "labels.gz"):
        put()
        refuses(lambda: read_idx(tmp_path / "labels.gz", 1), name)
        emptied(tmp_path / "labels.gz")


def test_settings_in_yaml(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("c.yaml")

    def asked() -> int:
        try:
            return main("python -m ufm", "", ufm.__main__.COMMANDS, ["verify", "--config", "c.yaml", "--out", "out"])
        except SystemExit as end:
            return int(str(end.code))

    for digits in (400, 5000, 60_000):
        path.write_text(f"seed: {'9' * digits}\n")
        assert asked() == 2
    path.unlink()
    for name, put in special(path):
        put()
        assert asked() == 2, name
        emptied(path)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert len(error.splitlines()) == 3 + len([*special(path)])
    assert not Path("out").exists()


def test_the_page_goes_on_without_a_record_of_huge_numbers(tmp_path, capsys):
    record = json.loads((DATA / "scan.json").read_text())
    record["result"]["axes"]["gamma"][0] = 10**400
    (tmp_path / "scan.json").write_text(json.dumps(record))
    record["result"]["axes"]["gamma"][0] = 10**299
    (tmp_path / "scan_3.json").write_text(json.dumps(record))
    for words in (["report"], []):
        command = [*words, "--data", str(tmp_path), "--out", str(tmp_path / f"out{len(words)}")]
        assert main("python -m figures", "", figures.__main__.COMMANDS, command) == 1
    found = capsys.readouterr()
    assert "a number of 401 digits, more than 300" in found.out
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "MemoryError"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "[Errno 12] Cannot allocate memory"),
        (ImportError("_agg.so: failed to map segment from shared object"), None),
        (OSError("liba.so: failed to map segment from shared object"), None),
    ],
)
def test_a_lack_of_memory_is_one_sentence(tmp_path, capsys, monkeypatch, error, said):
    """`MemoryError` says nothing, and a library that did not fit is called missing by the one that wanted it."""

    def none(path: Path) -> object:
        try:
            raise error
        except OSError as first:
            if first.errno is None:
                raise OSError("Could not find/load shared object file 'liba.so'.") from first
            raise

    monkeypatch.setattr("figures.jobs.build", none)
    command = ["report", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main("python -m figures", "", figures.__main__.COMMANDS, command) == 3
    sentence = f"python -m figures: this needs more memory than there is ({said or error}).\n"
    assert capsys.readouterr().err == sentence


def test_a_file_that_changes_after_it_was_looked_at(tmp_path, monkeypatch):
    """Between the look and the opening a pipe may take its place: it is neither waited for nor read."""
    path = tmp_path / "record.json"
    path.write_text("{}")
    sound = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    looked = os.stat
    monkeypatch.setattr(os, "stat", lambda name, **more: sound if str(name) == str(path) else looked(name, **more))
    with pytest.raises(OSError, match="no regular file"):
        files.opened(path, 10)


def test_limits_leave_room_for_what_is_written(tmp_path):
    """Twenty levels, 300 digits and the largest float are read as they are."""
    path = tmp_path / "record.json"
    inner: object = 1.7976931348623157e308
    for _ in range(18):
        inner = [inner]
    record = RECORD | {"result": {"deep": inner[0], "many": 10**299}}  # type: ignore[index]
    path.write_text(json.dumps(record))
    assert read_record(path) == record
    assert replace(CIFAR10).largest("test_batch.bin") == 30_730_000
