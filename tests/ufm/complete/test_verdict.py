"""Atlases proved complete, and the same with a row taken out or put in, which are not."""

import dataclasses
import json

import pytest
import torch

from tests.ufm.complete.test_squared_error import atlas_of
from ufm.atlas.completeness import check_model, check_state, proof
from ufm.complete.search import Search
from ufm.complete.verdict import searches_of
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing
from ufm.model.problem import Problem

CASES = [
    (CrossEntropy(), None, 0.2, 1),
    (CrossEntropy(), 0.0, 0.1, 2),
    (LabelSmoothing(0.1), 0.05, 0.1, 1),
    (Focal(3.0), None, 0.1, 1),
    (Focal(2.0), 0.05, 0.2, 2),
]


def problem_of(loss=None, decay_b=None, c=0.2, n=1, **sizes):
    sizes = {"K": 3, "d": 2} | sizes
    return Problem(loss=loss or CrossEntropy(), n=n, decay_W=c / n**0.5, decay_H=c / n**0.5, decay_b=decay_b, **sizes)


def proved(atlas, earlier=None):
    return list(proof(atlas, earlier, lambda _: None))[-1]


@pytest.mark.parametrize(("loss", "decay_b", "c", "n"), CASES, ids=str)
def test_an_atlas_is_complete_and_without_any_row_it_is_not(loss, decay_b, c, n):
    atlas = atlas_of(problem_of(loss, decay_b, c, n), 40)
    found = proved(atlas)
    assert found["is_proved"], found["text"]
    assert found["text"].startswith("complete: proved (interval), ")
    assert [row.rank for row in atlas.rows] == [2, 1, 1, 0]
    assert sorted(point["row"] for point in found["points"]) == [2, 3, 4]
    assert all(point["radius"] < 1e-20 for point in found["points"])
    for number in range(4):
        rows = atlas.rows[:number] + atlas.rows[number + 1 :]
        twin = proved(dataclasses.replace(atlas, rows=rows), found)
        assert not twin["is_proved"]
        assert "has no row" in twin["text"]


@pytest.mark.parametrize(("c", "rows"), [(0.332, 4), (0.335, 1)])
def test_both_sides_of_the_bifurcation_of_zero(c, rows):
    atlas = atlas_of(problem_of(c=c, decay_b=0.0), 40)
    assert len(atlas.rows) == rows
    assert proved(atlas)["is_proved"]


def test_at_the_bifurcation_nothing_is_proved():
    """(1 - alpha) / K = c: zero's Hessian is singular, the boxes around it stay."""
    atlas = atlas_of(problem_of(LabelSmoothing(0.25), c=0.25), 40)
    found = proved(atlas)
    assert not found["is_proved"]
    assert "c is too close to where the ETF becomes zero" in found["text"]
    assert "boxes are left" in found["text"]


def test_a_row_that_is_no_critical_point_is_noticed():
    atlas = atlas_of(problem_of(), 40)
    wrong = dataclasses.replace(atlas.rows[1], x=atlas.rows[1].x * 1.001)
    found = proved(dataclasses.replace(atlas, rows=[atlas.rows[0], wrong, *atlas.rows[2:]]))
    assert "row 2 (rank 1) is at none of the critical points" in found["text"]
    assert "has no row" in found["text"]


def test_a_search_goes_on_from_its_record():
    problem = problem_of(c=0.05, decay_b=0.0)
    whole, first = searches_of(problem)[0], searches_of(problem)[0]
    whole.work(10**6)
    first.work(500)
    again = Search(first.reduced)
    again.read_back(json.loads(json.dumps(first.as_dict())))
    again.work(10**6)
    assert again.as_dict() == whole.as_dict()
    assert whole.is_over
    broken = first.as_dict() | {"stack": [[[0.0, 1.0], [1.0, float("nan")]]]}
    with pytest.raises(ValueError, match="must be finite"):
        again.read_back(broken)


def test_a_proof_goes_on_where_it_was_stopped(monkeypatch):
    monkeypatch.setattr("ufm.atlas.completeness.BETWEEN", 0.0)
    monkeypatch.setattr("ufm.atlas.completeness.BUDGET", 100)
    atlas = atlas_of(problem_of(), 40)
    states = list(proof(atlas, None, lambda _: None))
    first, last = states[0], states[-1]
    assert not first["is_proved"]
    assert "boxes are left" in first["text"]
    again = proved(atlas, json.loads(json.dumps(first)))
    assert last["is_proved"]
    assert again | {"seconds": 0.0} == last | {"seconds": 0.0}
    check_state(atlas.model, first)
    with pytest.raises(TypeError):
        check_state(atlas.model, dict(first) | {"searches": [3]})


@pytest.mark.slow
def test_four_classes_without_bias_rank_one():
    """Against the sampled atlas: the five orbits of rank 1 and zero."""
    problem = problem_of(c=0.1, K=4, d=1)
    found = proved(atlas_of(problem, 200))
    assert found["is_proved"], found["text"]
    assert len(found["points"]) == 6


def test_two_classes_need_no_search():
    found = proved(atlas_of(problem_of(Focal(2.0), 0.0, 0.2, K=2, d=2), 12))
    assert found["is_proved"]
    assert found["boxes"] == 0


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (problem_of(K=5, d=5), "`--classes` must be at most 4 with --prove-complete true, got 5."),
        (problem_of(K=4, d=4, decay_b=0.0), "`--classes` must be 3 with --prove-complete true and a bias"),
        (problem_of(Focal(2.0), 0.0, K=4, d=4), "`--classes` must be 3 with --prove-complete true and a bias"),
    ],
)
def test_what_is_not_derived_is_refused(problem, sentence):
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")[:40]):
        check_model(problem)


def test_the_bound_holds_at_the_points_found():
    """|w|^2 <= sup S(a) a / c, S(a) a = 2 a / (2 + exp(a)) for three classes at most 0.4631 (grid of 1e5)."""
    reduced = searches_of(problem_of(c=0.1, decay_b=0.0))[0].reduced
    a = torch.linspace(0, 20, 100_001, dtype=torch.float64)
    assert reduced.square * 0.1 == pytest.approx(float((2 * a / (2 + a.exp())).max()), rel=0.02)
    assert reduced.square * 0.1 >= float((2 * a / (2 + a.exp())).max())
