"""What the README shows is true: its examples run, its tables are those of the records, its links lead somewhere."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from figures.readme import PLACE, with_tables
from ufm.command_line import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_examples_run():
    namespace: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    for example in blocks:
        exec(example, namespace)
    assert namespace["W"].shape == (200, 5, 8)


COMMANDS = [
    command
    for text in re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for command in re.sub(r" +#.*", "", text.replace("\\\n", " ")).splitlines()
    if command.strip().startswith("python -m")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command, capsys):
    words = shlex.split(command.replace("${loss%% *}", "ce").replace("$loss", "ce").replace("$seed", "0"))
    package = importlib.import_module(f"{words[2]}.__main__")
    with pytest.raises(SystemExit) as done:
        main(words[2], "", package.COMMANDS, [*words[3:], "--print_config"])
    assert done.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("place", [found[0] for found in PLACE.finditer(README)], ids=lambda place: place[:30])
def test_the_tables_are_those_of_the_records(place):
    assert with_tables(place) == place


def test_every_table_has_a_place():
    markers = re.findall(r"^<!-- (?!end)(\w+)", README, re.MULTILINE)
    assert [found["table"] for found in PLACE.finditer(README)] == markers
    tables = {path.stem for path in (ROOT / "figures" / "tables").glob("*.py")} - {"__init__", "markdown"}
    assert set(markers) == tables


def test_the_links_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    anchors = {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert any(link.startswith("#") for link in links)
    for link in links:
        assert link.startswith("https://") or link in anchors or (ROOT / link).exists(), link
