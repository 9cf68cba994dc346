"""The metrics that only `all_metrics` has, against their definitions in numpy and exact values."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from scipy.stats import mannwhitneyu

from deepnet.evaluation.evaluation import chance_of_more
from ufm.collapse import (
    FeatureStats,
    all_metrics,
    gnc2,
    nc1_cdnv,
    nc1_trace,
    nc2_etf,
    nc2_welch_gap,
    nc4_held_out,
    nc5,
    neco_score,
)
from ufm.errors import RequestError
from ufm.tolerances import HULL_DISTANCE

K, D, N = 6, 4, 60
LABELS = torch.arange(N) % K


def drawn(seed: int, K: int, d: int, counts: tuple[int, int] = (1, 7)) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of unequal classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(K), rng.integers(*counts, K)))
    return rng.standard_normal((K, d))[y] + 0.3 * rng.standard_normal((len(y), d)), y


def polygon(K: int) -> torch.Tensor:
    angles = 2 * torch.pi * torch.arange(K, dtype=torch.float64) / K
    return torch.stack([angles.cos(), angles.sin()], 1)


@pytest.mark.parametrize(("K", "d"), [(2, 3), (7, 5), (40, 3)])
def test_cdnv_is_the_mean_over_pairs(K, d):
    for seed in range(5):
        H, y = drawn(seed, K, d)
        mu = np.stack([H[y == k].mean(0) for k in range(K)])
        variance = [((H[y == k] - mu[k]) ** 2).sum(1).mean() for k in range(K)]
        pairs = [(i, j) for i in range(K) for j in range(K) if i != j]
        expected = np.mean([(variance[i] + variance[j]) / (2 * ((mu[i] - mu[j]) ** 2).sum()) for i, j in pairs])
        stats = FeatureStats.from_features(H, y)
        assert float(nc1_cdnv(stats)) == pytest.approx(expected, rel=1e-9)
        assert float(nc1_trace(stats)) != pytest.approx(expected, rel=1e-3)  # another number, unless classes are alike


@pytest.mark.parametrize("has_layer", [True, False])
def test_classes_without_a_sample_cost_nothing(has_layer):
    """Of 2^24 classes, those that no sample has take neither time nor memory, and change nothing."""
    rng, few = torch.Generator().manual_seed(0), torch.tensor([0, 3, 700, 900 if has_layer else 2**24 - 1])
    H, labels = torch.randn(20, D, generator=rng), torch.arange(20) % 4
    W, b = (torch.randn(1000, D, generator=rng), torch.randn(1000, generator=rng)) if has_layer else (None, None)
    own = (None, None) if W is None or b is None else (W[few], b[few])
    named = torch.where(labels == 2, -100, few[labels])
    found = FeatureStats.from_features(H, named, W, b)
    assert found.present is not None
    assert found.present.nonzero()[:, 0].tolist() == few[[0, 1, 3]].tolist()
    expected = FeatureStats.from_features(H, torch.where(labels == 2, -100, labels), *own)
    assert all_metrics(found) == all_metrics(expected)


def test_cdnv_of_classes_that_share_a_mean_is_infinite():
    H, y = drawn(0, 4, 3, counts=(2, 6))
    H[y == 1] += H[y == 0].mean(0) - H[y == 1].mean(0)
    assert float(nc1_cdnv(FeatureStats.from_features(H, y))) == math.inf


@pytest.mark.parametrize(("rows", "expected"), [
    (torch.eye(5, dtype=torch.float64) - 0.2, 5 / 4),  # the simplex, K = d + 1
    (torch.cat([torch.eye(3), -torch.eye(3)]).double(), 1.0),  # the cross-polytope, K = 2 d
    (polygon(7), 1 - math.cos(2 * math.pi / 7)),
    (torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8], [-0.6, -0.8]]).double(), 0.8),
    (torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 1, 1e-9]]).double(), 0.0),
])  # fmt: skip
def test_one_vs_rest_margins_that_are_known(rows, expected):
    assert float(gnc2(7 * rows)) == pytest.approx(expected, abs=2 * HULL_DISTANCE)


@pytest.mark.parametrize(("K", "d"), [(5, 3), (10, 40), (20, 5), (60, 8)])
def test_one_vs_rest_margins_are_those_of_non_negative_least_squares(K, d):
    rng = np.random.default_rng(K)
    u = rng.standard_normal((K, d))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    distances = []
    for k in range(K):
        others = np.delete(u, k, 0)
        weights = nnls(np.vstack([others.T, 1e4 * np.ones(K - 1)]), np.append(u[k], 1e4))[0]
        distances.append(np.linalg.norm(others.T @ (weights / weights.sum()) - u[k]))
    found = float(gnc2(torch.from_numpy(u)))
    assert min(distances) - 2 * HULL_DISTANCE <= found <= min(distances) + 1e-9  # a lower bound


@pytest.mark.parametrize(("K", "d"), [(5, 4), (9, 4), (300, 7)])
def test_the_welch_gap_is_that_of_the_cosines_and_zero_for_tight_frames_alone(K, d):
    rng = np.random.default_rng(0)
    u = rng.standard_normal((K, d))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    squares = ((u @ u.T) ** 2)[~np.eye(K, dtype=bool)]
    expected = math.sqrt(squares.mean()) - math.sqrt((K - d) / (d * (K - 1)))
    assert float(nc2_welch_gap(torch.from_numpy(3 * u))) == pytest.approx(expected, rel=1e-9)
    assert expected > 1e-6
    tight = torch.cat([torch.eye(d), -torch.eye(d)]).double()
    assert float(nc2_welch_gap(tight)) < 1e-12
    assert float(nc2_etf(tight)) > 0.1  # but no simplex
    assert float(nc2_welch_gap(polygon(K))) < 1e-12


def test_a_softmax_code_need_not_be_a_tight_frame():
    axes = torch.eye(3, dtype=torch.float64)
    octahedron = torch.cat([axes, -axes])[:5]
    bipyramid = torch.cat([torch.nn.functional.pad(polygon(3), (0, 1)), axes[2:], -axes[2:]])
    for code in (octahedron, bipyramid):
        assert float(gnc2(code)) == pytest.approx(1, abs=HULL_DISTANCE)
        assert float(nc2_welch_gap(code)) > 0.01


def test_nc4_of_test_samples_takes_training_means():
    """One dimension: means at -1 and 1, a classifier that decides at 0.5; a test sample at 0.2 is between the two."""
    H, y = torch.tensor([[-1.4], [-0.6], [0.6], [1.4]]), torch.tensor([0, 0, 1, 1])
    W, b = torch.tensor([[-1.0], [1.0]]), torch.tensor([0.5, -0.5])
    train = FeatureStats.from_features(H, y, W, b)
    test = torch.tensor([[0.2], [0.4], [0.6], [3.0]])
    assert float(nc4_held_out(train, test)) == 0.5
    assert float(nc4_held_out(train, H)) == float(train.nearest_mean_disagreement) == 0.0
    own = FeatureStats.from_features(test, torch.tensor([0, 1, 1, 1]), W, b)
    assert float(own.nearest_mean_disagreement) == 0.25  # with test means, which is another question
    with pytest.raises(RequestError, match="`train` must be a FeatureStats with a last layer, got <statistics of"):
        nc4_held_out(FeatureStats.from_features(H, y), test)


@pytest.mark.parametrize(("apart", "share"), [(1.5, 0.0), (3.0, 1.0)])
def test_class_means_within_both_their_roundings_are_one_for_nc4_of_test_samples(apart, share):
    """The classifier takes the first of two classes, the nearer mean is the second's."""

    def train(gap: float) -> FeatureStats:
        H = torch.tensor([1.0, 1.0 + gap, -2.0]).repeat(2)[:, None]
        return FeatureStats.from_features(
            H, torch.arange(3).repeat(2), torch.tensor([[0.0], [0], [0]]), torch.eye(3)[0]
        )

    rounding = float(train(0.0).rounding[0])
    assert float(nc4_held_out(train(apart * rounding), torch.tensor([[1.5]]))) == share


