"""Atlases of the other models against critical points found by hand, and against the plain atlas where they overlap."""

import dataclasses
import json
import math
from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch

from ufm.__main__ import COMMANDS
from ufm.atlas.atlas import Atlas
from ufm.atlas.evidence import claims, evidence
from ufm.atlas.relabelling import Relabellings, random_relabelling
from ufm.atlas.report import summary
from ufm.cli.command_line import main
from ufm.model.deep import DeepProblem
from ufm.model.factors import relabelled, widened, with_dimension
from ufm.model.losses import CrossEntropy, SquaredError
from ufm.model.pick_all_labels import PickAllLabels, all_sets
from ufm.model.problem import Problem
from ufm.model.spheres import SphereProblem
from ufm.model.starts import normal_starts
from ufm.solve.hessian import dense_hessian
from ufm.solve.newton import find_critical_points
from ufm.theory.model_choice import target_of

TAU = 1.0
SPHERES = SphereProblem(CrossEntropy(), 2, 2, 1, temperature=TAU)
UNEQUAL = Problem(CrossEntropy(), 3, 3, 1, 5e-3, 5e-3, 0.0, sizes=(2, 1, 1))
DEEP = DeepProblem(SquaredError(), 2, 2, 1, 0.04, 0.04, None, (0.04,))
TAGS = Problem(all_sets(3, (2, 1))[0], 3, 3, 1, 5e-3, 5e-3, 1e-2, sizes=all_sets(3, (2, 1))[1])
MODELS = {"spheres": SPHERES, "imbalance": UNEQUAL, "deep": DEEP, "multilabel": TAGS}


@pytest.fixture(scope="module")
def grown():
    def grow(model, starts):
        atlas = Atlas(model)
        atlas.grow(starts)
        return atlas

    return {name: grow(model, 400 if name == "multilabel" else 150) for name, model in MODELS.items()}


def _run(*words):
    return main("python -m ufm", "", COMMANDS, ["atlas", *words])


def test_two_classes_on_circles(grown):
    """K = d = 2: w_1 = -w_2 and every h along it, right or wrong, or w_1 = w_2 at log 2, which leaves h free."""
    right, wrong = math.log1p(math.exp(-2 * TAU)), math.log1p(math.exp(2 * TAU))
    minimum, flat, mixed, maximum = rows = grown["spheres"].rows
    assert [row.value for row in rows] == pytest.approx([right, math.log(2), (right + wrong) / 2, wrong], abs=1e-12)
    assert [row.copies for row in (minimum, mixed, maximum)] == [1, 2, 1]
    assert [row.index for row in (minimum, mixed, maximum)] == [0, 2, 3]
    assert [row.is_degenerate for row in rows] == [False, True, False, False]
    assert min(flat.indices) > 0
    # Turning w_1 and w_2 apart at the mixed point: tau/2 (q - p) = -tau/2 tanh(tau), p and q the two probabilities.
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(SPHERES, mixed.x[None]))[0]
    assert float((eigenvalues + TAU * math.tanh(TAU) / 2).abs().min()) < 1e-12
    assert mixed.nullity == int((eigenvalues.abs() < 1e-10).sum()) - 4 == 1  # four lengths, one rotation


def test_unequal_classes_are_relabelled_within_their_size(grown):
    atlas = grown["imbalance"]
    assert Relabellings.of(UNEQUAL).classes.tolist() == [[0, 1, 2], [0, 2, 1]]
    assert {row.copies for row in atlas.rows} == {1, 2}
    assert all(row.apart != "ab|c" for row in atlas.rows)  # a large class never shares a row with a small one
    zero = atlas.rows[-1]
    assert (zero.rank, zero.index) == (0, 2 * UNEQUAL.d)
    assert zero.value == pytest.approx(1.5 * math.log(2), abs=1e-13)  # entropy of (1/2, 1/4, 1/4)
    assert atlas.rows[0].value == pytest.approx(target_of(UNEQUAL).value, abs=1e-12)


