"""What the README shows is true: its examples run, its tables are those of the records, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from figures.readme import TABLES, block

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_examples_run():
    namespace: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    for example in blocks:
        exec(example, namespace)
    assert namespace["W"].shape == (200, 5, 8)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_the_records(name):
    assert block(name) in README


def test_the_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link
