"""Atlases against known orbits, the resumed search against the uninterrupted one, and what the command refuses."""

import itertools
import json

import pytest
import torch

from figures.stored import DATA
from figures.tables import atlas as atlas_table
from ufm.__main__ import COMMANDS
from ufm.atlas.atlas import Atlas
from ufm.atlas.canonical import canonical
from ufm.atlas.comparison import compare
from ufm.atlas.evidence import is_strict_saddle, relations
from ufm.atlas.scan import _letter
from ufm.atlas.symmetric_starts import symmetrised
from ufm.cli.command_line import main
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.solve.critical_points import classify
from ufm.theory.prediction import predict, predicted_point


def _grown(problem, starts=400, rounds=2):
    atlas = Atlas(problem)
    for _ in range(rounds):
        atlas.grow(starts)
    return atlas


def _run(*words):
    return main("python -m ufm", "", COMMANDS, list(words))


@pytest.mark.parametrize("loss", [CrossEntropy(), LabelSmoothing(0.1), Focal(3.0)], ids=["ce", "ls", "focal"])
def test_three_classes_have_four_orbits(loss):
    atlas = _grown(Problem(loss, 3, 4, 2, 5e-3, 5e-3, 1e-2), starts=240)
    assert [(row.index, row.copies) for row in atlas.rows] == [(0, 1), (3, 3), (4, 3), (8, 1)]
    assert [row.apart for row in atlas.rows] == ["a|b|c", "a|b (c)", "ab|c", "(abc)"]
    assert [len(row.copies_found) for row in atlas.rows] == [1, 3, 3, 1]
    assert not any(row.is_degenerate for row in atlas.rows)
    assert all(is_strict_saddle(row) for row in atlas.rows[1:])
    assert atlas.rows[0].value == pytest.approx(predict(atlas.model).value, abs=1e-13)
    assert all(entry["holds"] for entry in relations(atlas)["dimensions"])
    assert sum(atlas.statuses.values()) == sum(sum(entry["statuses"].values()) for entry in atlas.rounds) >= 480
    assert sum(row.found for row in atlas.rows) == atlas.statuses["CONVERGED"]
    assert max(row.farthest for row in atlas.rows) < 1e-7
    assert atlas.separation() > 0.1


def test_four_classes_pass_every_morse_relation():
    atlas = _grown(Problem(CrossEntropy(), 4, 5, 1, 5e-3, 5e-3, 1e-2), starts=1000)
    assert len(atlas.rows) == 11
    assert sum(row.copies for row in atlas.rows) == 64
    found = relations(atlas)
    assert all(entry["holds"] for entry in found["dimensions"])
    assert all(entry["euler"] for entry in found["noticed_without"])


@pytest.mark.slow
def test_the_index_splits_into_columns():
    """The index in d columns, from the dense spectrum, is index_within + (d - r) escapes."""
    for d in (3, 6):
        for row in _grown(Problem(LabelSmoothing(0.1), 3, d, 1, 2e-2, 5e-3, 0.0), starts=200).rows:
            assert row.index == row.index_within + (d - row.rank) * row.escapes
            assert row.nullity == row.rank * d - row.rank * (row.rank + 1) // 2 + 1


def test_more_samples_are_a_larger_decay():
    """For convex losses n samples a class have the landscape of one sample with decay_H n times as large."""
    two = _grown(Problem(CrossEntropy(), 3, 3, 2, 5e-3, 5e-3, 1e-2), starts=200)
    one = _grown(Problem(CrossEntropy(), 3, 3, 1, 5e-3, 1e-2, 1e-2), starts=200)
    assert compare(two.as_result()["rows"], one.as_result()["rows"]).is_isomorphic
    assert [row.value for row in two.rows] == pytest.approx([row.value for row in one.rows], abs=1e-12)


@pytest.mark.parametrize(
    ("decay_b", "manifolds", "indices"),
    [
        (None, [(3, 3), (2, 3), (1, 3), (0, 3)], [0, 2, 6, 12]),
        (0.0, [(2, 2), (1, 2), (0, 2)], [0, 3, 8]),
        (0.1, [(2, 2), (2, 2), (1, 2), (1, 2), (0, 2), (0, 2)], [0, 2, 3, 6, 8, 12]),
    ],
)
def test_squared_error_has_grassmannians(decay_b, manifolds, indices):
    atlas = _grown(Problem(SquaredError(), 3, 4, 1, 5e-3, 5e-3, decay_b), starts=150)
    assert [row.manifold for row in atlas.rows] == manifolds
    assert [row.index for row in atlas.rows] == indices
    assert not any(row.is_degenerate for row in atlas.rows)
    assert all(entry["holds"] and not any(entry["equivariant"]) for entry in relations(atlas)["dimensions"])


