import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from theory_checks import __main__ as command
from theory_checks import job, listing
from theory_checks.listing import Claim, Row, claims, run, run_all
from theory_checks.notation import NOTATION, symbols_in
from ufm.cli.command_line import main

ROOT = Path(__file__).parents[2]
FAST = "softmax_code_stays_at_one_up_to_2d"


def call(*argv):
    return main("python -m theory_checks", "", command.COMMANDS, list(argv))


def test_one_claim_is_shown_with_its_evidence_and_recorded(tmp_path, capsys):
    assert call(FAST, "--out", str(tmp_path / "out"), "--json", str(tmp_path / "claim.json")) == 0
    printed = capsys.readouterr().out
    assert "Radon" in printed
    assert "yes  the weighted mean" in printed
    record = json.loads((tmp_path / "claim.json").read_text())
    assert record["result"]["holds"] is True
    assert [row["claim"]["name"] for row in record["result"]["rows"]] == [FAST]
    assert (tmp_path / "out" / "claims.png").stat().st_size > 5000


def test_one_claim_says_what_its_symbols_are_and_that_its_twin_was_refused_just_now(monkeypatch, tmp_path, capsys):
    name = "softmax_losses_are_contrastive"
    assert call(name, "--out", str(tmp_path / "a")) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^    K +the number of classes$", printed, re.MULTILINE)
    assert "p_infl" not in printed  # not a symbol of this claim
    assert re.search(r"^false twin: refused just now, at: \w", printed, re.MULTILINE)
    module = importlib.import_module(f"theory_checks.{name}")
    monkeypatch.setattr(module, "refuted", module.check)  # a check that cannot tell them apart
    assert call(name, "--out", str(tmp_path / "b")) == 1
    assert "false twin: NOT REFUSED" in capsys.readouterr().out
    monkeypatch.setattr(module, "refuted", lambda: 1 / 0)
    assert call(name, "--out", str(tmp_path / "c")) == 0
    assert "false twin: not run just now: ZeroDivisionError" in capsys.readouterr().out


def test_symbols_are_found_as_symbols():
    assert symbols_in("a cat's 8 x 8 image, |x| < 1 and x_N <= c") == {name: NOTATION[name] for name in ("c",)} | {
        "x": NOTATION["x"]
    }
    assert set(symbols_in("G'1 = 0, |Z|_* and p_y")) == {"G", "Z", "A'", "|A|_*", "p_y"}


def test_without_a_name_all_are_meant():
    assert [name for name, entry in command.COMMANDS.items() if entry.is_default] == ["all"]
    assert set(command.COMMANDS) == {"all"} | {claim.name for claim in claims()}


def test_an_unknown_claim_is_refused_in_one_sentence(capsys):
    with pytest.raises(SystemExit) as done:
        call("no_such_claim")
    assert done.value.code == 2
    assert "no_such_claim" in capsys.readouterr().err


def test_existing_files_are_not_overwritten(tmp_path):
    (tmp_path / "claim.json").write_text("mine")
    assert call(FAST, "--json", str(tmp_path / "claim.json")) == 2
    assert (tmp_path / "claim.json").read_text() == "mine"


def test_a_missing_solver_is_not_run_and_never_counted_as_holding(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.delitem(sys.modules, "theory_checks.intervals", raising=False)
    assert call("focal_has_one_margin_up_to_17_classes", "--out", str(tmp_path / "out")) == 1
    assert "not run: ModuleNotFoundError" in capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "record.json").read_text())["result"]
    assert result["holds"] is False
    assert result["rows"][0]["verdict"] is None


def test_a_check_that_crashes_is_reported_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    broken = Claim("no_such_file", "A claim.", "minimisers", "Nobody 2020", "")
    sound = next(claim for claim in claims() if claim.name == FAST)
    monkeypatch.setattr(listing, "_cores", lambda: 1)
    rows = {row.claim.name: row for row in run_all([broken, sound])}
    assert rows[FAST].holds
    assert "ModuleNotFoundError" in rows["no_such_file"].not_run
    monkeypatch.setattr(job, "run_all", lambda claims: iter([run(claim) for claim in claims]))
    setting = command.CheckSetting(out=tmp_path / "out")
    assert job.Check([broken, sound], setting).run() == 1
    assert "1 hold, 0 fail, 1 not run" in capsys.readouterr().out


def test_what_is_finished_when_interrupted_is_shown_and_recorded(monkeypatch, tmp_path, capsys):
    first, second = claims()[:2]

    def interrupted(claims):
        yield Row(first, 0.1, not_run="for the test")
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "run_all", interrupted)
    assert job.Check([first, second], command.CheckSetting(out=tmp_path / "out")).run() == 130
    rows = json.loads((tmp_path / "out" / "record.json").read_text())["result"]["rows"]
    assert [row["not_run"] for row in rows] == ["for the test", "interrupted"]


def run_or_die(claim):
    return os._exit(9) if claim.name == "killer" else run(claim)


def test_a_check_that_kills_its_process_takes_no_other_with_it(monkeypatch):
    killer = Claim("killer", "A claim.", "minimisers", "Nobody 2020", "")
    sound = next(claim for claim in claims() if claim.name == FAST)
    monkeypatch.setattr(listing, "_cores", lambda: 1)
    monkeypatch.setattr(listing, "run", run_or_die)
    rows = {row.claim.name: row for row in run_all([killer, sound])}
    assert rows[FAST].holds
    assert rows["killer"].not_run == "its process died"


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_behind(tmp_path):
    words = [sys.executable, "-m", "theory_checks", "--out", str(tmp_path / "out")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.kill()
        process.stdout.read()  # ends when the last process that holds it has ended
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_ends_the_whole_family(tmp_path):
    words = [sys.executable, "-m", "theory_checks", "--out", str(tmp_path / "out")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.stdout.read()
    assert process.returncode == 130
    assert time.monotonic() - began < 15
    rows = json.loads((tmp_path / "out" / "record.json").read_text())["result"]["rows"]
    assert sum(row["verdict"] is not None for row in rows) >= 3
    assert any(row["not_run"] == "interrupted" for row in rows)
