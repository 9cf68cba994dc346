"""Numbers of a training as they come: a table, TensorBoard, Weights & Biases, and what a run that goes on finds."""

import csv
import importlib.util
from pathlib import Path

import pytest

from deepnet.__main__ import COMMANDS
from deepnet.trackers import LOGS, flat, tracker
from deepnet.training import checkpoint
from tests.deepnet.callbacks.test_adapters import needed, scalars
from ufm.cli.command_line import main
from ufm.errors import RequestError

TRAIN = ["train", "--data=digits", "--net=mlp", "--width=0.0625", "--per-class=4", "--test-per-class=2"]
TRAIN += ["--batch-size=20", "--lr=0.02"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_takes_new_columns_and_goes_on(tmp_path):
    log = tracker("csv", tmp_path, {})
    log.log({"loss": 2.0}, 1)
    log.log({"loss": 1.0, "nc1": 0.5}, 2)
    log.log({"loss": 0.5}, 3)
    log.close()
    assert rows(tmp_path) == [
        {"epoch": "1", "loss": "2.0", "nc1": ""},
        {"epoch": "2", "loss": "1.0", "nc1": "0.5"},
        {"epoch": "3", "loss": "0.5", "nc1": ""},
    ]
    with (tmp_path / "log.csv").open("a") as file:
        file.write("4,0.")  # a kill in the middle of a line
    again = tracker("csv", tmp_path, {}, last=2)
    again.log({"nc1": 0.25, "loss": 0.75}, 3)
    assert [row["loss"] for row in rows(tmp_path)] == ["2.0", "1.0", "0.75"]


@pytest.mark.parametrize(
    "content", [b"epoch,loss\n1,0.5,0.6\n", b"epoch,loss\n1,\xff\n", b'epoch,loss\n1,"' + b"x" * 2**18, None]
)
def test_a_table_that_cannot_be_gone_on_with_is_named(tmp_path, content):
    path = tmp_path / "log.csv"
    path.symlink_to("/dev/zero") if content is None else path.write_bytes(content)
    with pytest.raises(RequestError, match=r"log\.csv must be a table that `--log csv` wrote"):
        tracker("csv", tmp_path, {}, last=2)


def test_a_row_without_a_number_of_an_epoch_is_left_out(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,loss\n²,0.5\n1,0.25\n")
    tracker("csv", tmp_path, {}, last=2)
    assert [row["loss"] for row in rows(tmp_path)] == ["0.25"]


def test_an_epochs_line_is_flat():
    line = {"epoch": 1, "train": {"loss": 0.5, "nc1_trace": None}, "best": True, "lr": 0.1}
    assert flat(line) == {"epoch": 1, "train/loss": 0.5, "lr": 0.1}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "wandb" else kind for kind in LOGS]
)
def test_training_writes_live(tmp_path, monkeypatch, kind):
    if kind != "csv":
        needed(kind)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    seen: list[float] = []
    if kind == "csv":
        real = checkpoint.append_metrics
        monkeypatch.setattr(
            checkpoint, "append_metrics", lambda *given: (seen.append(len(rows(tmp_path / "run"))), real(*given))
        )
    assert main("python -m deepnet", "", COMMANDS, [*TRAIN, "--epochs=2", "--out=run", f"--log={kind}"]) == 0
    lines = checkpoint.read_metrics(tmp_path / "run")
    if kind == "csv":
        assert seen == [0, 1]  # a row an epoch, not all at the end
        assert [float(row["train/nc1_quotient"]) for row in rows(tmp_path / "run")] == [
            line["train"]["nc1_quotient"] for line in lines
        ]
        assert main("python -m deepnet", "", COMMANDS, ["train", "--resume=run", "--epochs=3", "--log=csv"]) == 0
        assert [row["epoch"] for row in rows(tmp_path / "run")] == ["1", "2", "3"]
    if kind == "tensorboard":
        found = scalars(tmp_path / "run")["train/nc1_quotient"]
        assert found == pytest.approx([line["train"]["nc1_quotient"] for line in lines], rel=1e-6)
    if kind == "wandb":
        (file,) = (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")
        assert b"train/nc1_quotient" in file.read_bytes()


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_without_the_package_nothing_is_begun(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    real = importlib.util.find_spec
    monkeypatch.setattr("deepnet.trackers.find_spec", lambda name: None if name == kind else real(name))
    assert main("python -m deepnet", "", COMMANDS, [*TRAIN, "--out=run", f"--log={kind}"]) == 2
    sentence = f"`--log` must be csv where {kind} is not installed, got {kind}: pip install 'neural-collapse-laboratory"
    assert sentence in capsys.readouterr().err
    assert not Path("run").exists()
