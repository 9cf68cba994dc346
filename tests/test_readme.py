"""What README and pages show is true: examples run, tables are those of the records, links lead somewhere."""

import importlib
import os
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from figures.readme import PAGES, PLACE, pictures, with_tables
from figures.stored import DATA
from ufm.cli.command_line import main
from ufm.cli.records import read_record

ROOT = Path(__file__).parent.parent
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
MOST_LINES = 250
"""Of the README: what a reader holds in the head; the rest is on the pages."""


def blocks(text, language):
    """What stands between fences of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def anchors(text):
    """The links to the headings of a page."""
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page, text in TEXTS.items() if blocks(text, "python")])
def test_the_examples_of_a_page_run_from_top_to_bottom(page):
    namespace: dict = {}
    for example in blocks(TEXTS[page], "python"):
        exec(example, namespace)
    assert "end" not in namespace or namespace["end"].is_converged.all()


COMMANDS = [
    (page, command)
    for page, text in TEXTS.items()
    for block in blocks(text, "bash")
    for command in re.sub(r" +#.*", "", block.replace("\\\n", " ")).splitlines()
    if command.strip().startswith("python -m")
]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_the_commands_are_understood(page, command, capsys):
    words = shlex.split(command.replace("${loss%% *}", "ce").replace("$loss", "ce").replace("$seed", "0"))
    package = importlib.import_module(f"{words[2]}.__main__")
    with pytest.raises(SystemExit) as done:
        main(words[2], "", package.COMMANDS, [*words[3:], "--print_config"])
    assert done.value.code == 0, capsys.readouterr().err


def test_no_command_finds_the_folder_of_another():
    """Who follows the pages from top to bottom is not refused: a folder must be new, or of the same request."""
    folders = {command.strip(): re.search(r"--out (\S+)", command) for _, command in COMMANDS}
    shared = Counter(found[1] for command, found in folders.items() if found and "--resume" not in command)
    assert [folder for folder, count in shared.items() if count > 1] == []


PLACES = [(page, found[0]) for page, text in TEXTS.items() for found in PLACE.finditer(text)]


@pytest.mark.parametrize(("page", "place"), PLACES, ids=[f"{page}: {place[:30]}" for page, place in PLACES])
def test_the_tables_are_those_of_the_records(page, place):
    assert with_tables(place, page) == place


def test_every_table_has_a_place():
    markers = [name for text in TEXTS.values() for name in re.findall(r"^<!-- (?!end)(\w+)", text, re.MULTILINE)]
    assert [found["table"] for text in TEXTS.values() for found in PLACE.finditer(text)] == markers
    tables = {path.stem for path in (ROOT / "figures" / "tables").glob("*.py")} - {"__init__", "markdown"}
    assert set(markers) == tables


def test_every_picture_of_the_gallery_is_shown():
    shown = {name for text in TEXTS.values() for name in pictures(text)}
    assert {path.stem for path in (ROOT / "figures" / "gallery").glob("*.png")} == shown


@pytest.mark.parametrize("page", [*PAGES, "TUTORIAL.md", "CONTRIBUTING.md"])
def test_the_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = Path(os.path.normpath(ROOT / Path(page).parent / path)) if path else ROOT / page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_readme_is_short_and_leads_to_every_page():
    readme = TEXTS["README.md"]
    assert len(readme.splitlines()) <= MOST_LINES
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", readme)}
    assert {*PAGES[1:], "TUTORIAL.md", "CONTRIBUTING.md"} <= links


def result(name):
    """Of a stored record."""
    return read_record(DATA / f"{name}.json")["result"]


def _residuals(conditions, statistics):
    means = [condition["stationarity"][statistics]["mean"] for condition in conditions]
    return f"{min(means):.2g} to {max(means):.2g}"


def _cka(record, split):
    pairs = [pair["cka"]["mean"] for pair in record["networks"][0]["similarity"] if pair["split"] == split]
    return f"{min(pairs):.2g} to {max(pairs):.2g}"


def _worst_transfer(name):
    """Of the plain model, over both nets: the largest of the errors in brackets."""
    errors = [each for which in ("compare", "compare_mlp") for each in result(which)["networks"][0]["transfer_errors"]]
    plain = [each["worst"][name] for each in errors if each["depth"] == 1 and not each["is_fitted"]]
    return max(value for value in plain if value is not None)


def _blocks(record, is_squared_error):
    """The terminal blocks that the runs with that loss, or with the others, took."""
    runs = [run for run in result(record)["runs"] if (run["run_setting"]["loss"]["name"] == "mse") == is_squared_error]
    return {run["epoch"] - run["run_setting"]["epochs"] for run in runs}


def _before_and_after():
    """Outcomes of the statements that were judged again with a last layer that is stationary."""
    again = [each for path in DATA.glob("experiments_*.json") for each in result(path.stem)["experiments"]]
    names = {each["name"] for each in again}
    before = [each for each in result("experiments")["experiments"] if each["name"] in names]
    return [Counter(row["outcome"] for each in those for row in each["statements"]) for those in (before, again)]


def facts():
    """What the prose says in numbers, made from the records (of measured nets and of report cards)."""
    resnet = result("compare")
    conditions = resnet["networks"][0]["conditions"]
    focal = next(condition for condition in conditions if condition["loss"]["name"] == "focal")
    cosines = [pair["mean_cosine"]["mean"] for pair in resnet["networks"][0]["similarity"] if pair["split"] == "train"]
    zero = {name: result(f"report_card_{name}")["zero_stable"] for name in ("ce", "poly1", "gce")}
    sooner = next(each for each in result("experiments")["experiments"] if "label_smoothing" in each["name"])
    yield f"nearly with focal loss (NC1 trace {focal['nc1_trace']['mean']:.2g})"
    yield f"(residual {_residuals(conditions, 'running')})"
    yield f"by batch statistics ({_residuals(conditions, 'batch')})"
    yield f"margins miss by {_worst_transfer('margin'):.0%} at most".replace("%", " %")
    yield f"|w| by {_worst_transfer('|w|'):.0%}, |h| by up to {_worst_transfer('|h|'):.0%}".replace("%", " %")
    yield f"the training loss by up to a factor of {1 + _worst_transfer('training loss'):.0f}"
    yield f"(mean cosine at least {min(cosines):.3f}, CKA {_cka(resnet, 'train')})"
    yield f"(CKA {_cka(resnet, 'test')}, the same class for a third)"
    yield f"| cross entropy | + | + | + | ETF | {zero['ce']:.3f} |"
    yield f"| Poly-1 | + | + | + | ETF | {zero['poly1']:.3f} |"
    yield f"some partly collapsed | {zero['gce']:.3f} |"
    ratios, by_trace = (sooner["statements"][number] for number in (0, 1))
    least, most = min(ratios["measured"]), max(ratios["measured"])
    yield f"({least:.2g} to {most:.2g} of the epochs); by the trace form it is not decided"
    assert (ratios["outcome"], by_trace["outcome"]) == ("showed", "not decided")
    before, after = _before_and_after()
    yield f"Of the {before.total()} statements {before['showed']} showed above, {before['did not show']} did not"
    yield f"now {after['showed']} show, {after['did not show']} does not and {after['not decided']} are not decided"
    codes = next(each for each in result("experiments")["experiments"] if "classes_than_dim" in each["name"])
    yield "{:.2f}, {:.2f}, {:.2f} and {:.2f} before)".format(
        *(row["mean"] for row in codes["statements"] if row["predicted"])
    )
    softmax = _blocks("compare_terminal", False) | _blocks("compare_terminal_cifar", False)
    yield "The softmax losses took {} or {} blocks".format(*sorted(softmax))
    yield "Squared error took {} on digits".format(*_blocks("compare_terminal", True))
    yield "stopped after {} to {}".format(*sorted(_blocks("compare_terminal_cifar", True)))


def test_the_prose_says_what_the_records_say():
    prose = " ".join(word for text in TEXTS.values() for word in text.split())
    assert [fact for fact in facts() if fact not in prose] == []