def test_squared_error_with_unequal_classes_decouples():
    """Without bias: a direction of size m costs m/2N, or s sqrt(m) - N s^2 / 2 where it is active."""
    model = Problem(SquaredError(), 3, 3, 1, 5e-3, 5e-3, None, sizes=(2, 1, 1))
    atlas = Atlas(model)
    atlas.grow(120)
    N, s = 4, 5e-3
    off, on = ([m / (2 * N) for m in (2, 1)], [s * math.sqrt(m) - N * s**2 / 2 for m in (2, 1)])
    expected = sorted(first + r * on[1] + (2 - r) * off[1] for first in (off[0], on[0]) for r in range(3))
    assert [row.value for row in atlas.rows] == pytest.approx(expected, abs=1e-12)
    assert not any(row.is_degenerate for row in atlas.rows)
    assert atlas.rows[-1].index == 3 * model.d


def test_hidden_layers_have_partially_active_minima(grown):
    """K = 2, M = 3: each direction is zero, at the large root of u^4 - u + 2 lam = 0 (minima) or at the small one."""
    roots = np.roots([1, 0, 0, -1, 2 * 0.04])
    small, large = sorted(root.real for root in roots if abs(root.imag) < 1e-9)
    energy = [((u**3 - 1) ** 2 / 2 + 1.5 * 0.08 * u * u) / 2 for u in (0.0, small, large)]
    states = sorted((sum(energy[i] for i in pair), pair) for pair in combinations_with_replacement(range(3), 2))
    rows = grown["deep"].rows
    assert [row.value for row in rows] == pytest.approx([value for value, _ in states], abs=1e-12)
    assert [row.index == 0 for row in rows] == [1 not in pair for _, pair in states]  # 2^K labelled, 3 up to symmetry
    assert not any(row.is_degenerate for row in rows)
    text = "\n".join(summary(grown["deep"], grown["deep"].as_result() | evidence(grown["deep"], True)))
    assert "Local minima up to the symmetries: rows 1, 2 and 4." in text


def test_several_labels(grown):
    atlas = grown["multilabel"]
    assert atlas.rows[-1].value == pytest.approx(12 / 9 * math.log(3), abs=1e-13)  # six of one label, three of two
    assert atlas.rows[0].value == pytest.approx(target_of(TAGS).value, abs=1e-12)
    tags = PickAllLabels(((0,), (1,), (2,), (0, 1)))
    assert len(Relabellings.of(Problem(tags, 3, 2, 2, 1e-2, 1e-2)).classes) == 2
    assert len(Relabellings.of(Problem(tags, 3, 2, 2, 1e-2, 1e-2, sizes=(1, 2, 1, 1))).classes) == 1


@pytest.mark.parametrize("name", ["imbalance", "multilabel"])
def test_the_relations_hold_and_notice_a_missing_row(name, grown):
    atlas = grown[name]
    assert evidence(atlas, with_balls=True)["claims"]["Morse relations hold"]
    for number in range(len(atlas.rows)):
        rows = [*atlas.rows[:number], *atlas.rows[number + 1 :]]
        assert dataclasses.replace(atlas, rows=rows).unbalanced()


@pytest.mark.parametrize("name", list(MODELS))
def test_claims_hold_and_are_refused_without_the_minimum(name, grown):
    atlas = grown[name]
    found = evidence(atlas, with_balls=True)
    assert found["claims"]
    assert all(found["claims"].values())
    assert "ball arithmetic" in found["not_checked"]
    assert ("Morse relations" in found["not_checked"]) == (not found["morse"]["is_applicable"])
    without = dataclasses.replace(atlas, rows=atlas.rows[1:])
    assert not claims(without, target_of(atlas.model), [])["the lowest row is the predicted minimum"]


def test_a_second_minimum_is_refused_where_theory_has_none(grown):
    lowest, *others = grown["imbalance"].rows
    second = dataclasses.replace(lowest, value=lowest.value + 0.1)
    atlas = dataclasses.replace(grown["imbalance"], rows=[lowest, second, *others])
    assert not claims(atlas, target_of(UNEQUAL), [])["every row above the lowest is a strict saddle"]
    deep = dataclasses.replace(grown["deep"], rows=[dataclasses.replace(grown["deep"].rows[0], value=0.2)])
    assert not claims(deep, target_of(DEEP), [])["every local minimum is a predicted state"]


