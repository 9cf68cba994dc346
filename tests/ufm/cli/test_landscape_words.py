"""What the commands say about the landscape: proved, proved not, open, by which claim; older rows stay readable."""

import dataclasses
import json

import pytest

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.reports import focal_window_report
from ufm.reports.focal_window_setting import FocalWindowSetting
from ufm.scan.cells import cells_of, units_of
from ufm.scan.job import COLUMNS, columns_of
from ufm.scan.outcomes import solve
from ufm.scan.setting import ScanSetting
from ufm.theory.focal_window import ray_thresholds


def run(command, out, *words):
    main("python -m ufm", "", COMMANDS, [command, *map(str, words), "--out", str(out)])
    return json.loads((out / "record.json").read_text())["result"]


@pytest.mark.parametrize(
    ("classes", "decay", "words", "status"),
    [
        (
            10,
            0.1,
            "proved benign (symbolic): free bias, c = sqrt(n decay_W decay_H) = 0.1 < 0.128852818",
            "proved benign",
        ),
        (30, 0.041, "proved not benign (interval): W = H = 0 is a local minimum above the ETF", "proved not"),
        (30, 0.05, "open: free bias", "open"),
    ],
)
def test_verify(classes, decay, words, status, tmp_path, capsys):
    sizes = ["--classes", classes, "--dim", classes, "--per-class", 1, "--starts", 1, "--saddle-starts", 0]
    decays = ["--decay-W", decay, "--decay-H", decay, "--decay-b", 0]
    result = run("verify", tmp_path, "--loss", "focal", *sizes, *decays, "--max-steps", 3)
    assert f"focal 3: the landscape is {words}" in capsys.readouterr().out
    assert result["verdicts"][0]["landscape"]["status"] == status


def test_verify_says_nothing_of_models_that_are_not_the_plain_one(tmp_path, capsys):
    sizes = ["--classes", 3, "--dim", 3, "--per-class", 1, "--starts", 1, "--saddle-starts", 0, "--max-steps", 3]
    result = run("verify", tmp_path, "--model", "spheres", "--loss", "ce", *sizes)
    printed = capsys.readouterr().out
    assert "landscape" not in printed
    assert "decays" not in printed
    assert result["verdicts"][0]["landscape"] is None


def test_focal_window_has_the_onset_with_a_free_bias_only(capsys):
    thresholds = dataclasses.asdict(ray_thresholds(20, 3.0))
    assert thresholds["onset"] == pytest.approx(0.0631260972994, rel=1e-11)
    assert ray_thresholds(10, 3.0).onset is None
    result = {"thresholds": thresholds, "is_continuous": False, "window": None, "states": []}
    focal_window_report.show(FocalWindowSetting(classes=20, decay_b=0.0), result)
    assert "c_x    = 0.0631260972" in capsys.readouterr().out
    focal_window_report.show(FocalWindowSetting(classes=20, decay_b=None), result)
    assert "c_x" not in capsys.readouterr().out


def test_a_scan_has_a_column_and_older_rows_are_readable():
    grid = {"decay": "0.02:0.6:3"}
    setting = ScanSetting(loss={"name": "focal"}, classes=3, dim=3, per_class=1, starts=2, workers=0, grid=grid)
    rows = [row for unit in units_of(cells_of(setting), setting) for row in solve(unit)]
    assert [row["landscape"] for row in rows] == ["proved benign"] * 3
    older = [{name: value for name, value in row.items() if name != "landscape"} for row in rows]
    cells = columns_of(older)
    assert cells["landscape"] == [None] * 3
    assert set(cells) == set(COLUMNS)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (
            ["ufm.example_losses.Poly1", "--loss.epsilon", 3],
            "psi(x) is convex up to x = 0.69 and has slope >= 1",
        ),
        (["ufm.example_losses.LogitNormalised"], "open: the loss is no increasing function psi(x)"),
        (["focal"], "the landscape is proved benign (symbolic): free bias"),
    ],
)
def test_report_card(loss, words, tmp_path):
    sizes = ["--classes", 3, "--dim", 3, "--per-class", 1, "--starts", 2, "--max-steps", 30]
    result = run("report-card", tmp_path, "--loss", *loss, *sizes)
    assert result["answers"]["is the landscape benign?"].startswith(words)
