"""Training on the user's own data, net and loss: resumed, measured and compared, when it is asked for again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deepnet.__main__ import COMMANDS
from tests.deepnet.training.test_train import assert_same_run
from ufm.cli.command_line import main

SOURCE = """
from pathlib import Path
import numpy as np, torch
from torch import nn
from torch.nn import functional
Path("ran").touch()

class MyLoss:
    def __init__(self, epsilon: float = 1.0):
        self.epsilon = epsilon
    def __call__(self, logits, labels):
        ce = functional.cross_entropy(logits, labels, reduction="none")
        return ce - self.epsilon * torch.expm1(-ce)

def make_net(num_classes, in_channels):
    return nn.Sequential(nn.Conv2d(in_channels, 6, 3), nn.GroupNorm(2, 6), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
                         nn.Flatten(), nn.Dropout(0.3), nn.Linear(24, num_classes))

def my_data(train):
    rng = np.random.default_rng(int(train))
    labels = np.arange(30) % 3
    return rng.normal(size=(30, 3, 6, 7)).astype(np.float32) + labels[:, None, None, None], labels
"""
MINE = ["--loss", "own_code_here.MyLoss", "--loss.epsilon", "0.5", "--net", "own_code_here:make_net"]
MINE += ["--data", "own_code_here:my_data"]
CODE = ["--code", "own_code_here.MyLoss,own_code_here:make_net,own_code_here:my_data"]
SMALL = ["--epochs", "4", "--batch-size", "10", "--lr", "0.02", "--validation", "0.3"]


def asked(*words: object) -> int:
    try:
        return main("python -m deepnet", "", COMMANDS, [str(word) for word in words])
    except SystemExit as end:
        return int(str(end.code))


def forget() -> None:
    sys.modules.pop("own_code_here", None)
    Path("ran").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of four epochs, as the process that made it left it."""
    home = tmp_path_factory.mktemp("own")
    before = Path.cwd()
    os.chdir(home)
    sys.path.insert(0, str(home))
    Path("own_code_here.py").write_text(SOURCE)
    assert asked("train", *SMALL, *MINE, "--out", "whole") == 0
    yield home
    forget()
    sys.path.remove(str(home))
    os.chdir(before)


@pytest.fixture(autouse=True)
def here(whole, monkeypatch):
    monkeypatch.chdir(whole)
    forget()


def test_a_folder_runs_nothing_unless_asked(capsys):
    again = "--data own_code_here:my_data --loss own_code_here.MyLoss --loss.epsilon 0.5 --net own_code_here:make_net"
    assert asked("train", "--resume", "whole") == 2
    assert capsys.readouterr().err == (
        f"python -m deepnet: `--loss` must be given with --resume, too, as {again}: a folder does not decide which "
        "code of yours runs, got nothing.\n"
    )
    assert asked("train", "--resume", "whole", *MINE[:6]) == 2
    assert "`--data` must be given with --resume, too, as --data own_code_here:my_data:" in capsys.readouterr().err
    for words in (["measure", "--run", "whole"], ["compare", "--runs", "whole", *CODE[:1], "own_code_here.MyLoss"]):
        assert asked(*words, "--out", "looked") == 2
        assert f"`--code` must be {CODE[1]} for the run in whole" in capsys.readouterr().err
        assert not Path("looked").exists()
    assert not Path("ran").exists()
    assert asked("train", "--resume", "whole", *MINE) == 0


def test_measure_and_compare_go_on_with_what_they_have(tmp_path, capsys):
    assert asked("measure", "--run", "whole", *CODE, "--out", tmp_path / "measured") == 0
    splits = json.loads((tmp_path / "measured/record.json").read_text())["result"]["splits"]
    assert splits == json.loads(Path("whole/record.json").read_text())["result"]["splits"]
    capsys.readouterr()
    assert asked("compare", "--runs", "whole", *CODE, "--details", "--out", tmp_path / "compared") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "no prediction is known for the loss MyLoss(epsilon=0.5)" in shown
    assert "What this net pays for its features is not known" in shown
    run = json.loads((tmp_path / "compared/record.json").read_text())["result"]["runs"][0]
    predicted = {row["name"]: row["predicted"] for row in run["rows"]}
    assert (predicted["margin"], predicted["dimensions of class means"]) == (None, 2)


