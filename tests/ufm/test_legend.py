"""Legends: every name that a table may print has its sentence, which stands below the table when it is asked for."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import deepnet
import ufm.collapse
from deepnet.__main__ import COMMANDS
from figures.stored import DATA
from ufm import legend
from ufm.cli.command_line import main
from ufm.cli.table import console, table
from ufm.cli.words import CLAIMS
from ufm.legend import explained, meaning
from ufm.verify import report

ROOT = Path(ufm.collapse.__file__).parent


def test_every_claim_of_verify_has_its_sentence():
    assert [words.terminal for words in CLAIMS.values() if not meaning(words.terminal, "claims")] == []
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in DATA.glob("verify*.json")]
    assert {name for record in stored for each in record["result"]["verdicts"] for name in each["claims"]} <= {*CLAIMS}


def test_tables_of_where_starts_end_are_explained():
    for made in (report._elsewhere_table([]), report._found_table([])):
        assert [name for name in made.names if not meaning(name, made.section)] == []


def test_every_metric_of_the_page_and_measure_of_a_run_has_its_sentence():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    assert len(names) > 12
    assert {*names} == {*legend.COLLAPSE}
    measured = [json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")) for name in ("train", "train_mse")]
    names = {name for record in measured for line in record["result"]["metrics"] for name in line.get("train", {})}
    names |= {"margin_2", "tag_wise_cosine"}
    assert [name for name in names if not meaning(name, "measures")] == []
    page += Path(deepnet.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []


def test_no_sentence_is_written_twice():
    parts = [legend.COLLAPSE, legend.RANKS, legend.SHARED, *legend.SECTIONS.values()]
    sentences = [words for part in parts for words in part.values()]
    assert len({*sentences}) == len(sentences)
    assert {*legend.SAME.values()} <= {*legend.COLLAPSE}


def test_a_name_without_a_sentence_is_found():
    made = table("one", "claim", "nc1_pinv", "nonsense", "ce", left=["claim"], named=["claim"], own=["ce"])
    made.add_row("another", "1", "2", "3")
    assert [name for name in made.names if not meaning(name, made.section)] == ["nonsense", "another"]


def test_a_section_comes_before_what_is_shared():
    assert meaning("zero", "scan") != meaning("zero")
    assert meaning("share etf", "card") == meaning("share zero", "card")


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_legend_stands_below_the_first_table_with_a_name(is_asked, capsys):
    with explained(is_asked):
        for _ in range(2):
            made = table("one", "", "rank", left=[""], named=[""])
            made.add_row("nc1_trace", "2")
            console().print(made)
    text = capsys.readouterr().out
    assert text.count(legend.COLLAPSE["nc1_trace"]) == text.count("rank: ") == int(is_asked)
    assert text.count("nc1_trace") == 2 + is_asked


def test_the_option_explains_and_is_in_no_record(tmp_path, capsys):
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "some.npz", features=draw.normal(size=(30, 4)), labels=np.arange(30) % 3)
    settings = []
    for words in (["--explain"], ["--explain", "true"], ["--explain", "false"]):
        folder = tmp_path / "".join(words)
        assert main("it", "", COMMANDS, ["evaluate", str(tmp_path / "some.npz"), *words, "--out", str(folder)]) == 0
        assert (legend.COLLAPSE["nc1_cdnv"] in " ".join(capsys.readouterr().out.split())) == ("false" not in words)
        settings.append(json.loads((folder / "record.json").read_text(encoding="utf-8"))["setting"])
    assert all("explain" not in setting for setting in settings)
