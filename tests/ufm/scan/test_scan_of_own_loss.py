"""A folder of a scan never decides which code runs: its owner's loss is asked for again."""

import json
import sys
from pathlib import Path

import pytest

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main

SOURCE = """
from pathlib import Path
from torch.nn import functional
Path("ran").touch()

def scaled(logits, labels, factor: float = 1.0):
    return factor * functional.cross_entropy(logits, labels, reduction="none")
"""
SMALL = [
    *("--classes", "3", "--dim", "3", "--per-class", "1", "--starts", "2", "--workers", "0"),
    "--grid.decay",
    "0.1,0.2",
]


def asked(*words: str) -> int:
    try:
        return main("python -m ufm", "", COMMANDS, [*words])
    except SystemExit as end:
        return int(str(end.code))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("own_scan_loss.py").write_text(SOURCE)
    yield tmp_path
    sys.modules.pop("own_scan_loss", None)


@pytest.fixture
def scan(here, capsys):
    """A scan of a loss of one's own, whose module this process has forgotten."""
    loss = ["--loss", "own_scan_loss.scaled", "--loss.factor", "2"]
    assert asked("scan", *SMALL, *loss, "--out", "scan") == 0
    sys.modules.pop("own_scan_loss")
    Path("ran").unlink()
    capsys.readouterr()
    return loss


def change(**values: object) -> None:
    path = Path("scan/setting.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_loss_of_ones_own_is_asked_for_again(scan, capsys):
    assert asked("scan", "--resume", "scan", "--workers", "0") == 2
    words = "--loss own_scan_loss.scaled --loss.factor 2"
    assert capsys.readouterr().err == (
        f"python -m ufm: `--loss` must be given with --resume, too, as {words}: a folder does not decide which code of "
        "yours runs, got nothing.\n"
    )
    assert not Path("ran").exists()
    assert asked("scan", "--resume", "scan", "--workers", "0", *scan) == 0
    assert capsys.readouterr().err == ""


def test_another_one_is_refused(scan, capsys):
    Path("other_loss.py").write_text("raise SystemExit(0)")
    assert asked("scan", "--resume", "scan", "--loss", "other_loss.f") == 2
    assert "`--loss` must be {'name': 'own_scan_loss.scaled'" in capsys.readouterr().err


def test_a_folder_that_brings_its_module_along_decides_nothing(scan, here, monkeypatch, capsys):
    """Setting and module are both of the folder, with the right hash, and the user stands in it."""
    from ufm.import_string import source_hash

    Path("scan/own_brought.py").write_text(SOURCE)
    monkeypatch.chdir(here / "scan")
    monkeypatch.syspath_prepend(str(here / "scan"))
    source = source_hash("own_brought.scaled")
    monkeypatch.chdir(here)
    assert len(source) == 16
    change(loss={"name": "own_brought.scaled"}, source=source)
    monkeypatch.chdir(here / "scan")
    assert asked("scan", "--resume", ".") == 2
    assert "`--loss` must be given with --resume" in capsys.readouterr().err
    assert not Path("ran").exists()
    assert "own_brought" not in sys.modules


@pytest.mark.parametrize(
    "loss",
    [
        {"name": "subprocess.Popen", "args": "touch pwned", "shell": True},
        {"name": "subprocess.Popen", "args": "touch pwned", "shell": 1},
        {"name": "os.system", "command": "touch pwned"},
        {"name": "builtins.exec"},
        {"name": "antigravity.x"},
        {"name": "submitit.helpers.CommandFunction", "command": "touch"},
        {"name": "ufm.cli.records.remove_half_written", "folder": "x"},
        {"name": ["ce"]},
        "own_scan_loss.scaled",
    ],
)
def test_a_setting_from_elsewhere_runs_nothing(scan, capsys, loss):
    change(loss=loss)
    assert asked("scan", "--resume", "scan", "--workers", "0") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("python -m ufm: `--")
    assert not Path("pwned").exists()
    assert not Path("ran").exists()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", ["subprocess.Popen", "os.system", "this.s", "own_scan_loss.Path", "own_scan_loss.no"])
@pytest.mark.parametrize("command", ["report-card", "scan"])
def test_neither_does_a_yaml_file(capsys, name, command):
    Path("c.yaml").write_text(f"loss:\n  name: {name}\n  args: touch pwned\n")
    grid = ["--grid.decay", "0.1"] if command == "scan" else []
    assert asked(command, "--config", "c.yaml", *grid, "--out", "out") == 2
    assert f"`--loss` must be an import path that works here, got {name}" in capsys.readouterr().err
    assert not Path("pwned").exists()
    assert not Path("ran").exists()
    assert not Path("out").exists()


def test_a_yaml_file_may_name_a_loss():
    Path("c.yaml").write_text("loss:\n  name: own_scan_loss.scaled\n  factor: 0.5\n")
    assert asked("scan", "--config", "c.yaml", *SMALL, "--out", "out") == 0


def test_another_source_is_told(scan, capsys):
    Path("own_scan_loss.py").write_text(SOURCE + "# changed\n")
    assert asked("scan", "--resume", "scan", "--workers", "0", *scan) == 0
    assert "the source of own_scan_loss.scaled is not that of scan: all cells are new" in capsys.readouterr().err


def test_losses_of_this_project_need_not_be_given_again(capsys):
    assert asked("scan", *SMALL, "--loss", "ufm.example_losses.Poly1", "--out", "scan") == 0
    assert asked("scan", "--resume", "scan", "--workers", "0") == 0


def test_a_loss_that_ends_the_program_late_ends_with_a_sentence(capsys):
    ends = "    if len(logits) > 1000:\n        raise SystemExit(0)\n"
    late = f"def scaled(logits, labels):\n{ends}    return logits.exp().sum(-1)\n"
    Path("own_scan_loss.py").write_text(late)
    words = ["--loss", "own_scan_loss.scaled", "--starts", "500"]
    assert asked("report-card", *words, "--classes", "3", "--dim", "3", "--out", "card") == 2
    assert "got scaled (SystemExit: 0 in " in capsys.readouterr().err
    assert asked("scan", *SMALL, *words, "--out", "scan") == 3
    printed = capsys.readouterr()
    assert "failed: RequestError: `--loss` must take finite logits of any size" in printed.out
    assert printed.err == ""  # where every cell failed, there is nothing to draw


def test_a_command_that_foreign_code_ends_is_no_success(monkeypatch, capsys):
    def ended(setting: object) -> int:
        raise SystemExit(0)

    monkeypatch.setattr("ufm.reports.report_card.asked", ended)
    assert asked("report-card", "--out", "card") == 3
    assert capsys.readouterr().err == "python -m ufm: what the command called ended it (SystemExit: 0).\n"


@pytest.mark.usefixtures("here")
def test_of_a_loss_without_a_prediction_no_cell_is_said_to_be_predicted(capsys):
    assert asked("scan", *SMALL, "--loss", "own_scan_loss.scaled", "--out", "scan") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("│"))
    *_, predicted_zero, _mostly_zero, above, _eigenvalue = (cell.strip() for cell in row.strip("│").split("│"))
    assert (predicted_zero, above) == ("-", "-")
