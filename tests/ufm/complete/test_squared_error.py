"""Squared error's critical sets in closed form, against what searches find and against the equations."""

import dataclasses
import functools

import pytest

from ufm.atlas.atlas import Atlas
from ufm.atlas.completeness import proof
from ufm.atlas.rounds import rounds_until_complete
from ufm.complete.squared_error import critical_sets
from ufm.model.losses import SquaredError
from ufm.model.problem import Problem


@functools.cache
def atlas_of(problem, starts):
    atlas = Atlas(problem)
    for _ in rounds_until_complete(atlas, starts, 1, 6, 300):
        pass
    return atlas


def squared(decay_b, c, d=3, n=1, **loss):
    return Problem(loss=SquaredError(**loss), K=3, d=d, n=n, decay_W=c / n, decay_H=c, decay_b=decay_b)


@pytest.mark.parametrize(
    ("decay_b", "c", "expected"),
    [
        (None, 0.1, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        (0.0, 0.4, [(0, 0)]),
        pytest.param(0.05, 0.001, [(0, 0), (1, 1), (2, 2), (1, 0), (2, 1), (3, 2)], marks=pytest.mark.slow),
    ],
)
def test_critical_sets_are_those_that_a_search_finds(decay_b, c, expected):
    problem = squared(decay_b, c)
    assert critical_sets(problem) == expected
    atlas = atlas_of(problem, 45)
    assert sorted((row.rank, row.manifold[0]) for row in atlas.rows) == sorted(expected)
    found = list(proof(atlas, None, lambda _: None))[-1]
    assert found["is_proved"]
    assert found["evidence"] == "closed form"
    twin = list(proof(dataclasses.replace(atlas, rows=atlas.rows[:-1]), None, lambda _: None))[-1]
    assert not twin["is_proved"]
    assert "the set of rank 0 with 0 equal directions has no row" in twin["text"]


def test_rank_is_bounded_by_the_dimension_and_units_count():
    assert critical_sets(squared(0.0, 0.1)) == [(0, 0), (1, 1), (2, 2)]
    assert len(critical_sets(squared(0.05, 0.001))) == 6
    assert critical_sets(squared(0.05, 0.02)) == [(0, 0), (1, 1), (2, 2)]
    assert critical_sets(squared(None, 0.1, d=2)) == [(0, 0), (1, 1), (2, 2)]
    assert critical_sets(squared(None, 0.9, rescale=3.0)) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert critical_sets(squared(None, 0.9, rescale=3.0, convention="mean")) == [(0, 0)]


def test_at_a_threshold_nothing_is_said():
    """K c = r with r = 0.75, c = 0.25, exact in floating point."""
    assert critical_sets(squared(None, 0.25, rescale=0.75)) is None
