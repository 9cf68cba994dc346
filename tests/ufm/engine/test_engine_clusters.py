"""Ray (a real local cluster) and SLURM (fake programs that run the jobs as processes) against the local engine."""

import importlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.damaged_files import Payload
from tests.ufm.engine import fake_slurm
from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.engine.map_units import ATTEMPTS, map_units
from ufm.engine.pool import attempt_elsewhere
from ufm.engine.setting import EngineSetting
from ufm.scan.shards import read_rows

ROOT = Path(__file__).parents[3]
GRID = "scan --loss focal --grid.gamma 0:2:3 --grid.dim 2,3 --decay-W 1e-2 --classes 3 --per-class 1 --starts 4"


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """The folder of a fake SLURM's state, its programs on the PATH."""
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    for name in ("slurm-bin", "slurm-state"):
        (tmp_path / name).mkdir()
    programs = fake_slurm.install(tmp_path / "slurm-bin")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm-state"))
    monkeypatch.setattr("ufm.engine.slurm.PATIENCE", 0.1)
    monkeypatch.setattr("ufm.engine.slurm.SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr("ufm.engine.slurm.SECONDS_BETWEEN_CALLS", 0)
    return tmp_path / "slurm-state"


@pytest.fixture
def ray() -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")


def _rows(folder, *words):
    assert main("python -m ufm", "", COMMANDS, [*GRID.split(), *words, "--out", str(folder)]) == 0
    return read_rows(folder)


def test_slurm_gives_the_rows_of_the_local_engine(tmp_path, slurm):
    expected = _rows(tmp_path / "local", "--workers", "0")
    options = [
        "--engine.partition",
        "gpu",
        "--engine.memory",
        "1.5",
        "--engine.time",
        "7",
        "--engine.sbatch.qos",
        "low",
    ]
    assert _rows(tmp_path / "slurm", "--engine", "slurm", *options) == expected
    assert len(expected) == 6
    script = (slurm / "1.sh").read_text()
    for option in ("partition=gpu", "mem=1536M", "time=7", "qos=low", "array=0-1%2", "cpus-per-task=1"):
        assert f"#SBATCH --{option}\n" in script


@pytest.mark.slow
def test_ray_gives_the_rows_of_the_local_engine(tmp_path, ray):
    expected = _rows(tmp_path / "local", "--workers", "2")
    assert _rows(tmp_path / "ray", "--engine", "ray") == expected


def _fragile(unit):
    """(number, folder): number 1 dies at its first attempt, 2 always, 3 raises always."""
    number, folder = unit
    Path(folder, f"{number}-{time.monotonic_ns()}").touch()
    if number == 2 or (number == 1 and len(list(Path(folder).glob("1-*"))) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        raise ArithmeticError("three is right out")
    return number * number


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_a_dead_worker_costs_its_unit_which_is_done_again(name, tmp_path, request):
    request.getfixturevalue(name)
    attempts = tmp_path / "attempts"
    attempts.mkdir()
    units = [(i, str(attempts)) for i in range(5)]
    outcomes = {o.unit[0]: o for o in map_units(_fragile, units, 0, EngineSetting(name=name), tmp_path)}
    assert {i: o.result for i, o in outcomes.items() if o.error is None} == {0: 0, 1: 1, 4: 16}
    assert "the worker died" in outcomes[2].error
    assert "ArithmeticError: three is right out" in outcomes[3].error
    for number, count in ((0, 1), (1, 2), (2, ATTEMPTS), (3, ATTEMPTS)):
        assert len(list(attempts.glob(f"{number}-*"))) == count


def _waits(unit):
    """(number, folder): waits for the file `go`."""
    number, folder = unit
    Path(folder, f"{number}-{time.monotonic_ns()}").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.05)
    return number


DRIVER = """
import sys
from pathlib import Path
from tests.ufm.engine.test_engine_clusters import _waits
from ufm.engine.map_units import map_units
from ufm.engine.setting import EngineSetting
units = [(i, sys.argv[2]) for i in range(3)]
print([outcome.result for outcome in map_units(_waits, units, 2, EngineSetting(name=sys.argv[1]), Path(sys.argv[3]))])
"""


def _begun(engine, tmp_path):
    """A driver two of whose units are under way."""
    attempts = tmp_path / "attempts"
    attempts.mkdir()
    words = [sys.executable, "-c", DRIVER, engine, str(attempts), str(tmp_path)]
    driver = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    while len(list(attempts.iterdir())) < 2:
        assert driver.poll() is None
        time.sleep(0.05)
    return driver, attempts


@pytest.mark.slow
def test_jobs_of_a_killed_driver_are_taken_over(tmp_path, slurm):
    driver, attempts = _begun("slurm", tmp_path)
    driver.kill()
    driver.wait()
    (attempts / "go").touch()
    units = [(i, str(attempts)) for i in range(4)]
    outcomes = map_units(_waits, units, 0, EngineSetting(name="slurm"), tmp_path)
    assert sorted(outcome.result for outcome in outcomes) == [0, 1, 2, 3]
    assert sorted(path.name[0] for path in attempts.glob("*-*")) == ["0", "1", "2", "3"]  # each was done once
    assert list((tmp_path / "slurm").glob("*_submitted.pkl")) == []


def test_pickles_of_a_foreign_folder_run_no_code(tmp_path, slurm, monkeypatch):
    """Jobs that an earlier driver seems to have left, waiting or done, whose files run a command when unpickled."""
    from submitit.core.utils import DelayedSubmission

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the jobs run in a folder of their own
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "slurm"
    folder.mkdir()
    units = [(i, str(tmp_path)) for i in range(2)]
    pretended = DelayedSubmission(attempt_elsewhere, _waits, units[0], 1)
    contents = (pickle.dumps(Payload()), pickle.dumps(pretended), b"junk", pickle.dumps(("success", Payload())))
    for number, (submitted, result) in enumerate(itertools.product(contents, contents), 50):
        (folder / f"{number}_0_submitted.pkl").write_bytes(submitted)
        (folder / f"{number}_0_0_result.pkl").write_bytes(result)
    Path("go").touch()
    outcomes = map_units(_waits, units, 0, EngineSetting(name="slurm"), tmp_path)
    assert sorted(outcome.result for outcome in outcomes) == [0, 1]
    assert not Path("pwned").exists()


@pytest.mark.slow
def test_interrupting_cancels_the_jobs(tmp_path, slurm):
    driver, _ = _begun("slurm", tmp_path)
    driver.send_signal(signal.SIGINT)
    driver.wait()
    assert [path.read_text() for path in sorted(slurm.glob("*.state"))] == ["CANCELLED"] * 3


@pytest.mark.slow
def test_workers_on_this_machine_end_with_a_killed_driver(tmp_path):
    driver, _ = _begun("local", tmp_path)
    tasks = Path(f"/proc/{driver.pid}/task").glob("*/children")
    workers = [int(child) for task in tasks for child in task.read_text().split()]
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 10
    while any(_is_running(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(workers) >= 2


def _is_running(pid):
    """Neither gone nor a zombie that nobody has asked for."""
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "local", "address": "auto"}, "`--engine.address` must be left out with --engine local, got auto"),
        ({"name": "ray", "partition": "gpu"}, "`--engine.partition` must be left out with --engine ray"),
        ({"name": "slurm", "sbatch": {"qos": "low"}}, "needs sbatch, srun, sacct, scancel on the PATH"),
        ({"name": "ray", "cpus": 0}, "`--engine.cpus` must be an integer >= 1, got 0"),
    ],
)
def test_wrong_options_are_refused(options, complaint, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(ValueError, match=complaint):
        EngineSetting(**options)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for engine, package in (("ray", "ray"), ("slurm", "submitit")):
        with pytest.raises(ValueError, match=rf"`--engine {engine}` needs the package {package}.*\[{engine}\]"):
            EngineSetting(name=engine)


@pytest.mark.parametrize("package", ["ufm", "deepnet"])
def test_sbatch_that_refuses_is_one_sentence_and_leaves_nothing(tmp_path, slurm, capsys, package):
    (tmp_path / "slurm-bin" / "sbatch").write_text("#!/bin/sh\necho 'invalid partition: nowhere' >&2; exit 1\n")
    asked = GRID if package == "ufm" else "grid --preset small"
    words = [*asked.split(), "--engine", "slurm", "--out", str(tmp_path / "new" / "folder")]
    commands = importlib.import_module(f"{package}.__main__").COMMANDS
    assert main(f"python -m {package}", "", commands, words) == 2
    error = capsys.readouterr().err
    assert "`--engine slurm` must come with options that sbatch takes" in error
    assert "invalid partition: nowhere" in error
    assert "stopped" not in error
    assert not (tmp_path / "new").exists()


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path, ray, capsys):
    words = [*GRID.split(), "--engine", "ray", "--engine.address", "127.0.0.1:1", "--out", str(tmp_path / "scan")]
    assert main("python -m ufm", "", COMMANDS, words) == 2
    assert "`--engine.address` must be a Ray cluster, got 127.0.0.1:1" in capsys.readouterr().err