def test_nc5_and_neco_tell_what_is_outside():
    rng = np.random.default_rng(0)
    means = np.concatenate([np.eye(3), np.zeros((3, 5))], 1)
    y = np.arange(60) % 3
    H = means[y] + 0.01 * rng.standard_normal((60, 8))
    train = FeatureStats.from_features(H, y)
    out = np.zeros((20, 8))
    out[:, 5:] = 1 + rng.standard_normal((20, 3))
    mu = np.stack([H[y == k].mean(0) for k in range(3)])
    centre = out.mean(0)
    cosines = np.abs(mu @ centre) / np.linalg.norm(mu, axis=1) / np.linalg.norm(centre)
    assert float(nc5(train, out)) == pytest.approx(cosines.mean(), rel=1e-9)
    assert cosines.mean() < 0.05
    assert float(nc5(train, H)) > 0.5
    M = mu - mu.mean(0)
    P = np.linalg.pinv(M, rcond=1e-6) @ M
    h = out - mu.mean(0)
    expected = np.linalg.norm(h @ P, axis=1) / np.linalg.norm(h, axis=1)
    np.testing.assert_allclose(neco_score(train, out).numpy(), expected, rtol=1e-9)
    inside, outside = neco_score(train, H), neco_score(train, out)
    assert float(inside.min()) > float(outside.max())
    area = mannwhitneyu(inside[:7], inside[3:9]).statistic / 42  # with ties
    assert chance_of_more(inside[:7], inside[3:9]) == pytest.approx(area)


def test_what_needs_the_last_layer_or_more_classes_is_absent(normal):
    H = normal(N, D)
    alone = set(all_metrics(FeatureStats.from_features(H, LABELS)))
    whole = set(all_metrics(FeatureStats.from_features(H, LABELS, normal(K, D), normal(K))))
    assert whole - alone == {"nc3", "nc3_etf", "nc4", "bias_residual"}
    assert "nc2_welch_gap" in whole
    wide = set(all_metrics(FeatureStats.from_features(normal(N, K), LABELS)))
    assert alone - wide == {"nc2_welch_gap"}


def test_every_metric_but_the_margin_is_zero_at_collapse():
    simplex = 3 * (torch.eye(K, dtype=torch.float64) - 1 / K)
    values = all_metrics(FeatureStats.from_features(simplex[LABELS], LABELS, simplex))
    assert float(values.pop("gnc2")) == pytest.approx(K / (K - 1), abs=2 * HULL_DISTANCE)
    assert max(map(float, values.values())) < 1e-12
