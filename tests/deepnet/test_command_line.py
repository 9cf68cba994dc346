"""The three commands end to end on digits, and every mistake a user can make: one sentence, exit code 2."""

import errno
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepnet.__main__ import COMMANDS
from deepnet.training import checkpoint
from ufm.cli.command_line import main

SMALL = [
    "--data=digits",
    "--net=resnet18",
    "--width=0.125",
    "--per-class=6",
    "--test-per-class=2",
    "--batch-size=20",
    "--lr=0.02",
]
SMALL += ["--batch-size=20", "--lr=0.02", "--epochs=2"]


def deepnet(*argv: str | Path) -> int:
    return main("python -m deepnet", "", COMMANDS, [str(word) for word in argv])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "focal"
    assert deepnet("train", *SMALL, "--loss", "focal", "--loss.gamma", "2.5", "--out", folder) == 0
    return folder


def test_train_leaves_a_run_folder_and_names_its_files(run, tmp_path, capsys):
    assert deepnet("train", *SMALL, "--out", tmp_path / "run") == 0
    shown = capsys.readouterr().out
    files = {path.name for path in (tmp_path / "run").iterdir()}
    states = {"checkpoint.pt", "previous.pt", "best.pt"}
    assert files == states | {"setting.json", "metrics.jsonl", "geometry.jsonl", "record.json", "training.png"}
    assert all(str(tmp_path / "run" / file) in shown for file in files)
    assert "epoch 2/2  loss" in shown
    result = json.loads((run / "record.json").read_text())["result"]
    assert [line["epoch"] for line in result["metrics"]] == [1, 2]
    assert result["images"] == {"train": 60, "validation": 20, "test": 20}
    assert result["run_setting"]["loss"] == {"name": "focal", "gamma": 2.5}


def test_measure_repeats_the_last_line(run, tmp_path):
    assert deepnet("measure", "--run", run, "--json", tmp_path / "m.json", "--out", tmp_path / "out") == 0
    splits = json.loads((tmp_path / "m.json").read_text())["result"]["splits"]
    assert splits == json.loads((run / "record.json").read_text())["result"]["splits"]


def test_of_images_with_several_labels_calibration_is_not_measured(tmp_path, capsys):
    assert deepnet("train", *SMALL, "--multilabel", "2", "--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert deepnet("measure", "--run", tmp_path / "run", "--out", tmp_path / "out") == 0
    assert "calibration is not measured" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "record.json").read_text())["result"]["calibration"] == {}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"record.json", "measured_splits.png"}


def test_measure_takes_the_best_network(run, tmp_path):
    out = tmp_path / "out"
    assert deepnet("measure", "--run", run, "--checkpoint", "best", "--out", out) == 0
    measured = json.loads((out / "record.json").read_text())["result"]
    best = json.loads((run / "record.json").read_text())["result"]["best"]
    assert measured["epoch"] == best["epoch"]
    assert measured["splits"]["test"] == best["test"]
    assert (out / "measured_splits.png").stat().st_size > 5000


def test_compare_takes_several_runs(tmp_path, capsys):
    runs = [tmp_path / loss for loss in ("focal", "mse")]
    for run in runs:
        small = [*SMALL, "--net", "resnet18", "--width", "0.125"]
        assert deepnet("train", *small, "--loss", run.name, "--out", run) == 0
    capsys.readouterr()
    asked = ["--runs", f"[{runs[0]}, {runs[1]}]", "--depths", "[1, 3]", "--out", tmp_path / "out"]
    assert deepnet("compare", *asked, "--details") == 0
    shown = capsys.readouterr().out
    assert shown.count(", not stationary") == 2  # in the table of a row per condition
    assert shown.count("calibration") == 2
    assert shown.count("Last layer not stationary") == 2
    pictures = {
        "measured_against_derived",
        "prediction_against_measurement",
        "prediction_over_epochs",
        "feature_penalty",
        "central_path",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "record.json",
        *(f"{name}.png" for name in pictures),
    }
    assert all(str(tmp_path / "out" / name) in shown.replace("\n", "") for name in pictures)
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    result = record["result"]
    assert "details" not in record["setting"]
    assert {row["kind"] for row in result["runs"][0]["rows"]} == {"calibration", "identity", "prediction"}
    assert [line["epoch"] for line in result["runs"][0]["trajectory"]] == [1, 2]
    assert set(result["runs"][0]["stationarity_by_statistics"]) == {"running", "precise", "batch"}
    assert {entry["depth"] for entry in result["networks"][0]["transfer_errors"] if not entry["is_fitted"]} == {1, 3}


