import json
import random

import pyarrow.parquet
import pytest

from deepnet.__main__ import COMMANDS
from deepnet.grid import trainings as grid
from deepnet.grid.maps import maps
from deepnet.grid.setting import GridSetting
from tests.disturbing import MOMENTS, SIGNS, disturbed, undisturbed
from ufm.cli.command_line import main
from ufm.cli.records import HALF_WRITTEN

TINY = ["grid", "--data=digits", "--net=mlp", "--width=0.0625", "--per-class=6", "--test-per-class=3"]
TINY += ["--batch-size=20"]
AXES = ["--grid.loss", "ce,focal:gamma=2", "--grid.epochs", "1,2"]


def run(*words):
    return main("python -m deepnet", "", COMMANDS, [str(word) for word in words])


def test_the_presets_are_what_they_say():
    for preset, count in (("paper-cifar10", 192), ("paper-cifar100", 192), ("small", 16)):
        runs = GridSetting(preset=preset).runs()
        assert len(runs) == len({each.name for each in runs}) == count
        assert {each.setting.loss["name"] for each in runs} == {"ce", "ls", "focal", "mse"}
    first = GridSetting(preset="paper-cifar100", batch_size=50, given=frozenset({"batch_size"})).runs()[0].setting
    assert (first.data, first.batch_size, first.augment, first.width, first.epochs) == ("cifar100", 50, True, 0.25, 100)
    more = GridSetting(preset="small", lr=0.3, given=frozenset({"lr"}), grid={"seed": "0:2:3"}).runs()
    assert len(more) == 48
    assert {each.setting.lr for each in more} == {0.3}


def test_a_grid_leaves_runs_rows_record_and_picture_and_can_be_extended(tmp_path, capsys):
    folder = tmp_path / "grid"
    assert run(*TINY, *AXES, "--workers", "0", "--out", folder) == 0
    table = pyarrow.parquet.read_table(folder / "runs.parquet").to_pylist()
    assert [row["run"] for row in table] == [f"{loss}_epochs{n}" for loss in ("ce", "focal-gamma2") for n in (1, 2)]
    result = json.loads((folder / "record.json").read_text())["result"]
    for row in table:
        alone = json.loads((folder / row["run"] / "record.json").read_text())["result"]
        assert row["test_accuracy"] == alone["splits"]["test"]["accuracy"]
        assert row["best_test_accuracy"] == alone["best"]["test"]["accuracy"]
    assert (folder / "accuracy_heat_map.png").stat().st_size > 1000
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoint.pt")}
    assert "4/4" in capsys.readouterr().out
    assert run("grid", "--resume", folder, "--grid.epochs", "1,2,3", "--workers", "0") == 0
    assert "6 runs, 2 to train" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    again = json.loads((folder / "record.json").read_text())["result"]
    assert [row for row in again["rows"] if row["epochs"] < 3] == result["rows"]
    assert run("grid", "--resume", folder, "--batch-size", "30") == 2
    assert "`--batch-size` must be 20, as in" in capsys.readouterr().err
    assert run("grid", "--resume", folder, "--grid.lr", "0.1,0.2") == 2
    assert "over the axes of" in capsys.readouterr().err
    assert run("grid", "--resume", tmp_path) == 2


def test_a_run_is_the_run_that_train_makes(tmp_path):
    folder = tmp_path / "grid"
    assert run(*TINY, "--grid.seed", "3", "--epochs", "2", "--workers", "1", "--out", folder) == 0
    words = [word for word in TINY if word != "grid"]
    assert run("train", *words, "--seed", "3", "--epochs", "2", "--out", tmp_path / "alone") == 0
    ours, theirs = (json.loads((each / "record.json").read_text()) for each in (folder / "seed3", tmp_path / "alone"))
    assert ours["setting"] == theirs["setting"]
    assert ours["result"]["splits"] == theirs["result"]["splits"]


