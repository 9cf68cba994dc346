import dataclasses
import json
import os
import shutil

import pyarrow.parquet
import pytest
import torch
from rich.progress import Progress

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.model.losses import CrossEntropy
from ufm.model.model import Point
from ufm.model.problem import Problem
from ufm.scan import cells, shards
from ufm.scan.agreement import agreements
from ufm.scan.cells import cells_of, units_of
from ufm.scan.outcomes import STATES, end_states, solve
from ufm.scan.scan import Scan
from ufm.scan.setting import ScanSetting
from ufm.theory.prediction import predict, predicted_point


def _setting(loss, **changes):
    sizes = {"classes": 3, "dim": 4, "per_class": 2, "starts": 6}
    return ScanSetting(loss=loss, **sizes | {"workers": 0} | changes)


def _rows(setting):
    return [row for unit in units_of(cells_of(setting), setting) for row in solve(unit)]


FOCAL = _setting({"name": "focal"}, grid={"gamma": "0:6:4", "decay": "1e-3:1:7:log"})


def _same(found, expected):
    """But for rounding, which depends on the company."""
    for name in ("cell", "etf", "zero", "partial", "other", "best_state", "converged", "predicted_state"):
        assert found[name] == expected[name]
    for name, tolerance in (("best_value", 1e-13), ("condition_number", 1e-6), ("steps_mean", 0.05)):
        assert found[name] == pytest.approx(expected[name], rel=tolerance)


@pytest.mark.usefixtures("all_cores")
def test_a_cells_row_does_not_depend_on_its_company(monkeypatch):
    together = _rows(FOCAL)
    assert _rows(FOCAL) == together
    monkeypatch.setattr(cells, "CELLS", 1)
    alone = _rows(FOCAL)
    assert len(alone) == 28
    for found, expected in zip(alone, together, strict=True):
        _same(found, expected)


@pytest.mark.parametrize(
    ("loss", "grid"),
    [
        ({"name": "focal"}, FOCAL.grid),
        ({"name": "ls"}, {"alpha": "0:0.8:4", "decay": "1e-3:1:7:log"}),
        ({"name": "mse"}, {"rescale": "0.5,1,2", "decay": "1e-3:1:7:log"}),
        ({"name": "ce"}, {"decay_W": "1e-3:1:5:log", "decay_H": "1e-3:1:4:log"}),
        ({"name": "ce"}, {"classes": "2,3,4", "per_class": "1,3", "decay": "1e-2,1"}),
    ],
    ids=["focal", "ls", "mse", "ce", "sizes"],
)
def test_starts_end_where_the_prediction_says(loss, grid):
    setting = _setting(loss, grid=grid)
    rows = _rows(setting)
    for row in rows:
        assert row["converged"] == setting.starts
        assert row[row["predicted_state"]] == 1.0
        assert row["best_state"] == row["predicted_state"]
        assert abs(row["best_minus_predicted"]) < 1e-12
        assert row["smallest_eigenvalue"] > -1e-7
        assert row["duality_gap"] is None or row["duality_gap"] < 1e-7
        assert (row["nc1_trace"] is None) == (row["best_state"] == "zero")  # at zero it says nothing
        assert row["nc1_trace"] is None or row["nc1_trace"] < 1e-10
    assert {row["predicted_state"] for row in rows} == {"etf", "zero"}


def test_a_wrong_boundary_would_be_seen():
    rows = _rows(FOCAL)
    counts = agreements(FOCAL, rows)
    assert counts["as_predicted"] == counts["predicted"] == 28
    for factor, further in ((1.5, 0), (30.0, 1)):
        wrong = [row | {"predicted_state": "zero" if factor * row["c"] > row["c_zero_best"] else "etf"} for row in rows]
        counts = agreements(FOCAL, wrong)
        assert counts["within_one_cell"] > 0
        assert (counts["further"] > 0) == further


def test_known_numbers():
    """Condition number across the orbit (10 digits) from the closed-form spectrum at K = 4, d = 6, n = 3."""
    size = {"classes": 4, "dim": 6, "per_class": 3, "tolerance": 1e-11, "decay_H": 1e-3}
    (row,) = _rows(_setting({"name": "ce"}, grid={"decay_W": "5e-3"}, **size))
    assert row["condition_number"] == pytest.approx(50.7201753255, rel=1e-8)
    assert row["best_value"] == pytest.approx(0.076079700554004713, rel=1e-13)
    (row,) = _rows(_setting({"name": "ce"}, grid={"decay_W": "5e-3"}, decay_b=None, **size))
    assert row["condition_number"] == pytest.approx(35.8063014838, rel=1e-8)


