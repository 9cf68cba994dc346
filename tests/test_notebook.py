"""TUTORIAL.ipynb runs from top to bottom, and shows tables and pictures where the stored one does.

`jupyter execute --inplace TUTORIAL.ipynb` stores what it shows anew.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "TUTORIAL.ipynb"
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], 4)
notebook.cells += [nbformat.v4.new_code_cell(source) for source in sys.argv[2:]]
NotebookClient(notebook, timeout=300).execute()
nbformat.write(notebook, "done.ipynb")
"""
A_COMMAND = """
from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main

size = ["--classes", "3", "--dim", "3", "--starts", "6", "--saddle-starts", "6", "--loss", "ce"]
main("ufm", "", COMMANDS, ["verify", *size, "--out", "out"])
"""


def kinds(notebook: dict) -> list[list[str]]:
    """Of each code cell, what its outputs are."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [[each for each in cell["outputs"] if each["output_type"] != "stream"] for cell in cells]
    return [
        [kind for each in found for kind in sorted(each.get("data", {each["output_type"]: ""}))] for found in outputs
    ]


def test_the_stored_notebook_shows_tables_and_pictures():
    text = NOTEBOOK.read_text(encoding="utf-8")
    found = [kind for cell in kinds(json.loads(text)) for kind in cell]
    assert found.count("image/png") == 4
    assert found.count("text/html") == 5
    assert "error" not in found
    assert not {"/tmp/", "/home/", "/root/", "Warning"} & {
        word for word in ("/tmp/", "/home/", "/root/", "Warning") if word in text
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs_and_pictures_are_shown_after_commands_too(tmp_path):
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    plots = "plt.plot([1, 2])\nprint(plt.get_backend())"
    words = [sys.executable, "-c", EXECUTE, str(NOTEBOOK), A_COMMAND, plots]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ran = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))
    *own, command, last = kinds(ran)
    assert own == kinds(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
    assert "image/png" in last
    assert (tmp_path / "out" / "record.json").exists()
    assert "text/html" in command
    has_widgets = find_spec("ipywidgets") is not None
    assert ("application/vnd.jupyter.widget-view+json" in command) == has_widgets  # of progress
