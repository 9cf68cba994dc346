"""A process of ours, whatever the user's folder, environment and notebook have in store."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot

from theory_checks.__main__ import COMMANDS as CLAIMS
from ufm import start
from ufm.cli.command_line import main

ROOT = Path(__file__).parent.parent
CLAIM = "label_smoothing_closed_form"
MATPLOTLIBRC = "text.usetex: True\nsavefig.format: svg\naxes.unicode_minus: False\nfigure.autolayout: True\n"


def run(folder, *words, **environment):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["ufm", "deepnet", "figures", "theory_checks"])
def test_a_users_file_of_the_same_name_is_not_taken_for_ours(tmp_path, package):
    others = {"ufm", "deepnet", "figures", "theory_checks"} - {package}
    for name in others:
        (tmp_path / f"{name}.py").write_text("raise SystemExit(77)\n")
    done = run(tmp_path, package, "--version", PYTHONSAFEPATH="")
    assert (done.returncode, done.stderr) == (0, "")
    if package == "theory_checks":
        done = run(tmp_path, package, CLAIM, "--out", "out")
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "out" / "claims.png").exists()


def test_within_a_users_program_a_stranger_is_named_before_the_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "figures.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [each for each in sys.modules if each.partition(".")[0] == "figures"]:
        monkeypatch.delitem(sys.modules, name)
    assert main("it", "", CLAIMS, [CLAIM, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"it: `{tmp_path / 'figures.py'}` must have another name")
    assert not (tmp_path / "out").exists()


def test_nothing_happens_to_a_program_that_imports_us():
    before = signal.getsignal(signal.SIGINT), list(sys.meta_path), os.environ.get("MPLBACKEND")
    start.begin("some.module", "it")
    assert (signal.getsignal(signal.SIGINT), list(sys.meta_path), os.environ.get("MPLBACKEND")) == before


@pytest.mark.parametrize("package", ["ufm", "deepnet", "figures", "theory_checks"])
def test_ctrl_c_while_we_are_imported_is_one_sentence(package):
    """Struck at the first import after the handler's, which is the widest part of the time before a command runs."""
    strike = "import builtins, signal, runpy, sys; old = builtins.__import__\n"
    strike += "def new(name, *rest, **more):\n"
    strike += "    if name == 'ufm.cli.command_line': builtins.__import__ = old; signal.raise_signal(signal.SIGINT)\n"
    strike += "    return old(name, *rest, **more)\n"
    strike += "signal.signal(signal.SIGINT, signal.default_int_handler); builtins.__import__ = new\n"
    strike += f"runpy.run_module('{package}', run_name='__main__')"
    command = [sys.executable, "-c", strike]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, f"python -m {package}: interrupted.\n")


@pytest.mark.parametrize(
    "environment",
    [{"MPLBACKEND": "module://nowhere.at_all"}, {"MPLBACKEND": "nonsense"}, {"MATPLOTLIBRC": "matplotlibrc"}],
)
def test_a_command_draws_whatever_the_users_matplotlib_is_told(tmp_path, environment):
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    done = run(tmp_path, "theory_checks", CLAIM, "--out", "out", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "claims.png").read_bytes().startswith(b"\x89PNG")


def test_a_command_within_a_notebook_leaves_its_plots_alone(tmp_path):
    with matplotlib.rc_context({"font.size": 23, "backend": "svg"}):
        figure, _ = pyplot.subplots()
        before = dict(matplotlib.rcParams), matplotlib.get_backend(), pyplot.get_fignums()
        assert main("it", "", CLAIMS, [CLAIM, "--out", str(tmp_path / "out")]) == 0
        assert (dict(matplotlib.rcParams), matplotlib.get_backend(), pyplot.get_fignums()) == before
        pyplot.close(figure)


@pytest.mark.slow
def test_loops_are_compiled_whatever_numba_is_told(tmp_path):
    size = [
        "--loss",
        "focal",
        "--classes",
        "3",
        "--dim",
        "3",
        "--per-class",
        "1",
        "--starts",
        "5",
        "--saddle-starts",
        "0",
    ]
    told = {"NUMBA_DISABLE_JIT": "1", "NUMBA_CACHE_DIR": str(tmp_path / "empty")}
    done = run(tmp_path, "ufm", "verify", *size, "--out", "out", **told)
    assert (done.returncode, done.stderr) == (0, "")
    code = "import ufm.model.losses"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | told, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].endswith(
        "`NUMBA_DISABLE_JIT` must be 0 or not set: these loops run compiled only, got 1."
    )


def test_our_finder_needs_no_module_that_it_finds():
    """An editable installation loads `importlib.machinery` beforehand, one of a wheel does not."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ufm import start; "
    code += "sys.modules.pop('importlib.machinery', None); start.begin('__main__', 'ufm'); import colorsys"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("package", ["ufm", "deepnet"])
def test_a_current_folder_that_is_gone_is_named(tmp_path, package):
    (tmp_path / "gone").mkdir()
    code = f"cd {tmp_path / 'gone'}; rmdir ../gone; {sys.executable} -m {package} --version"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, check=False)
    sentence = f"python -m {package}: the current folder must be one that is there and can be read, got "
    assert (done.returncode, done.stderr) == (2, f"{sentence}No such file or directory.\n")