def test_states_are_told_apart():
    problem = Problem(CrossEntropy(), 4, 5, 2, 5e-3, 5e-3, 0.0)
    etf = predicted_point(problem, predict(problem))
    W, H, b = problem.unpack(etf)
    inactive = H.clone()
    inactive[6:] = 0
    without_one = problem.pack(Point(W * torch.tensor([1.0, 1, 1, 0])[:, None], inactive, b))
    split = H.clone()
    split[0] += 0.1 * W[1]
    points = torch.stack([etf, 0 * etf, without_one, problem.pack(Point(W, split, b)), problem.pack(Point(-W, H, b))])
    state, active = end_states(problem, points)
    assert [STATES[i] for i in state.tolist()] == ["etf", "zero", "partial", "other", "other"]
    assert active.tolist()[:3] == [4, 0, 3]


def test_an_extended_grid_computes_only_what_is_missing(tmp_path):
    coarse = _setting({"name": "ls"}, grid={"alpha": "0:0.5:2", "decay": "1e-3:1e-1:3:log"})
    shards.write_setting(tmp_path, coarse)
    with Progress(disable=True) as progress:
        assert Scan(coarse).fill(tmp_path, progress) == []
        before = {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir()}
        fine = dataclasses.replace(coarse, grid={"alpha": "0:0.5:3", "decay": "1e-3:1e-1:5:log"})
        resumed = shards.resumed_setting(dataclasses.replace(fine, resume=tmp_path))
        shards.write_setting(tmp_path, resumed)
        scan = Scan(resumed, shards.asked_grids(tmp_path))
        assert sum(len(unit.cells) for unit in scan.missing(tmp_path)) == 15 - 6
        scan.fill(tmp_path, progress)
    assert all((tmp_path / "shards" / name).read_bytes() == content for name, content in before.items())
    fresh = {row["cell"]: row for row in _rows(fine)}
    for row in scan.rows(tmp_path):
        _same(row, fresh[row["cell"]])
    assert not scan.missing(tmp_path)


def test_what_is_done_does_not_change_the_units(tmp_path):
    """So that an interrupted scan, extended or not, ends with the very rows of an uninterrupted one."""
    coarse = _setting({"name": "ls"}, grid={"alpha": "0:0.5:3", "decay": "1e-3:1e-1:25:log"})
    fine = dataclasses.replace(coarse, grid={"alpha": "0:0.5:5", "decay": "1e-3:1e-1:25:log"})
    shards.write_setting(tmp_path, coarse)
    scan = Scan(fine, [coarse.grid, fine.grid])
    assert [len(unit.cells) for unit in scan.units] == [32, 32, 11, 32, 18]
    shards.write_shard(tmp_path, scan.units[1].id, [{"cell": name, "x": 1.0} for name in scan.units[1].ids])
    assert [unit.id for unit in scan.missing(tmp_path)] == [unit.id for i, unit in enumerate(scan.units) if i != 1]
    assert len(Scan(coarse, [coarse.grid, fine.grid]).missing(tmp_path)) == 2


def test_a_folder_of_another_grid_is_not_mixed_in(tmp_path):
    shards.write_setting(tmp_path, FOCAL)
    for change, complaint in (({"starts": 7}, "--starts.*must be 6"), ({"loss": {"name": "ls"}}, "--loss.*focal")):
        asked = dataclasses.replace(FOCAL, resume=tmp_path, given=frozenset(change), **change)
        with pytest.raises(ValueError, match=complaint):
            shards.resumed_setting(asked)
    with pytest.raises(ValueError, match=r"--resume.*folder of a scan"):
        shards.resumed_setting(dataclasses.replace(FOCAL, resume=tmp_path / "shards"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"grid": {"gama": "0:1:2"}}, "--grid.gama.*fields are gamma, decay, decay_W"),
        ({"grid": {"decay": "1e-3,1e-2", "decay_W": "1,2"}}, "--grid.decay.*sets both"),
        ({"grid": {"dim": "2:3:3"}}, "--grid.dim.*integers"),
        ({"grid": {"gamma": "-1:1:3"}}, "gamma.*got -1"),
        ({"grid": {"decay": "0,1"}}, "decay_W.*got 0"),
        ({"loss": {"name": "nonsense"}}, "--loss.*one of ce, .* or an import path"),
        ({"starts": 10**6, "per_class": 10**6}, "--starts.*GB allowed"),
        ({"device": "nonsense"}, "--device"),
    ],
)
def test_wrong_requests_are_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        Scan(dataclasses.replace(FOCAL, **changes))