def test_a_run_that_fails_is_recorded_and_the_rest_goes_on(tmp_path, capsys):
    folder = tmp_path / "grid"
    assert run(*TINY, "--epochs", "1", "--grid.lr", "1e30,0.05", "--workers", "0", "--out", folder) == 3
    result = json.loads((folder / "record.json").read_text())["result"]
    (failure,) = result["failures"]
    assert failure["run"] == "lr1e+30"
    assert "of epoch 1" in failure["failure"]
    assert "lr1e+30 failed" in capsys.readouterr().out
    assert [row.get("test_accuracy") is None for row in result["rows"]] == [True, False]


def test_maps_by_hand():
    rows = [
        {"loss": loss, "width": 1.0, "epochs": 5, "seed": seed, "best_test_accuracy": accuracy}
        for loss, seed, accuracy in (("ce", 0, 0.5), ("ce", 1, 0.7), ("ls", 0, 0.9), ("ls", 1, None))
    ]
    found = maps(rows)
    assert found["mean"] == {"ce": [[pytest.approx(0.6)]], "ls": [[0.9]]}
    assert found["difference"] == {"ls": [[pytest.approx(0.3)]]}
    assert found["variance"] == [[pytest.approx(((0.2) ** 2 + 0 + 0.2**2) / 3)]]
    assert found["runs"] == [[3]]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("sign", SIGNS)
def test_stopped_at_random_moments_it_ends_with_the_runs_of_an_undisturbed_grid(tmp_path, sign):
    random.seed(0)
    asked = ["deepnet", *TINY, "--grid.loss", "ce,focal:gamma=2", "--grid.epochs", "6,12", "--workers", "2"]
    seconds = undisturbed(*asked, "--out", tmp_path / "undisturbed")
    expected = _lines_of(tmp_path / "undisturbed")
    assert len(expected) == 4
    moments = number = 0
    while moments < MOMENTS:
        folder, number = tmp_path / f"grid-{number}", number + 1
        code, done = 1, {}
        while code != 0 and moments < MOMENTS:
            is_new = not (folder / "grid.json").exists()
            words = [*asked, "--out", folder] if is_new else ["deepnet", "grid", "--workers", "2", "--resume", folder]
            code = disturbed(words, seconds, sign)
            moments += code != 0
            records = {path: path.read_bytes() for path in folder.glob("*/record.json")}
            assert done.items() <= records.items()
            done = records
        undisturbed("deepnet", "grid", "--workers", "2", "--resume", folder)
        assert _lines_of(folder) == expected
        assert list(folder.rglob(HALF_WRITTEN)) == []
    print(f"grid, {sign.name}: stopped at {moments} moments, in {number} folders")


def _lines_of(folder):
    return {path.parent.name: _lasting(path) for path in folder.glob("*/metrics.jsonl")}


def _lasting(path):
    """The lines without what time they took."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("seconds", "images_per_s")} for line in lines]


def test_a_run_that_was_killed_before_its_record_gets_one(tmp_path):
    folder = tmp_path / "grid"
    assert run(*TINY, "--epochs", "1", "--grid.seed", "0,1", "--workers", "0", "--out", folder) == 0
    before = json.loads((folder / "record.json").read_text())["result"]["rows"]
    (folder / "seed0" / "record.json").rename(folder / "seed0" / ".record.json.x.part")  # while it wrote the record
    for path in (folder / "seed1").iterdir():
        if path.name != "setting.json":  # between the setting and the first checkpoint
            path.unlink()
    assert run("grid", "--resume", folder, "--workers", "0") == 0
    after = json.loads((folder / "record.json").read_text())["result"]["rows"]
    for one, other in zip(before, after, strict=True):
        assert {**one, "minutes": 0} == {**other, "minutes": 0}
    assert list(folder.rglob(HALF_WRITTEN)) == []
    assert not any(work.is_done for work in [grid.Work(GridSetting(grid={"seed": "0"}).runs()[0], tmp_path / "none")])


def test_a_run_that_its_terminal_phase_stopped_early_counts_as_whole(tmp_path):
    work = grid.Work(GridSetting(grid={"seed": "0"}, epochs=2, terminal=9).runs()[0], tmp_path)
    (tmp_path / "metrics.jsonl").write_text("{}\n" * 5)
    assert work.epochs_done == 5  # as yet it may go on
    (tmp_path / "record.json").write_text("{}")
    assert work.epochs_done == 11
