"""What a command refuses: exit code 2, one sentence with argument, value and what is allowed, nothing written.

Every line of a file in `bad_requests/` is a request and (the beginning of) the sentence, with ` => ` between. Names of
files are those of `damaged_files`; `<losses>` stands for all names of losses, and so on.
"""

import importlib
import shlex
from pathlib import Path

import pytest

from deepnet.data.load import DATA_SETS
from deepnet.nets.heads import HEADS
from deepnet.nets.nets import NETS
from tests.damaged_files import write_all
from ufm.cli.command_line import main
from ufm.specs import LOSS_NAMES
from ufm.theory.model_choice import MODELS

FILES = sorted((Path(__file__).parent / "bad_requests").glob("*.txt"))
REQUESTS = [tuple(line.split(" => ")) for path in FILES for line in path.read_text().splitlines()]
REGISTRIES = {"losses": LOSS_NAMES, "models": MODELS, "data sets": DATA_SETS, "nets": NETS, "heads": HEADS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("damaged")
    write_all(path)
    return path


def listing(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize(("request_", "sentence"), REQUESTS, ids=[request for request, _ in REQUESTS])
def test_a_bad_request_is_refused(folder, monkeypatch, capsys, request_, sentence):
    monkeypatch.chdir(folder)
    before = listing(folder)
    package, *words = shlex.split(request_)
    try:
        code = main(f"python -m {package}", "", importlib.import_module(f"{package}.__main__").COMMANDS, words)
    except SystemExit as done:
        code = done.code
    output = capsys.readouterr()
    for name, registry in REGISTRIES.items():
        sentence = sentence.replace(f"<{name}>", ", ".join(registry))
    assert sentence in output.err
    assert output.err.startswith(f"python -m {package}")
    assert len(output.err.splitlines()) == 1
    assert (code, output.out) == (2, "")
    assert listing(folder) == before


def test_there_are_enough():
    assert len({request for request, _ in REQUESTS}) == len(REQUESTS) >= 100
