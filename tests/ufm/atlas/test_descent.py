"""Ways down from saddles: they fall, stay in the table's rows, and end at the simplex."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from ufm.atlas.atlas import Atlas
from ufm.atlas.descent import FRAMES, descents
from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem


@pytest.fixture(scope="module")
def atlas():
    found = Atlas(Problem(CrossEntropy(), 3, 4, 2, 5e-3, 5e-3, 1e-2))
    for _ in range(2):
        found.grow(240)
    return found


def cosines(means):
    lengths = np.linalg.norm(means, axis=1)
    return [means[i] @ means[j] / (lengths[i] * lengths[j]) for i, j in itertools.combinations(range(len(means)), 2)]


def test_every_saddle_has_a_way_that_falls_to_the_simplex(atlas):
    ways = descents(atlas)
    assert [way["row"] for way in ways] == [1, 2, 3]
    for way in ways:
        row, end = atlas.rows[way["row"]], atlas.rows[way["passes"][-1]]
        assert end.index == 0
        assert way["value"] == sorted(way["value"], reverse=True)
        assert (way["value"][0], way["value"][-1]) == pytest.approx((row.value, end.value), rel=1e-5)
        assert len(way["value"]) == len(way["means"]) == 1 + FRAMES * len(way["passes"])
        assert cosines(np.array(way["means"][-1])) == pytest.approx([-0.5] * 3, abs=1e-3)
        assert cosines(np.array(way["means"][FRAMES // 2]) + 1e-9) != pytest.approx([-0.5] * 3, abs=1e-3)


def test_from_zero_the_way_gains_a_rank_at_every_stop(atlas):
    way = descents(atlas)[-1]
    assert np.abs(way["means"][0]).max() == 0
    assert [atlas.rows[stop].rank for stop in way["passes"]] == [1, 2]
    ranks = [np.linalg.matrix_rank(np.array(frame), tol=0.05) for frame in way["means"]]
    assert (ranks[FRAMES], ranks[-1]) == (1, 2)


def test_a_point_that_the_atlas_lacks_is_in_no_row(atlas):
    x = atlas.embedded(atlas.rows[0])
    assert atlas.number_of(x) == 0
    without = dataclasses.replace(atlas, rows=atlas.rows[1:])
    assert without.number_of(x) is None
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=x.dtype, generator=torch.Generator().manual_seed(0))).Q
    W, H, b = atlas.model.unpack(x)
    assert atlas.number_of(atlas.model.assembled(W @ turn, [], H @ turn, b)) == 0
