"""The benchmarks work; what they measure in a tiny size means nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import NAMES
from tests.benchmarks.measure import Row, Seconds, alternately

ROOT = Path(__file__).parent.parent


def run_tiny(record, *names):
    command = [sys.executable, "-m", "tests.benchmarks", "--tiny", "--json", str(record), *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(record.read_text())["result"]["rows"]
    assert all(row["ours"]["median"] > 0 and row["ratio"] > 0 for row in rows)
    return rows


@pytest.mark.slow
def test_every_benchmark_runs_and_fills_the_record(tmp_path):
    rows = run_tiny(tmp_path / "record.json", *(name for name in NAMES if name != "training"))
    assert {row["target"] for row in rows} >= {"1", "2", "3", "4", "5"}


@pytest.mark.slow
def test_the_benchmark_of_training_runs(tmp_path):
    assert run_tiny(tmp_path / "record.json", "training")


def test_every_file_is_run():
    files = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py")}
    assert files == {*NAMES, "__init__", "__main__", "measure"}


@pytest.mark.parametrize(("words", "complaint"), [(["nonsense"], "nonsense"), (["--json", "README.md"], "--json")])
def test_wrong_requests_are_refused(words, complaint):
    command = [sys.executable, "-m", "tests.benchmarks", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_sides_take_turns_after_a_first_that_does_not_count():
    order = []
    found = alternately({"a": (lambda: order.append("a"), 2), "b": (lambda: order.append("b"), 1)}, 2)
    assert order == ["a", "b"] * 3
    assert 0 < found["a"].least <= found["a"].median <= found["a"].most


def test_a_target_is_met_or_missed():
    second = Seconds(1.0, 1.0, 1.0)
    assert Row("1", "", "start", second, second, 41.0, ">= 40").is_met
    assert not Row("2", "", "start", second, second, 2.6, "<= 2.5").is_met
    assert Row("3", "", "start", second, second, 2.6).is_met is None


def test_the_record_names_the_command(tmp_path):
    run_tiny(tmp_path / "record.json", "nc_statistics")
    assert json.loads((tmp_path / "record.json").read_text())["command"].startswith("python -m tests.benchmarks --tiny")