def test_without_bias_the_landscapes_of_losses_differ():
    """K = 3, c = 0.02, no bias: cross entropy has 4 orbits, focal loss with gamma = 1 has 5."""
    ce, focal = (
        _grown(Problem(loss, 3, 3, 1, 0.02, 0.02, None)).as_result()["rows"] for loss in (CrossEntropy(), Focal(1.0))
    )
    comparison = compare(ce, focal)
    assert not comparison.is_isomorphic
    assert comparison.only_first == [(1, 2, 3, "a|b (c)")]
    assert sorted(comparison.only_second) == [(1, 2, 6, "a|b|c"), (1, 3, 3, "a|b (c)")]
    assert compare(ce, ce).is_isomorphic


def test_a_canonical_point_has_no_empty_columns():
    problem = Problem(CrossEntropy(), 4, 6, 2, 5e-3, 1e-3, 0.0)
    x = predicted_point(problem, predict(problem))
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))[0]
    W, H, b = problem.unpack(x)
    small, y, rank = canonical(problem, problem.pack(type(problem.unpack(x))(W @ turn, H @ turn, b)))
    assert (rank, small.d) == (3, 3)
    assert float(small.value(y)) == pytest.approx(float(problem.value(x)), abs=1e-14)
    assert int(classify(small, y[None]).morse_index) == 0


def test_an_atlas_is_written_and_read_back():
    atlas = _grown(Problem(CrossEntropy(), 3, 4, 1, 5e-3, 5e-3, 1e-2), starts=100, rounds=1)
    written = json.loads(
        json.dumps(atlas.as_result(), default=lambda value: value.tolist()).replace("Infinity", "null")
    )
    again = Atlas(atlas.model).read_back(written)
    again.grow(100)
    atlas.grow(100)
    for one, other in zip(again.rows, atlas.rows, strict=True):
        assert torch.equal(one.x, other.x)
        assert (one.found, one.copies_found, one.farthest) == (other.found, other.copies_found, other.farthest)


def test_the_command_extends_what_is_there(tmp_path, capsys):
    words = ["atlas", "--classes", "3", "--dim", "3", "--starts", "150", "--quiet-rounds", "1", "--out", str(tmp_path)]
    assert _run(*words) == 0
    first = json.loads((tmp_path / "record.json").read_text())["result"]
    assert _run(*words) == 0
    second = json.loads((tmp_path / "record.json").read_text())["result"]
    assert len(second["rounds"]) > len(first["rounds"])
    assert second["rounds"][: len(first["rounds"])] == first["rounds"]
    assert (tmp_path / "landscape.png").stat().st_size > 5000
    output = capsys.readouterr().out
    assert "index 6, within" in output
    header = atlas_table.table(json.loads((DATA / "atlas.json").read_text())).splitlines()[0]
    assert all(name.strip() in output for name in header.split("|"))  # a page names columns as the terminal does
    assert "would be noticed" in output
    assert _run(*words, "--decay-W", "0.006") == 2
    assert "`--decay-W` must be 0.005" in capsys.readouterr().err
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["result"] == second
    for name, value in (("value", "x"), ("rank", None), ("blocks", [["a"]]), ("apart", 3), ("certificate", {})):
        rows = [second["rows"][0] | {name: value}, *second["rows"][1:]]
        (tmp_path / "record.json").write_text(json.dumps(record | {"result": second | {"rows": rows}}))
        assert _run(*words) == 2, name
        assert "must be the record of an atlas, undamaged" in capsys.readouterr().err
    (tmp_path / "record.json").write_text(
        json.dumps(record | {"result": {"rows": [second["rows"][0] | {"value": "x"}]}})
    )
    assert _run("atlas-compare", "--atlases", f"[{tmp_path}, {tmp_path}]") == 2
    assert "`--atlases` must be folders of atlases, got " in capsys.readouterr().err


def test_a_call_that_asks_for_no_proof_keeps_the_one_that_is_there(tmp_path, capsys):
    words = ["atlas", "--classes", "3", "--dim", "3", "--per-class", "1", "--starts", "60", "--quiet-rounds", "1"]
    words += ["--decay-W", "0.2", "--decay-H", "0.2", "--decay-b", "null", "--certify", "false", "--out", str(tmp_path)]
    path = tmp_path / "record.json"
    assert _run(*words, "--prove-complete", "true") == 0
    first = json.loads(path.read_text())
    proved = first["result"]["completeness"]
    assert _run(*words) == 0
    assert json.loads(path.read_text())["result"]["completeness"] == proved
    lost = dict(proved["searches"][0], kept=[], kept_guesses=[])
    first["result"]["completeness"] = proved | {"searches": [lost]}
    path.write_text(json.dumps(first))
    assert _run(*words) == 0
    found = json.loads(path.read_text())["result"]["completeness"]
    assert (found["is_proved"], found["boxes"]) == (False, proved["boxes"])
    assert "Not proved complete" in capsys.readouterr().out
    assert _run(*words, "--prove-complete", "true") == 1
    first["result"]["completeness"] = proved | {"searches": [3]}
    path.write_text(json.dumps(first))
    assert _run(*words) == 2
    assert "must be the record of an atlas, undamaged" in capsys.readouterr().err


