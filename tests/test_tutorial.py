"""The tutorial does what it says: its commands one after the other, its examples as doctests."""

import doctest
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = [
    command
    for block in re.findall(r"^```bash\n(.*?)^```", (ROOT / "TUTORIAL.md").read_text(), re.MULTILINE | re.DOTALL)
    for command in block.splitlines()
]


def test_its_examples():
    found = doctest.testfile(str(ROOT / "TUTORIAL.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted >= 20
    assert found.failed == 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_its_commands(tmp_path):
    """Exit code 1 is an answer too: the two atlases differ, say."""
    assert len(COMMANDS) >= 9
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in COMMANDS:
        began = time.monotonic()
        words = command.replace("python ", f"{sys.executable} ", 1)
        done = subprocess.run(
            words, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        print(f"{time.monotonic() - began:6.1f} s  exit code {done.returncode}  {command}")
        allowed = (0, 1) if "atlas-compare" in command else (0,)
        assert done.returncode in allowed, done.stdout + done.stderr
    records = {path.parent.name for path in (tmp_path / "results").glob("*/record.json")}
    pictures = {path.parent.name for path in (tmp_path / "results").glob("*/*.png")}
    assert records == {"verify", "card", "ce", "ls", "compared", "scan", "digits", "network", "claim"}
    assert records - pictures == {"compared"}