def test_a_run_cannot_be_compared_with_itself(run, tmp_path, capsys):
    assert deepnet("compare", "--runs", f"[{run}, {run}]", "--out", tmp_path / "out") == 2
    assert "`--runs` must be runs that differ" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_finished_run_is_shown_again(run, capsys):
    names = ("metrics.jsonl", "record.json", "checkpoint.pt", "setting.json")
    before = [(run / name).read_bytes() for name in names]
    assert deepnet("train", "--resume", run) == 0
    shown = capsys.readouterr().out
    assert "nc1_quotient" in shown
    assert str(run / "record.json") in shown
    assert [(run / name).read_bytes() for name in names] == before


@pytest.mark.parametrize("left", [b"", b'{"schema": 1, "res', None])
def test_a_record_that_was_lost_is_written(run, tmp_path, left):
    """Killed between the last checkpoint and the record; or half of it was copied."""
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "training.png").unlink()
    (folder / "record.json").unlink() if left is None else (folder / "record.json").write_bytes(left)
    assert deepnet("train", "--resume", folder, "--json", tmp_path / "r.json") == 0
    assert deepnet("train", "--resume", folder) == 0
    whole = json.loads((run / "record.json").read_text())["result"]
    for path in (folder / "record.json", tmp_path / "r.json"):
        result = json.loads(path.read_text())["result"]
        assert {name: result[name] for name in ("splits", "best", "metrics", "epoch")} == {
            name: whole[name] for name in ("splits", "best", "metrics", "epoch")
        }
    assert (folder / "training.png").stat().st_size > 5000


def test_a_finished_run_goes_on_with_more_epochs(run, tmp_path, capsys):
    folder = shutil.copytree(run, tmp_path / "run")
    assert deepnet("train", "--resume", folder, "--epochs", "3") == 0
    assert "epoch 3/3" in capsys.readouterr().out
    record = json.loads((folder / "record.json").read_text())
    assert record["setting"]["epochs"] == record["result"]["epoch"] == 3
    assert [line["epoch"] for line in record["result"]["metrics"]] == [1, 2, 3]


def test_a_disk_that_is_full_at_the_record_says_how_to_go_on(run, tmp_path, capsys, monkeypatch):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "record.json").unlink()
    with monkeypatch.context() as disk:
        disk.setattr("figures.style.atomic_file", no_room)
        assert deepnet("train", "--resume", folder) == 3
    assert (
        f"No space left on device; the last good state is kept, go on with: python -m deepnet train --resume {folder}"
        in (capsys.readouterr().err)
    )
    assert deepnet("train", "--resume", folder) == 0


def no_room(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_diverging_run_exits_with_1_and_says_where(tmp_path, capsys):
    assert deepnet("train", *SMALL, "--lr", "1e30", "--out", tmp_path / "run") == 1
    assert "of epoch 1; try a smaller --lr. The state before that epoch is in" in capsys.readouterr().err


def test_a_full_disk_keeps_the_last_good_state(tmp_path, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "run"
    with monkeypatch.context() as disk:
        # The first epoch's line finds no space.
        append = checkpoint.append_metrics
        disk.setattr(checkpoint, "append_metrics", lambda *line: (disk.setattr("os.fsync", full), append(*line)))
        assert deepnet("train", *SMALL, "--out", folder) == 3
    sentence = r"No space left on device: '.*metrics\.jsonl'; the last good state is kept, go on with"
    assert re.search(sentence, capsys.readouterr().err)
    assert not list(folder.glob(".*"))
    assert deepnet("train", "--resume", folder) == 0
    assert [line["epoch"] for line in checkpoint.read_metrics(folder)] == [1, 2]


def test_options_beside_resume_count_when_given(run, capsys):
    assert deepnet("train", "--resume", run, "--per-class", "200") == 2
    assert "`--per-class` must be 6, as the run has it, or left out, got 200" in capsys.readouterr().err
    assert deepnet("train", "--resume", run, "--epochs", "1") == 2
    assert "`--epochs` must be 2, as the run has it, or left out, got 1" in capsys.readouterr().err
    assert deepnet("train", "--resume", run, "--net", "wide_resnet") == 2  # the default, but asked for
    assert "`--net` must be resnet18, as the run has it, or left out" in capsys.readouterr().err


def test_interrupting_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("deepnet.training.job.train", interrupted)
    assert deepnet("train", *SMALL, "--out", tmp_path / "run") == 130
    assert f"python -m deepnet train --resume {tmp_path / 'run'}" in capsys.readouterr().err


def test_a_run_folder_that_exists_is_refused_and_kept(run, capsys):
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert deepnet("train", *SMALL, "--out", run) == 2
    assert "must be a new or empty folder" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert deepnet("measure", "--run", tmp_path, "--out", tmp_path / "out") == 2
    assert "must be the folder of a run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_answers_at_once_and_without_torch():
    start = time.perf_counter()
    command = [sys.executable, "-X", "importtime", "-m", "deepnet", "train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 1.5
    assert "--per-class" in done.stdout
    assert " torch\n" not in done.stderr
