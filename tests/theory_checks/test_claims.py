"""Every file says what it claims, from where, and how it is shown."""

import re

import pytest

from theory_checks.listing import THEMES, claims

CLAIMS = claims()
NAMES = [claim.name for claim in CLAIMS]


@pytest.mark.parametrize("claim", CLAIMS, ids=NAMES)
def test_its_file_says_what_from_where_and_how(claim):
    assert claim.sentence.endswith(".")
    assert not claim.sentence.startswith("Source")
    assert re.search(r"\b(19|20)\d\d\b", claim.source)
    assert claim.theme in THEMES
    for heading in ("\n\nEvidence: ", "\n\nFalse twin: "):
        assert claim.text.count(heading) == 1


def test_files_named_in_docstrings_exist():
    for claim in CLAIMS:
        for word in claim.text.split("`")[1::2]:
            assert word in NAMES or "/" in word, f"{claim.name} names {word}"
