"""Every claim holds, its false twin is refused, and its file says what it claims, from where, and how it is shown."""

import importlib
from collections import Counter

import pytest

from theory_checks.listing import THEMES, claims

CLAIMS = claims()
NAMES = [claim.name for claim in CLAIMS]


def rank(claim):
    """The rank of evidence that the docstring states."""
    return claim.text.split("\n\nEvidence: ")[1].split()[0].strip(",.;:")


@pytest.mark.parametrize("claim", CLAIMS, ids=NAMES)
def test_the_claim_holds(claim):
    verdict = importlib.import_module(f"theory_checks.{claim.name}").check()
    assert verdict.holds, [finding.text for finding in verdict.findings if not finding.holds]
    assert verdict.findings
    assert verdict.sizes
    assert verdict.margin is None or verdict.margin > 0
    assert verdict.rigour == rank(claim)
    assert verdict.rigour != "numeric" or (verdict.starts and verdict.worst is not None)


@pytest.mark.parametrize("name", NAMES)
def test_its_false_twin_is_refused(name):
    verdict = importlib.import_module(f"theory_checks.{name}").refuted()
    assert not verdict.holds
    assert any(not finding.holds for finding in verdict.findings)


@pytest.mark.parametrize("claim", CLAIMS, ids=NAMES)
def test_its_file_says_what_from_where_and_how(claim):
    assert claim.sentence.endswith(".")
    assert not claim.sentence.startswith("Source")
    assert any(year in claim.source for year in map(str, range(2020, 2027)))
    assert claim.theme in THEMES
    for heading in ("\n\nEvidence: ", "\n\nFalse twin: "):
        assert claim.text.count(heading) == 1


def test_files_named_in_docstrings_exist():
    for claim in CLAIMS:
        for word in claim.text.split("`")[1::2]:
            assert word in NAMES or "/" in word, f"{claim.name} names {word}"


def test_there_are_enough_of_every_rank():
    ranks = Counter(rank(claim) for claim in CLAIMS)
    assert len(CLAIMS) >= 30
    assert all(ranks[name] >= 6 for name in ("symbolic", "interval", "certificate")), ranks