def test_what_is_too_large_is_refused_with_the_estimate(capsys):
    assert _run("atlas", "--classes", "8", "--dim", "5000") == 2
    assert "GB" in capsys.readouterr().err
    assert _run("atlas", "--classes", "9") == 2
    with pytest.raises(ValueError, match=r"fits into half of the memory \(.* GB\)"):
        Atlas(Problem(CrossEntropy(), 8, 8, 1000, 1e-3, 1e-3))


def test_atlases_are_compared(tmp_path, capsys):
    common = ["--classes", "3", "--dim", "3", "--starts", "150", "--quiet-rounds", "1", "--no-certify"]
    common[-1:] = ["--certify", "false"]
    for name, loss in (("ce", ["ce"]), ("ls", ["ls", "--loss.alpha", "0.1"])):
        assert _run("atlas", "--loss", *loss, *common, "--out", str(tmp_path / name)) == 0
    folders = f"[{tmp_path / 'ce'}, {tmp_path / 'ls'}]"
    assert _run("atlas-compare", "--atlases", folders, "--out", str(tmp_path / "compared")) == 0
    assert "isomorphic, 4 rows shared" in capsys.readouterr().out
    assert _run("atlas-compare", "--atlases", f"[{tmp_path / 'ce'}]") == 2


def test_a_scan_is_continued(tmp_path, capsys):
    words = ["atlas-scan", "--starts", "100", "--quiet-rounds", "1", "--strengths", "[0.02]", "--decays-b", "[null]"]
    words += ["--losses", "[{name: ce}, {name: focal, gamma: 1}]", "--out", str(tmp_path / "scan")]
    assert _run(*words) == 0
    before = json.loads((tmp_path / "scan" / "record.json").read_text())["result"]
    assert [entry["class"] for entry in before["entries"]] == ["A", "B"]
    assert _run(*words) == 0
    assert json.loads((tmp_path / "scan" / "record.json").read_text())["result"] == before
    assert "B: " in capsys.readouterr().out


def test_symmetric_starts_have_their_symmetry(normal, generator):
    """Every group of 16 lies in the fixed subspace of a relabelling: its logits are those of a relabelled point."""
    problem = Problem(CrossEntropy(), 4, 3, 2, 5e-3, 5e-3, 0.0)
    x = symmetrised(problem, normal(64, problem.size), generator)
    logits = problem.logits(x)
    logits = (logits - logits.mean(-1, keepdim=True)).view(64, 4, 2, 4)
    stabilised, permutations = 0, list(itertools.permutations(range(4)))[1:]
    for group in logits.split(16):
        fixed = [p for p in map(list, permutations) if torch.allclose(group[:, p][..., p], group, atol=1e-12)]
        stabilised += bool(fixed)
    assert stabilised >= 3  # one in 24 permutations is the identity
    gradient = problem.value_and_gradient(x)[1]
    assert gradient.norm(dim=1).min() > 0


def test_the_search_goes_on_where_a_relation_fails():
    """Without the row of rank 1 and index 3 the relations in dimension 1 fail; the search there finds it again."""
    atlas = _grown(Problem(CrossEntropy(), 3, 4, 1, 5e-3, 5e-3, 1e-2))
    assert atlas.unbalanced() == []
    rows = [row for row in atlas.rows if row.index != 3]
    damaged = Atlas(atlas.model, rows=rows, rounds=list(atlas.rounds))
    assert damaged.unbalanced()[0] == 1
    assert damaged.grow(300, dimensions=damaged.unbalanced()[:1]) == 1
    assert damaged.unbalanced() == []


@pytest.mark.parametrize(
    "words", [["--loss", "focal", "--dim", "1"], ["--dim", "3", "--decay-W", "0.9", "--decay-H", "0.9"]]
)
def test_small_dimensions_and_large_decays(words, tmp_path):
    common = [
        "--classes",
        "3",
        "--starts",
        "60",
        "--quiet-rounds",
        "1",
        "--max-steps",
        "60",
        "--out",
        str(tmp_path / "x"),
    ]
    assert _run("atlas", *words, *common) == 0


def test_classes_of_atlases_beyond_the_alphabet_have_two_letters():
    assert [_letter(number) for number in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
