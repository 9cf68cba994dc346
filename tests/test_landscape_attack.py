"""The attack on the landscape theorems: its starts are what they say, and where minima are known it finds them."""

import json

import pytest
import torch

from figures.tables.landscape_attack import table
from tests import landscape_attack as attack
from ufm.cli.records import read_record
from ufm.model.losses import Focal
from ufm.model.problem import Problem
from ufm.theory.landscape import landscape


def focal(K, c, *, d=None, n=1, decay_b=0.0):
    return Problem(Focal(3.0), K, d or K, n, c, c, decay_b)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_spurious_minima_are_found_where_they_exist_and_only_there(generator):
    """K = 20: in the window zero is a local minimum above the ETF; below c_x = 0.063126 there is none."""
    counts = attack.attack(focal(20, 0.06316), 1, generator)
    assert counts["spurious"] > 0
    assert counts["below"] == 0
    assert counts["elsewhere"] >= counts["spurious"]
    below = attack.attack(focal(20, 0.0625), 1, generator)
    assert below["converged"] == below["starts"] == len(attack.KINDS) * len(attack.SCALES)
    assert below["elsewhere"] == below["spurious"] == below["below"] == 0


def test_only_benign_problems_are_attacked_some_close_to_the_bound():
    found = attack.problems(10, 1, "free")
    assert {problem.d for problem, _ in found} == {9, 10, 12}
    assert max(share for _, share in found if share < 1) == 0.9999
    assert any(share > 1 for _, share in found)
    assert not any(share > 1 for _, share in attack.problems(30, 1, "free"))


def test_open_problems_are_those_of_which_nothing_is_proved():
    assert attack.open_problems(10, 1, "none") == []
    for K, bias in ((24, "none"), (10, "free"), (10, "decayed")):
        found = attack.open_problems(K, 1, bias)
        assert found
        assert all(landscape(problem).status == "open" for problem, _ in found)
        assert all(
            attack.first_open(K, problem.loss.gamma, bias) < share < attack.OPEN[bias] for problem, share in found
        )


def test_starts_are_what_their_names_say(generator):
    problem = focal(4, 0.05, n=3)
    labels = problem.labels()

    def right(kind):
        return problem.logits(attack.starts_of(kind, problem, 3.0, generator)).argmax(-1) == labels

    assert not right("labels wrong").any()
    assert right("labels permuted").double().mean() < 0.5
    assert not right("one wrong sample a class").view(4, 3)[:, 0].any()
    low = problem.unpack(attack.starts_of("a class at zero, low bias", problem, 3.0, generator))
    assert low.W[0].abs().max() == 0
    assert low.b.argmin() == 0
    assert torch.linalg.svdvals(problem.unpack(attack.starts_of("rank one", problem, 3.0, generator)).W)[1] < 0.5


def test_the_table_sums_over_sizes():
    rows = [{"K": 2, "n": n, "bias": "free", "starts": 10 * n, "spurious": n} for n in (1, 3)]
    record = {"result": {"rows": rows}, "command": "c", "machine": "m"}
    assert "| 2 | 1, 3 | 0 | 40 | 0 | 0 | 4 | 0 |" in table(record)


def test_a_second_call_runs_nothing_again_and_writes_the_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(attack, "SIZES", [(2, 1)])
    monkeypatch.setattr(attack, "GAMMAS", (1.0,))
    monkeypatch.setattr(attack, "SHARES", (0.9,))
    words = ["attack", str(tmp_path / "rows.jsonl"), "--repeats", "1"]
    for extra in ([], ["--json", str(tmp_path / "record.json")]):
        monkeypatch.setattr("sys.argv", [*words, *extra])
        assert attack.main() == 0
    rows = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert [json.loads(row)["spurious"] for row in rows] == [0, 0, 0]
    assert read_record(tmp_path / "record.json")["result"]["rows"] == [json.loads(row) for row in rows]
    monkeypatch.setattr("sys.argv", [*words, *extra])
    with pytest.raises(SystemExit) as ended:
        attack.main()
    assert ended.value.code == 2
    assert "--json" in capsys.readouterr().err
