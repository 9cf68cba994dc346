from figures.claims import draw
from ufm.cli.words import margin_text


def row(name, verdict, holds):
    return {
        "claim": {"name": name, "source": "Zhou et al. 2022 (all losses)"},
        "seconds": 0.5,
        "verdict": verdict,
        "holds": holds,
    }


def test_it_draws_claims_that_hold_fail_and_were_not_run(tmp_path):
    digits = {"rigour": "numeric", "margin": 2.04, "margin_is": "decimal digits of something"}
    exact = {"rigour": "symbolic", "margin": None, "margin_is": "exact"}
    rows = [row("a_claim", digits, True), row("another", exact, False), row("third", None, False)]
    assert draw({"result": {"rows": rows}}, tmp_path / "picture.png").stat().st_size > 5000
    texts = [margin_text(verdict["margin"], verdict["margin_is"]) for verdict in (digits, exact)]
    assert texts == ["2.0 digits", "exact"]


def test_a_margin_that_is_not_a_number_is_not_exact():
    assert margin_text(None, "decimal digits of something") == "not a number"