def test_no_grid_is_refused():
    with pytest.raises(ValueError, match="--grid"):
        ScanSetting()


COMMAND = "scan --loss focal --grid.gamma 0:4:3 --grid.decay 1e-2:1:4:log --classes 3 --dim 3 --per-class 1 --starts 4"


def _run(*words):
    return main("python -m ufm", "", COMMANDS, [*COMMAND.split(), *words])


def test_the_command_writes_rows_record_and_picture_and_can_be_resumed(tmp_path, capsys):
    folder = tmp_path / "scan"
    assert _run("--out", str(folder), "--workers", "1") == 0
    table = pyarrow.parquet.read_table(folder / "shards").to_pylist()
    assert len(table) == 12
    assert {row["loss"] for row in table} == {"focal"}
    record = json.loads((folder / "record.json").read_text())
    assert record["result"]["agreement"]["as_predicted"] == 12
    assert record["result"]["cells"]["etf"] == [1, 1, 1, 0] * 2 + [1, 1, 0, 0]
    assert (folder / "phase_diagram.png").stat().st_size > 1000
    assert _run("--out", str(folder)) == 2
    assert "--out" in capsys.readouterr().err
    assert main("python -m ufm", "", COMMANDS, ["scan", "--resume", str(folder), "--workers", "0"]) == 0
    assert pyarrow.parquet.read_table(folder / "shards").to_pylist() == table
    assert main("python -m ufm", "", COMMANDS, ["scan", "--resume", str(folder), "--seed", "3"]) == 2
    assert "--seed" in capsys.readouterr().err


def test_a_single_axis_and_three_are_drawn(tmp_path):
    for grid in (["--grid.decay", "1e-2:1:5:log"], ["--grid.dim", "3,4"]):
        words = COMMAND.split()
        words = [*words[:3], *words[7:], *grid, "--workers", "0", "--out", str(tmp_path / grid[0])]
        assert main("python -m ufm", "", COMMANDS, words) == 0
    assert _run("--grid.dim", "2,3", "--workers", "0", "--out", str(tmp_path / "three")) == 0
    for name, decay in (("line", "0.01,0.1"), ("point", "0.1")):
        words = [*COMMAND.split(), "--grid.gamma", "3", "--grid.decay", decay]
        assert main("python -m ufm", "", COMMANDS, [*words, "--workers", "0", "--out", str(tmp_path / name)]) == 0


def test_a_unit_that_fails_is_recorded_and_the_rest_goes_on(tmp_path, monkeypatch, capsys):
    def fragile(unit):
        if unit.cells[0].dim == 4:
            raise ArithmeticError("no fours")
        return solve(unit)

    monkeypatch.setattr("ufm.scan.scan.solve", fragile)
    assert _run("--grid.dim", "3,4", "--workers", "0", "--out", str(tmp_path / "scan")) == 3
    assert "no fours" in capsys.readouterr().out
    result = json.loads((tmp_path / "scan" / "record.json").read_text())["result"]
    assert len(result["failures"]) == 1
    assert sum(value is not None for value in result["cells"]["etf"]) == 12
    monkeypatch.undo()
    assert _run("--grid.dim", "3,4", "--workers", "0", "--resume", str(tmp_path / "scan")) == 0


def test_a_full_disk_stops_cleanly_with_what_is_done(tmp_path, monkeypatch, capsys):
    written = []

    def full(folder, name, rows):
        if written:
            raise OSError(28, "No space left on device")
        written.append(name)
        shards.write_shard(folder, name, rows)

    monkeypatch.setattr("ufm.scan.scan.write_shard", full)
    folder = tmp_path / "scan"
    assert _run("--grid.dim", "3,4", "--workers", "0", "--out", str(folder)) == 3
    assert "No space left" in capsys.readouterr().err
    assert len(shards.read_rows(folder)) == 12
    assert [path.suffix for path in (folder / "shards").iterdir()] == [".parquet"]


