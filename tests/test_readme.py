"""What the README shows is true: its examples run, its tables are those of the records, its links lead somewhere."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from figures.readme import PLACE, with_tables
from figures.stored import DATA
from ufm.cli.command_line import main
from ufm.cli.records import read_record

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
    yield f"({min(ratios['measured']):.2g} to {max(ratios['measured']):.2g} of the epochs), not by the trace form"
    assert (ratios["outcome"], by_trace["outcome"]) == ("showed", "not decided")


def test_the_prose_says_what_the_records_say():
    prose = " ".join(README.split())
    assert [fact for fact in facts() if fact not in prose] == []