@pytest.mark.parametrize("name", list(MODELS))
def test_symmetries_keep_the_objective(name, normal, generator):
    """Relabelled, turned and widened points have the same value; a swap that the model has not changes it."""
    model = MODELS[name]
    x = normal(2, model.size)
    turn = torch.linalg.qr(normal(model.d, model.d))[0]
    moved = model.assembled(*relabelled(model.factorised(x), *random_relabelling(model, generator), turn))
    torch.testing.assert_close(model.value(moved), model.value(x))
    wide = with_dimension(model, model.d + 2)
    torch.testing.assert_close(wide.value(widened(model, wide, x)), model.value(x))
    swap = torch.tensor([1, 0, 2])[: model.K]
    wrong = model.assembled(*relabelled(model.factorised(x), swap, torch.arange(model.N), turn))
    assert float((model.value(wrong) - model.value(x)).abs().min()) > 1e-3


def test_an_atlas_of_spheres_is_written_and_read_back(grown):
    atlas = grown["spheres"]
    written = json.loads(
        json.dumps(atlas.as_result(), default=lambda value: value.tolist()).replace("Infinity", "null")
    )
    again = Atlas(SPHERES).read_back(written)
    before = [(row.value, row.found, row.copies_found, row.indices) for row in atlas.rows]
    assert before == [(row.value, row.found, row.copies_found, row.indices) for row in again.rows]
    again.grow(60)
    assert len(again.rows) == len(atlas.rows)
    assert sum(row.found for row in again.rows) == again.statuses["CONVERGED"]


def test_small_roots_are_told_from_zero():
    """With small decays their logits are below what counts as a difference; the layers' singular values are not."""
    model = dataclasses.replace(DEEP, decay_W=1e-3, decay_H=1e-3, inner=(1e-3,))
    (small, _), ends = (
        (Atlas(model), None),
        find_critical_points(model, normal_starts(model.size, 0, 0, 64) * 0.01),
    )
    small.add(model, ends.x[ends.is_converged])
    assert {row.rank for row in small.rows} >= {0, 1}
    assert sum(row.found for row in small.rows) == int(ends.is_converged.sum())


def test_the_command_says_what_is_not_checked_and_extends(tmp_path, capsys):
    words = ["--model", "spheres", "--model.temperature", "1", "--classes", "2", "--dim", "2", "--starts", "60"]
    words += ["--quiet-rounds", "1", "--out", str(tmp_path)]
    assert _run(*words) == 0
    first = json.loads((tmp_path / "record.json").read_text())
    assert first["setting"]["model"] == {"name": "spheres", "temperature": 1}
    assert set(first["result"]["not_checked"]) == {"ball arithmetic", "Morse relations"}
    assert first["result"]["morse"] == {
        "is_applicable": False,
        "dimensions": [],
        "noticed_without": [],
        "unnoticed_pairs": [],
    }
    output = capsys.readouterr().out
    assert "Not checked, Morse relations" in output
    assert _run(*words) == 0
    second = json.loads((tmp_path / "record.json").read_text())["result"]
    assert second["rounds"][: len(first["result"]["rounds"])] == first["result"]["rounds"]
    capsys.readouterr()
    assert _run(*words, "--model.temperature", "2") == 2
    assert "`--model` must be" in capsys.readouterr().err
    assert json.loads((tmp_path / "record.json").read_text())["result"] == second


@pytest.mark.parametrize("name", list(MODELS))
def test_a_search_that_reaches_nothing_counts_its_starts(name):
    atlas = Atlas(MODELS[name], is_symmetric=False)
    atlas.grow(3, max_steps=1)
    assert sum(atlas.statuses.values()) >= 3
    assert sum(row.found for row in atlas.rows) == atlas.statuses["CONVERGED"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "torus"], "`--model` must be one of"),
        (["--model", "deep", "--model.relu", "true"], "`--model.relu` must be false for an atlas"),
        (["--model", "imbalance", "--model.sizes", "[1,1,1,1,1,1,1,1,2]"], "`--classes` must be an integer in [2, 8]"),
        (["--model", "multilabel", "--loss", "mse"], "`--loss` must be ce"),
        (["--model", "multilabel", "--classes", "2"], "`--model.multiplicity` must be 1 to classes - 1"),
        (["--model", "spheres", "--dim", "9000"], "`--dim` must be such that the work fits"),
    ],
)
def test_wrong_requests(words, message, capsys, tmp_path):
    assert _run(*words, "--out", str(tmp_path / "x")) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_is_too_large_is_refused():
    with pytest.raises(ValueError, match=r"fits into half of the memory \(.* GB\)"):
        Atlas(SphereProblem(CrossEntropy(), 8, 8, 3000, temperature=1.0))
