"""Every figure is drawn from its record, and what cannot be drawn is named with the command that makes it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from unittest.mock import ANY

import pytest

from figures.__main__ import COMMANDS
from figures.stored import DATA, UnusableRecordError, draw_stored, figure_scripts, read_any
from ufm.cli.command_line import main

SCRIPTS = figure_scripts()


def run(*words):
    return main("python -m figures", "", COMMANDS, [str(word) for word in words])


@pytest.mark.slow  # `.ci/run` draws them all by the command
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_fresh_clone_draws_it(name, tmp_path):
    draw_stored(SCRIPTS[name], DATA, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_it_is_made_by_is_understood(name, capsys):
    for record, command in SCRIPTS[name].RECORDS.items():
        words = shlex.split(command)
        assert words[-2:] == ["--json", f"figures/data/{record}.json"]
        with pytest.raises(SystemExit) as done:
            main(words[2], "", import_module(f"{words[2]}.__main__").COMMANDS, [*words[3:], "--print_config"])
        assert done.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "claims"])  # a table: its words remain
def test_values_that_are_all_nan_are_no_figure(name, tmp_path):
    for record in SCRIPTS[name].RECORDS:
        hollow = without_numbers(json.loads((DATA / f"{record}.json").read_text())["result"])
        whole = json.loads((DATA / f"{record}.json").read_text()) | {"result": hollow}
        (tmp_path / f"{record}.json").write_text(json.dumps(whole))
    with pytest.raises(UnusableRecordError, match=r"cannot be shown .*; made by: python -m"):
        draw_stored(SCRIPTS[name], tmp_path, tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()


def without_numbers(value):
    if isinstance(value, dict):
        return {key: without_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_numbers(entry) for entry in value]
    return None if isinstance(value, float) else value


def test_missing_and_old_records_are_named_and_the_rest_is_drawn(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(DATA / "atlas.json", data)
    (data / "verify.json").write_text(json.dumps(json.loads((DATA / "verify.json").read_text()) | {"schema": 0}))
    assert run("--data", data, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().out
    assert "not drawn: claims: claims.json is not there; made by: python -m theory_checks" in said
    assert "schema 1, got 0; made by: python -m ufm verify --json figures/data/verify.json" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"landscape.png", "landscape.pdf", "record.json"}
    result = json.loads((tmp_path / "out" / "record.json").read_text())["result"]
    assert result["drawn"] == ["landscape"]
    assert set(result["left_out"]) == set(SCRIPTS) - {"landscape"}


@pytest.mark.parametrize("command", ["all", "report"])
def test_wrong_requests_change_nothing(command, tmp_path, capsys):
    assert run(command, "--data", tmp_path / "nowhere", "--out", tmp_path / "out") == 2
    assert "`--data` must be a folder of records" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "kept").write_text("mine")
    assert run(command, "--out", tmp_path) == 2
    assert (tmp_path / "kept").read_text() == "mine"


def test_the_report_command_names_its_page(tmp_path, capsys):
    assert run("report", "--out", tmp_path / "out") == 0
    assert f"page: {tmp_path / 'out' / 'report.html'} (" in capsys.readouterr().out


def test_half_a_picture_or_page_is_none(tmp_path):
    """A limit on the size of files stands for a full disk."""
    script = "ulimit -f 4; $PYTHON -m figures report --out r; echo $?; $PYTHON -m figures --out f; echo $?; ls -A . r f"
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(DATA.parent.parent)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[:2] == ["3", "3"], done.stderr
    assert done.stderr.count("File too large") == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_macos_leaves_beside_a_record_is_no_record(tmp_path):
    shutil.copy(DATA / "atlas.json", tmp_path)
    (tmp_path / "._atlas.json").write_bytes(b"\0\5\x16\7Mac OS X")
    records, refused = read_any(tmp_path)
    assert list(records) == ["atlas"]
    assert refused == []


def test_several_folders_are_told_apart_and_a_setting_is_no_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("results/one", "runs/one"):
        Path(place).mkdir(parents=True)
        shutil.copy(DATA / "atlas.json", f"{place}/record.json")
        Path(place, "setting.json").write_text("{}")
    assert read_any(Path("results"), Path("runs")) == (dict.fromkeys(["results/one", "runs/one"], ANY), [])
    assert read_any(Path("runs/one")) == ({"record": ANY}, [])