def test_a_stopped_run_ends_like_the_whole_one(monkeypatch, capsys):
    """Dropout included, whose numbers torch draws; the run says how to go on."""

    def stop(self, line):
        if line["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("deepnet.training.progress.TrainingProgress.epoch", stop)
        assert asked("train", *SMALL, *MINE, "--out", "stopped") == 130
    words = capsys.readouterr().err.split("python -m deepnet ")[-1].split()
    assert asked(*words) == 0
    assert_same_run(Path("stopped"), Path("whole"))


def test_changed_source_is_said(capsys):
    path = Path("own_code_here.py")
    path.write_text(SOURCE + "\n# another version\n")
    try:
        assert asked("train", "--resume", "whole", *MINE) == 0
        changed = "own_code_here.MyLoss, own_code_here:make_net, own_code_here:my_data"
        assert f"warning: the source of {changed} is not that of the run in whole" in capsys.readouterr().err
    finally:
        path.write_text(SOURCE)
        forget()
    assert asked("train", "--resume", "whole", *MINE) == 0
    assert "the source of" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"net": "subprocess:Popen"},
        {"net": "own_code_here:Path"},
        {"data": "antigravity:x"},
        {"loss": {"name": "subprocess.Popen", "args": "touch pwned", "shell": True}},
        {"sources": {"a": 3}},
        {"sources": []},
    ],
)
def test_a_setting_from_elsewhere_runs_nothing(change, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree("whole", run)
    setting = json.loads((run / "setting.json").read_text())
    (run / "setting.json").write_text(json.dumps(setting | change))
    assert asked("measure", "--run", run, *CODE, "--out", tmp_path / "out") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not Path("pwned").exists()
    assert not Path("ran").exists()


def test_a_grid_asks_again_too(capsys):
    grid = ["--grid.loss", "ce,own_code_here.MyLoss:epsilon=2", "--net", "own_code_here:make_net", "--workers", "0"]
    assert asked("grid", *SMALL, "--epochs", "1", *grid, "--data", MINE[-1], "--out", "grid") == 0
    forget()
    capsys.readouterr()
    assert asked("grid", "--resume", "grid", "--workers", "0") == 2
    again = "--data own_code_here:my_data --net own_code_here:make_net --grid.loss ce,own_code_here.MyLoss:epsilon=2"
    assert f"as {again}:" in capsys.readouterr().err
    assert not Path("ran").exists()
    assert asked("grid", "--resume", "grid", *grid, "--data", MINE[-1]) == 0
    assert "2 runs, 0 to train" in capsys.readouterr().out


def test_what_a_report_card_analyses_is_trained(tmp_path):
    """The mean loss of Poly1 is what its formula says of the probabilities: -log p + epsilon (1 - p)."""
    words = ["--data", "digits", "--net", "mlp", "--width", "0.0625", "--per-class", "5", "--epochs", "1"]
    assert (
        asked("train", *words, "--loss", "ufm.example_losses.Poly1", "--loss.epsilon", "2", "--out", tmp_path / "p")
        == 0
    )
    found = json.loads((tmp_path / "p/record.json").read_text())["result"]["splits"]["train"]
    np.testing.assert_allclose(found["loss"], found["nll"] + 2 * (1 - found["p_y"]), rtol=1e-5)
    assert asked("measure", "--run", tmp_path / "p", "--out", tmp_path / "m") == 0


@pytest.mark.slow
def test_killed_and_gone_on_with_in_fresh_processes(whole):
    """`kill -9`, --resume, measure, compare: each in a process of its own; the curve of the undisturbed run."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), *sys.path])}
    environment["OMP_NUM_THREADS"] = "1"

    def begin(*words: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-m", "deepnet", *words], env=environment)

    words = ["train", *SMALL, "--epochs", "60", *MINE]
    assert begin(*words, "--out", "undisturbed").wait() == 0
    process, lines = begin(*words, "--out", "killed"), Path("killed/metrics.jsonl")
    while process.poll() is None and (not lines.exists() or len(lines.read_bytes().splitlines()) < 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert begin("train", "--resume", "killed", *MINE).wait() == 0
    assert_same_run(Path("killed"), Path("undisturbed"))
    assert begin("measure", "--run", "killed", *CODE).wait() == 0
    assert begin("compare", "--runs", "killed", *CODE).wait() == 0