def test_a_damaged_shard_is_named(tmp_path, capsys):
    folder = tmp_path / "scan"
    assert _run("--workers", "0", "--out", str(folder)) == 0
    (shard,) = (folder / "shards").iterdir()
    shard.write_bytes(shard.read_bytes()[:-20])
    assert main("python -m ufm", "", COMMANDS, ["scan", "--resume", str(folder)]) == 2
    assert shard.name in capsys.readouterr().err
    shutil.rmtree(folder)


def test_a_parameter_of_your_own_loss_is_one_batch(monkeypatch):
    setting = _setting({"name": "ufm.example_losses.GeneralisedCrossEntropy"}, grid={"q": "0.1:0.9:5"}, tolerance=1e-8)
    (unit,) = units_of(cells_of(setting), setting)
    together = solve(unit)
    assert [row["q"] for row in together] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert len({row["best_value"] for row in together}) == 5
    monkeypatch.setattr(cells, "CELLS", 1)
    for found, expected in zip(_rows(setting), together, strict=True):
        assert found["cell"] == expected["cell"]
        assert found["best_value"] == pytest.approx(expected["best_value"], rel=1e-12)


@pytest.mark.parametrize("loss", [{"name": "ce"}, {"name": "ls", "alpha": 0.1}, {"name": "focal", "gamma": 3.0}])
def test_where_no_simplex_fits_what_is_known_of_zero_is_said(loss):
    """Zero is left where c is below the norm of the loss's gradient there , in any dimension."""
    setting = _setting(loss, classes=5, dim=2, per_class=1, grid={"decay": "0.01:0.3:5:log"}, starts=8)
    scan = Scan(setting)
    assert scan.without_simplex.startswith("in 5 of 5 cells d < K - 1: no simplex fits")
    rows = _rows(setting)
    model = scan.cells[0].problem
    z = torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    model.loss(z, torch.arange(5)).mean().backward()
    steepest = float(torch.linalg.matrix_norm(z.grad, 2))
    for row in rows:
        assert (row["etf"], row["c_etf_ends"]) == (0, None) or row["predicted_state"] == "zero"
        assert row["c_zero_stable"] == pytest.approx(steepest)
        assert row["c"] == pytest.approx(row["decay_W"])
        if row["c"] < row["c_zero_stable"]:
            assert row["zero"] == 0
    assert any(row["predicted_state"] is None for row in rows)
    assert Scan(FOCAL).without_simplex == ""


def test_a_scan_without_simplex_warns_before_the_work_and_says_so_in_its_record(tmp_path, capsys):
    words = ["--classes", "5", "--dim", "2", "--per-class", "1", "--grid.decay", "0.01,0.3", "--starts", "4"]
    assert main("it", "", COMMANDS, ["scan", *words, "--workers", "0", "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr()
    assert output.err.startswith("warning: in 2 of 2 cells d < K - 1")
    assert "in 2 of 2 cells d < K - 1" in output.out
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["result"]["without_simplex"].startswith("in 2 of 2 cells")


STRAY = {"._{}": b"\0\5\x16\7Mac OS X", "{} (copy)": None, "copy of {}": None, ".{}.part": b"half", "notes": b"mine"}


def test_stray_files_are_left_alone_and_cut_ones_are_named(tmp_path, capsys):
    folder = tmp_path / "scan"
    assert _run("--out", str(folder), "--workers", "0") == 0
    (shard,) = (folder / "shards").iterdir()
    for name, content in STRAY.items():
        (folder / "shards" / f"{name.format(shard.stem)}.parquet").write_bytes(content or b"another program's")
    (folder / "shards" / f"{'0' * 16}.parquet.d").mkdir()
    resume = ["scan", "--resume", str(folder), "--workers", "0"]
    whole = shards.read_rows(folder)
    assert main("python -m ufm", "", COMMANDS, resume) == 0
    os.truncate(shard, 100)
    capsys.readouterr()
    assert main("python -m ufm", "", COMMANDS, resume) == 2
    said = capsys.readouterr().err
    assert f"{shard} must be a file of a scan, but cannot be read" in said
    assert "; delete it, and --resume computes its cells again." in said
    assert "go on with" not in said
    shard.unlink()
    assert main("python -m ufm", "", COMMANDS, resume) == 0
    assert shards.read_rows(folder) == whole
    assert (folder / "shards" / "notes.parquet").read_bytes() == b"mine"
