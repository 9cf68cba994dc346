"""The drawing of features and classifier: the same for rotated layers, a regular simplex at collapse."""

import itertools

import numpy as np
import pytest
import torch

from deepnet.measures.features import LastLayer
from deepnet.measures.geometry import simplex

K, D, N = 6, 8, 20


def layer(spread, seed=0):
    """A simplex in a corner of space, turned at random, `spread` about its corners."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.nn.functional.pad(torch.eye(K, dtype=torch.float64) - 1 / K, (0, D - K))
    labels = torch.arange(K).repeat(N)
    turn = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))).Q
    noise = spread * torch.randn(K * N, D, dtype=torch.float64, generator=generator)
    return LastLayer((3 + 2 * corners[labels] + noise) @ turn, labels, 5 * corners @ turn, torch.zeros(K))


def test_collapsed_features_are_a_regular_simplex_on_the_rows_of_W():
    found = simplex(layer(0.0))
    means, W = np.array(found["class_means"]), np.array(found["W"])
    assert pytest.approx(W, abs=1e-3) == means
    edges = [np.linalg.norm(means[i] - means[j]) for i, j in itertools.combinations(range(4), 2)]
    assert edges == pytest.approx([np.sqrt(2 * K / (K - 1))] * 6, rel=1e-3)
    assert found["seen"] == pytest.approx(3 / (K - 1), abs=1e-3)
    assert max(found["spread"]) < 1e-6
    assert np.linalg.norm(means[4:] - means[:4].mean(0), axis=1) == pytest.approx([0.0] * 2, abs=1e-3)  # in the middle


def test_spread_is_the_distance_of_features_from_their_mean_in_the_drawing():
    found = simplex(layer(0.05))
    size = 2 * np.sqrt((K - 1) / K)
    assert found["spread"] == pytest.approx([0.05 * np.sqrt(3) / size] * K, rel=0.35)


def test_turning_features_and_classifier_changes_nothing_but_turning_one_does():
    one = layer(0.1)
    turn = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=torch.Generator().manual_seed(9))).Q
    both = simplex(LastLayer(one.H @ turn, one.labels, one.W @ turn, one.b))
    alone = simplex(LastLayer(one.H @ turn, one.labels, one.W, one.b))
    expected = simplex(one)
    for name in ("class_means", "W"):
        assert np.array(both[name]) == pytest.approx(np.array(expected[name]), abs=1e-3)
    assert np.array(alone["W"]) != pytest.approx(np.array(expected["W"]), abs=1e-3)
