"""A reader that leaves early, a closed or full output: record and exit code are those of a command in peace."""

import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path

import pytest

from deepnet.measures.geometry import Simplex
from deepnet.trackers import tracker
from deepnet.training import checkpoint, shapes
from figures.stored import DATA
from theory_checks.__main__ import CHECK, CLAIMS, CheckSetting
from ufm.cli.command import Command, job
from ufm.cli.command_line import main
from ufm.cli.records import write_record
from ufm.cli.showing import forgiving_streams

ROOT = Path(__file__).parent.parent
VERIFY = "ufm verify --loss ce --classes 3 --dim 4 --per-class 2 --starts 4 --saddle-starts 0"
RUN = "--data digits --net mlp --width 0.0625 --per-class 4 --test-per-class 2 --batch-size 10"
COMMANDS = [
    VERIFY,
    "ufm atlas --classes 2 --dim 2 --starts 20 --max-rounds 2 --quiet-rounds 1",
    "ufm atlas-scan --classes 2 --starts 20 --strengths [0.01] --decays-b [0.0] --max-rounds 1 --quiet-rounds 1",
    "ufm atlas-compare --atlases [{inputs}/atlas,{inputs}/atlas]",
    "ufm focal-window --classes 3 --points 3",
    "ufm softmax-codes --dim 2 --classes [3] --starts 2",
    "ufm scan --loss ce --grid.decay 0.01,0.1 --classes 3 --dim 3 --per-class 1 --starts 4 --workers 0",
    "ufm report-card --classes 3 --dim 3 --per-class 1 --starts 4",
    "theory_checks softmax_code_stays_at_one_up_to_2d",
    "theory_checks all",
    f"deepnet train {RUN} --epochs 2",
    "deepnet measure --run {inputs}/run",
    "deepnet compare --runs {inputs}/run",
    f"deepnet grid {RUN} --grid.epochs 1,2 --workers 0",
    "figures all --data {inputs}/data",
    "figures report --data {inputs}/data",
]
OF_THE_MOMENT = ("seconds", "minutes", "images_per_s", "run", "found", "core_minutes")


class Broken(io.TextIOBase):
    """A pipe whose reader has left, or a full disk."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Iterator[Path]:
    """What commands read: a run, an atlas, a record."""
    folder = tmp_path_factory.mktemp("inputs")
    assert call(f"deepnet train {RUN} --epochs 2", folder / "run") == 0
    assert call(COMMANDS[1], folder / "atlas") == 0
    (folder / "data").mkdir()
    shutil.copy(DATA / "atlas.json", folder / "data")
    return folder


def call(request: str, out: Path) -> int:
    package, *words = request.split()
    commands = dict(import_module(f"{package}.__main__").COMMANDS)
    if request == "theory_checks all":
        few = [claim for claim in CLAIMS if claim.name.startswith(("softmax_code_stays", "softmax_code_in"))]
        commands["all"] = Command(CheckSetting, job(CHECK, few))
    return main(f"python -m {package}", "", commands, [*words, "--out", str(out)])


def lasting(value: object) -> object:
    """A result without times and places."""
    if isinstance(value, dict):
        return {key: lasting(entry) for key, entry in value.items() if key not in OF_THE_MOMENT}
    return [lasting(entry) for entry in value] if isinstance(value, list) else value


def result_of(folder: Path) -> object:
    return lasting(json.loads((folder / "record.json").read_text())["result"])


@contextmanager
def broken() -> Iterator[None]:
    pipe, disk = Broken(BrokenPipeError(32, "Broken pipe")), Broken(OSError(28, "No space left on device"))
    with redirect_stdout(pipe), redirect_stderr(disk):
        yield


@pytest.mark.parametrize("request_", COMMANDS, ids=lambda words: "-".join(words.split()[:2]))
def test_record_and_exit_code_do_not_depend_on_the_reader(request_, inputs, tmp_path):
    words = request_.format(inputs=inputs)
    expected = call(words, tmp_path / "peace")
    with broken():
        assert call(words, tmp_path / "broken") == expected
    assert result_of(tmp_path / "broken") == result_of(tmp_path / "peace")
    files = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in tmp_path.iterdir()]
    assert files[0] == files[1]


def log_of_many_steps(folder: Path) -> None:
    log = tracker("csv", folder, {})
    for step in range(99):
        log.log({"x": float(step)}, step)


SHAPE: Simplex = {"class_means": [[1.0] * 99], "W": [], "spread": [], "seen": 1.0}
WRITERS: dict[str, Callable[[Path], object]] = {
    "record.json": lambda folder: write_record(folder / "record.json", {}, {"x": [1.0] * 99}),
    checkpoint.METRICS: lambda folder: checkpoint.append_metrics(folder, {"x": dict.fromkeys(map(str, range(99)), 1)}),
    shapes.FILE: lambda folder: shapes.append(folder, 1, SHAPE),
    "log.csv": log_of_many_steps,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_cannot_be_written_is_named(name, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match=rf"File too large: '.*/{name}'"):
            WRITERS[name](tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def shell(script: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("| head -1", ""),
        pytest.param(">&-", "", marks=pytest.mark.slow),  # as the next
        (">&- 2>&- <&-", ""),
        pytest.param(
            "> /dev/full",
            "python -m ufm: standard output cannot be written (No space left on device); nothing else is affected.\n",
            marks=pytest.mark.slow,
        ),
        pytest.param("> /dev/full 2>&1", "", marks=pytest.mark.slow),  # as with broken streams above
    ],
)
def test_a_shell_sees_the_verdict(end, said, tmp_path):
    done = shell(f"$PYTHON -m {VERIFY} --out {tmp_path / 'out'} {end}; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, said)
    result = json.loads((tmp_path / "out" / "record.json").read_text())["result"]
    assert result["is_complete"] is True
    assert result["holds"] is True


@pytest.mark.parametrize("words", ["--help", "--version", "verify --help"])
def test_help_into_a_pipe_without_a_reader(words):
    done = shell(f"set -o pipefail; $PYTHON -m ufm {words} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_request_stays_one_without_a_reader(tmp_path):
    assert shell(f"$PYTHON -m {VERIFY} --starts 0 --out {tmp_path / 'out'} 2> /dev/full").returncode == 2


def test_what_a_stream_can_do_is_left_alone(capsys):
    with forgiving_streams("test"):
        print("a", "b", flush=True)
        assert sys.stdout.writable()
        assert sys.stdout.encoding.lower() == "utf-8"
    assert capsys.readouterr().out == "a b\n"


def test_an_output_that_is_closed_or_none_is_silent():
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        with redirect_stdout(stream), forgiving_streams("test"):
            print("a", flush=True)
