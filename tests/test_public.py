"""What users import from the top of the packages, and the programs that an installation brings."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ufm
from ufm import simplex_etf
from ufm.cli.records import write_record
from ufm.start import PROGRAMS


@pytest.mark.parametrize("package", ["ufm", "deepnet", "deepnet.nn", "theory_checks"])
def test_every_public_name_is_the_one_that_its_module_defines(package):
    module = importlib.import_module(package)
    names = {name: f"{package}.{home}" for home, listed in module.HOMES.items() for name in listed}
    rooms = getattr(module, "ROOMS", [])
    assert sorted([*names, *rooms]) == module.__all__ == dir(module)
    assert all(getattr(module, room) is importlib.import_module(f"{package}.{room}") for room in rooms)
    for name, home in names.items():
        found = getattr(module, name)
        assert found is getattr(importlib.import_module(home), name)
        assert found.__module__ == home  # where it is defined, not where it happens to be imported
        assert found.__doc__


@pytest.mark.parametrize("package", ["ufm", "deepnet", "deepnet.nn", "theory_checks"])
def test_type_checkers_see_the_names_that_are_imported_later(package):
    """A twin under TYPE_CHECKING for each, and none more."""
    module = importlib.import_module(package)
    lines = Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()
    twins = {tuple(line.split()[1::2]) for line in lines if line.startswith("    from ")}
    names = {(f"{package}.{home}", name, name) for home, names in module.HOMES.items() for name in names}
    assert names | {(package, room, room) for room in getattr(module, "ROOMS", [])} == twins
    assert (Path(str(module.__file__)).parents[package.count(".")] / "py.typed").exists()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No ufm attribute minimize"):
        ufm.minimize  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("ufm.minimize")


def test_star_import_in_a_fresh_process_and_nothing_heavy_before():
    code = "import sys, ufm, deepnet, theory_checks; assert not {'torch', 'numpy', 'numba'} & {*sys.modules}\n"
    code += "import tests.lacking_operators; from ufm import *; from deepnet import *; from theory_checks import *\n"
    code += "print(Problem.__name__, train.__name__, check.__name__, len(claims()) > 50)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Problem train check True\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_in_a_folder_full_of_files_of_our_names(tmp_path, program):
    for name in PROGRAMS.values():
        (tmp_path / f"{name}.py").write_text("raise SystemExit(77)\n")
    (tmp_path / "deepnet").mkdir()
    (tmp_path / "deepnet" / "__init__.py").write_text("raise SystemExit(78)\n")
    found = Path(sys.executable).parent / program
    if not found.exists():
        pytest.skip("the project is not installed beside this Python")
    done = subprocess.run([found, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{program} {ufm.__version__}\n", "")
    done = subprocess.run([found, "--nonsense"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{program}: `")


@pytest.mark.parametrize(
    ("path", "package"), [*PROGRAMS.items(), ("ufm.exe", "ufm"), ("theory_checks/__main__.py",) * 2]
)
def test_the_record_of_a_program_has_the_command_that_python_takes(tmp_path, monkeypatch, path, package):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys, "argv", [f"/somewhere/bin/{path}", "report", "--out", "two words"])
    record = json.loads(write_record(tmp_path / "record.json", {}, {}).read_text())
    assert record["command"] == f"python -m {Path(package).parts[0]} report --out 'two words'"


def test_a_program_finds_a_module_of_the_users(tmp_path):
    (tmp_path / "mine.py").write_text("from ufm import CrossEntropy\nclass Mine(CrossEntropy):\n    pass\n")
    (tmp_path / "figures.py").write_text("raise SystemExit(77)\n")
    found = Path(sys.executable).parent / "ufm"
    if not found.exists():
        pytest.skip("the project is not installed beside this Python")
    size = ["--classes", "3", "--dim", "3", "--per-class", "1", "--starts", "5"]
    command = [found, "report-card", "--loss", "mine.Mine", *size, "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "report_card.png").exists()


@pytest.mark.parametrize(("K", "d"), [(2, 1), (3, 2), (5, 9), (40, 39)])
def test_the_simplex_has_unit_rows_with_equal_cosines_that_add_up_to_zero(K, d):
    found = simplex_etf(K, d).numpy()
    expected = (K * np.eye(K) - 1) / (K - 1)
    assert found.shape == (K, d)
    assert np.abs(found @ found.T - expected).max() < 1e-14 * K
    assert np.abs(found.sum(0)).max() < 1e-14 * K


def test_a_simplex_that_does_not_fit_is_refused():
    with pytest.raises(ufm.RequestError, match=r"`d` must be >= 4, what a simplex of 5 vectors spans, got 3"):
        simplex_etf(5, 3)
