"""The main job through the command line, in process where possible."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ufm.verify.verify
from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.model.pick_all_labels import all_sets
from ufm.model.problem import Problem
from ufm.solve.newton import find_critical_points
from ufm.verify.end_point_claims import _samples_of_one_class

ROOT = Path(__file__).parents[3]
SMALL = ["--classes", "4", "--dim", "5", "--per-class", "3", "--starts", "20"]
SMALL += ["--saddle-classes", "4", "--saddle-dim", "5", "--saddle-per-class", "1", "--saddle-starts", "32"]


def _verify(*words: str) -> int:
    return main("python -m ufm", "", COMMANDS, ["verify", *SMALL, *words])


def _record(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())


@pytest.mark.usefixtures("all_cores")
def test_all_losses_hold(tmp_path, capsys):
    assert _verify("--out", str(tmp_path)) == 0
    result = _record(tmp_path)["result"]
    assert [verdict["spec"]["name"] for verdict in result["verdicts"]] == ["ce", "ls", "focal", "mse"]
    for verdict in result["verdicts"]:
        assert verdict["holds"]
        assert sum(verdict["statuses"].values()) == 20
        assert sum(verdict["saddle_statuses"].values()) == 32
        found = sum(row["found"] for row in verdict["saddles"]) + verdict["minimisers_among_saddles"]
        assert found == verdict["saddle_statuses"]["CONVERGED"]
        evidence = verdict["saddle_evidence"]
        assert evidence["spectrum"] + evidence["distance"] == found
        assert len(verdict["saddles"]) <= evidence["spectrum"] < found / 2
        assert all(row["morse_index"] > 0 and row["curvature"] < 0 for row in verdict["saddles"])
    assert (tmp_path / "verification.png").read_bytes()[:4] == b"\x89PNG"
    printed = capsys.readouterr().out
    assert "20 converged" in printed
    assert str(tmp_path / "record.json") in printed


def test_curvature_is_certified_at_the_predicted_orbit_and_computed_elsewhere(tmp_path, capsys):
    """A focal loss whose starts end at the ETF, at partial states and at zero."""
    words = ["--loss", "focal", "--classes", "30", "--dim", "29", "--per-class", "1", "--starts", "16"]
    words += ["--decay-W", "0.041", "--decay-H", "0.041", "--decay-b", "0", "--saddle-starts", "0"]
    assert _verify("--out", str(tmp_path / "focal"), *words) == 1
    assert _verify("--out", str(tmp_path / "ce"), "--loss", "ce", "--saddle-starts", "0") == 0
    focal, ce = (_record(tmp_path / name)["result"]["verdicts"][0] for name in ("focal", "ce"))
    lost = focal["claims"]["value"]["breakers"]
    assert (focal["curvature"]["certificate"], focal["curvature"]["numeric"]) == (16 - lost, lost)
    assert 0 < lost < 16
    assert focal["claims"]["smallest eigenvalue"]["evidence"] == "numeric"
    assert ce["claims"]["smallest eigenvalue"]["evidence"] == "certificate"
    assert (ce["curvature"]["certificate"], ce["curvature"]["numeric"]) == (20, 0)
    assert 0 < ce["curvature"]["orbit"]["farthest"] < ce["curvature"]["orbit"]["radius"]
    assert "20 certificate" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["--loss", "focal", "--loss.gamma", "0.5", "--decay-b", "null"],
        ["--loss", "mse", "--decay-b", "0.5"],
        ["--loss", "mse", "--loss.rescale", "15", "--loss.convention", "mean", "--decay-b", "0"],
        ["--loss", "ls", "--loss.alpha", "0.2", "--decay-b", "0", "--dim", "3"],
        ["--loss", "ce", "--decay-W", "0.5", "--decay-H", "0.5"],
        ["--loss", "ce", "--classes", "2", "--dim", "1", "--per-class", "1"],
    ],
    ids=" ".join,
)
def test_other_problems_hold(tmp_path, words):
    assert _verify("--out", str(tmp_path), *words) == 0
    assert _record(tmp_path)["result"]["holds"]


@pytest.mark.parametrize(
    "words",
    [
        ["spheres", "--model.temperature", "3"],
        ["multilabel", "--model.multiplicity", "[2, 1]", "--decay-b", "0"],
        ["imbalance", "--model.sizes", "[4,2,1,1]"],
        ["imbalance", "--model.sizes", "[8,8,1,1]", "--loss", "ce", "--decay-W", "0.1", "--decay-H", "0.1"],
        ["deep", "--decay-b", "null", "--model.decay", "0.05", "--decay-W", "0.05", "--decay-H", "0.05"],
        ["deep", "--model.factors", "4", "--loss", "mse"],
    ],
    ids=" ".join,
)
def test_other_models_hold(tmp_path, words):
    assert _verify("--out", str(tmp_path), "--saddle-starts", "16", "--model", *words) == 0
    record = _record(tmp_path)
    assert record["setting"]["model"]["name"] == words[0]
    for verdict in record["result"]["verdicts"]:
        assert verdict["holds"]
        assert ("strict saddles" in verdict["claims"]) == (words[0] != "deep")
        assert ("states" in verdict["claims"]) == (words[0] == "deep")
        there = verdict["claims"].get("reached", {"worst": 20})["worst"]
        assert there + sum(row["found"] for row in verdict["elsewhere"]) == verdict["statuses"]["CONVERGED"] == 20
    assert (tmp_path / "verification.png").exists()


@pytest.mark.usefixtures("all_cores")
def test_a_refuted_prediction_names_the_starts_below_it(tmp_path, capsys):
    """The simplex is not the minimum of cross entropy with a hidden layer and six classes."""
    words = ["--model", "deep", "--loss", "ce", "--classes", "6", "--dim", "7", "--saddle-starts", "0"]
    assert _verify("--out", str(tmp_path), *words) == 1
    verdict = _record(tmp_path)["result"]["verdicts"][0]
    assert not verdict["claims"]["below"]["holds"]
    assert verdict["elsewhere"][0]["value"] < verdict["target"]["value"]
    printed = capsys.readouterr().out
    assert "starts end below the prediction: it is not the global minimum" in printed
    assert "--model deep" in printed


def test_a_false_prediction_is_refused_with_the_start_that_breaks_it(tmp_path, capsys, monkeypatch):
    right = ufm.verify.verify.target_of

    def wrong(model):
        target = right(model)
        return dataclasses.replace(target, value=target.value + 1e-8, point=target.point * (1 + 1e-5))

    monkeypatch.setattr(ufm.verify.verify, "target_of", wrong)
    assert _verify("--out", str(tmp_path), "--loss", "ce", "--first-start", "40", "--saddle-starts", "0") == 1
    claims = _record(tmp_path)["result"]["verdicts"][0]["claims"]
    assert {name for name, claim in claims.items() if not claim["holds"]} == {"value", "below", "logits", "norms"}
    assert claims["value"]["broken_by"] == 40
    printed = capsys.readouterr().out
    assert "start 40 is the first to break: |objective - predicted| / f(0) (20 starts do)" in printed
    assert "--first-start 40" in printed


@pytest.mark.parametrize("words", [["spheres"], ["multilabel"], ["imbalance", "--loss", "ce"], ["deep"]], ids=str)
def test_a_false_prediction_of_another_model_is_refused(tmp_path, monkeypatch, words):
    right = ufm.verify.verify.target_of

    def wrong(model):
        target = right(model)
        return dataclasses.replace(target, value=target.value * (1 + 1e-6), point=target.point.roll(model.d))

    monkeypatch.setattr(ufm.verify.verify, "target_of", wrong)
    assert _verify("--out", str(tmp_path), "--saddle-starts", "0", "--starts", "4", "--model", *words) == 1
    claims = _record(tmp_path)["result"]["verdicts"][0]["claims"]
    assert {"below", "logits"} <= {name for name, claim in claims.items() if not claim["holds"]}


def test_a_spurious_minimiser_is_refused(tmp_path, capsys, monkeypatch):
    """The same check with the true minimiser hidden among the points that should be strict saddles."""
    right = ufm.verify.verify.target_of

    def shifted(model):
        return dataclasses.replace(right(model), value=right(model).value - 1e-3)

    def all_at_the_minimiser(model, starts, progress=None):
        return find_critical_points(model, 0 * starts + right(model).point)

    monkeypatch.setattr(ufm.verify.verify, "find_critical_points", all_at_the_minimiser)
    monkeypatch.setattr(ufm.verify.verify, "target_of", shifted)
    assert _verify("--out", str(tmp_path), "--loss", "ce") == 1
    claim = _record(tmp_path)["result"]["verdicts"][0]["claims"]["strict saddles"]
    assert not claim["holds"]
    assert claim["broken_by"] == 0
    assert "neither the predicted minimiser nor a strict saddle" in capsys.readouterr().out


def test_starts_that_do_not_converge_are_counted_and_fail(tmp_path, capsys):
    assert _verify("--out", str(tmp_path), "--loss", "ce", "--max-steps", "3", "--saddle-starts", "0") == 1
    verdict = _record(tmp_path)["result"]["verdicts"][0]
    assert verdict["statuses"] == {"CONVERGED": 0, "MAX_STEPS": 20, "STALLED": 0, "NONFINITE": 0}
    assert "20 max steps" in capsys.readouterr().out


def test_a_yaml_file_with_overrides(tmp_path):
    setting = tmp_path / "setting.yaml"
    setting.write_text("loss: {name: focal, gamma: 2}\nstarts: 10\nseed: 4\n")
    assert _verify("--config", str(setting), "--loss.gamma", "3", "--out", str(tmp_path / "out")) == 0
    found = _record(tmp_path / "out")["setting"]
    assert (found["loss"], found["starts"], found["seed"]) == ({"name": "focal", "gamma": 3}, 10, 4)


def test_a_fault_is_not_a_failed_claim(tmp_path, capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(ufm.verify.verify, "minimise", broken)
    assert _verify("--out", str(tmp_path), "--loss", "ce") == 3
    assert "a bug" in capsys.readouterr().err


def test_starts_that_are_not_finite_are_counted(tmp_path, monkeypatch):
    right = ufm.verify.verify.normal_starts

    def spoilt(*arguments):
        starts = right(*arguments)
        starts[2:4] = float("nan")
        return starts

    monkeypatch.setattr(ufm.verify.verify, "normal_starts", spoilt)
    assert _verify("--out", str(tmp_path), "--loss", "ce", "--saddle-starts", "0") == 1
    verdict = _record(tmp_path)["result"]["verdicts"][0]
    assert verdict["statuses"]["NONFINITE"] == verdict["claims"]["all converged"]["breakers"] >= 2
    assert verdict["claims"]["value"]["holds"]


def test_badly_scaled_decays_are_not_mistaken_for_failures(tmp_path):
    words = ["--loss", "ce", "--decay-W", "0.5", "--decay-H", "1e-5", "--saddle-starts", "0"]
    assert _verify("--out", str(tmp_path), *words) == 0


def test_an_existing_folder_is_not_touched(tmp_path, capsys):
    (tmp_path / "precious").write_text("data")
    assert _verify("--out", str(tmp_path)) == 2
    assert "new or empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_the_program_as_a_user_calls_it(tmp_path):
    words = [sys.executable, "-m", "ufm", "verify", *SMALL, "--loss", "ce", "--saddle-starts", "0", "--json", "r.json"]
    done = subprocess.run(
        words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["command"].startswith("python -m ufm verify")
    assert "holds" in done.stdout


def test_a_loss_that_is_tiny_at_zero_is_held_to_what_a_tolerance_resolves(tmp_path, capsys):
    """For K = 4, f(0) = 0.75^100 log 4 is 4e-13; at gamma = 1e9 it underflows. Starts end at zero, as predicted."""
    words = ("--loss", "focal", "--starts", "5", "--saddle-starts", "0", "--loss.gamma")
    assert _verify("--out", str(tmp_path / "small"), *words, "100") == 0
    claim = _record(tmp_path / "small")["result"]["verdicts"][0]["claims"]["value"]
    assert 1e-10 < claim["allowed"] < 0.1
    assert _verify("--out", str(tmp_path / "tiny"), *words, "300") == 2
    assert "`--tolerance` must be at most 6.8e-22, since f(0), the unit of objectives, is" in capsys.readouterr().err
    assert _verify("--out", str(tmp_path / "none"), *words, "1e9") == 2
    assert "`--loss` must be such that f(0), the unit of objectives, does not underflow" in capsys.readouterr().err


def test_starts_of_which_none_converged_have_no_numbers(tmp_path, capsys):
    words = ("--loss", "ce", "--starts", "5", "--saddle-starts", "0", "--max-steps", "1")
    assert _verify("--out", str(tmp_path), *words) == 1
    printed = capsys.readouterr().out
    assert "nothing converged" in printed
    assert "nan" not in printed


@pytest.mark.parametrize(("counts", "expected"), [((2, 1), range(8)), ((0, 1), None)])
def test_collapse_is_measured_on_samples_of_one_class(counts, expected):
    loss, sizes = all_sets(4, counts)
    rows = _samples_of_one_class(Problem(loss, 4, 5, 1, 5e-3, 2e-3, 0.0, sizes=sizes))
    assert (rows if rows is None else rows.tolist()) == (expected and [*expected])
