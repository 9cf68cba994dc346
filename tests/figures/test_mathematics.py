"""How the page reads mathematics in plain text: every claim as a whole, and what must stay words."""

import json
import re

import pytest

from figures.stored import DATA
from tests.figures.javascript import call

ROWS = json.loads((DATA / "claims.json").read_text())["result"]["rows"]
SENTENCES = [row["claim"]["sentence"] for row in ROWS]
PROSE = [row["claim"]["text"].replace("\n", " ") for row in ROWS]
FINDINGS = [item["text"] for row in ROWS if row["verdict"] for item in row["verdict"]["findings"]]


def read(texts):
    """Of each text: its parts in plain text again, without spaces, and the parts that stayed text."""
    function = """texts => texts.map((text) => {
        const parts = mathParts(text);
        const back = parts.map((part) => (typeof part === "string" ? part : linear(part.tree))).join("");
        const formulas = parts.filter((part) => typeof part !== "string").map((part) => part.source);
        return { back: back.replace(/\\s/g, ""), words: parts.filter((part) => typeof part === "string"), formulas };
    })"""
    return call(("math",), function, texts)


def test_nothing_is_lost_or_added():
    texts = SENTENCES + PROSE + FINDINGS
    for text, found in zip(texts, read(texts), strict=True):
        assert found["back"] == re.sub(r"\s", "", text)


def test_no_plain_mathematics_is_left_in_a_claim():
    for text, found in zip(SENTENCES, read(SENTENCES), strict=True):
        left = " ".join(found["words"])
        assert not re.search(r"[\^|]|\w_\w|sqrt|\b(alpha|gamma|tau|psi|phi)\b", left), text
        assert not re.search(r"[=<>]", left.replace(" = sum over ", "").replace("margins >= 1", "")), text


def test_words_are_no_formulas():
    """Words of two letters or more inside a formula are functions, names that may stand for a number, or indices."""
    functions = "log exp cos diag max min sum prod mean sqrt grad decay decays weight"
    known = set(f"{functions} alpha beta gamma delta mu phi pi psi rho tau theta Sigma".split())
    for found in read(SENTENCES):
        for formula in found["formulas"]:
            words = re.findall(r"(?<![\w_])[A-Za-z]{2,}", re.sub(r"_\w+", "", formula))
            assert set(words) <= known, formula


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("d >= K - 1 suffices", ["d >= K - 1"]),
        ("(K - 1) c < 1, as for |G|_2 <= s", ["(K - 1) c < 1", "|G|_2 <= s"]),
        ("sqrt(K (K - 1)) c < S(1/K) with any bias", ["sqrt(K (K - 1)) c < S(1/K)"]),
        ("the sum_{j != y} e^{z_j} - z_y is", ["sum_{j != y} e^{z_j} - z_y"]),
        ("a margin a > 0 at W a = 0", ["a > 0", "W a = 0"]),
        ("A loss psi(x) and a bias", ["psi(x)"]),
        ("Sigma_W = I (C = 4, n = 10)", ["Sigma_W = I", "(C = 4, n = 10)"]),
        # what only looks like it
        ("A net on a K-gon, e.g. the ray's best", []),
        ("losses (cross entropy) and/or smoothing - two", []),
        ("half_norm and no_sample_is_below_chance", []),
        ("20 to 1000, 0.05 and 1e-4", []),
        ("Zhu et al. (2021), smoothing (0.05), (1, 2)", []),
        ("<b>= 1</b> src=x", []),
        ("K's and |W alone |", []),
        ("twice 2 <G, A B> is an inner product", []),
    ],
)
def test_what_is_read(text, formulas):
    (found,) = read([text])
    assert found["formulas"] == formulas


def test_the_tree_of_a_formula():
    function = "text => mathParts(text)[0].tree"
    tree = call(("math",), function, "|W|^2 <= 1/K")
    bars = ["mrow", ["mo", "|", "fence", "|"], ["mi", "W", "W"], ["mo", "|", "fence", "|"]]
    below = [["mo", "≤", "relation", "<="], ["mn", "1"], ["mo", "/", "infix", "/"], ["mi", "K", "K"]]
    assert tree == ["mrow", ["msup", bars, ["mn", "2"]], *below]


@pytest.mark.parametrize("hostile", ["(" * 11_000, "a + " * 2_900 + "#", "log " * 2_900, "x^{" * 3_900, "(" * 10**6])
def test_text_that_is_made_to_hang_stays_text(hostile):
    (found,) = read([hostile])
    assert found["back"] == re.sub(r"\s", "", hostile)
