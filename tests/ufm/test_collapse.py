import math
import resource

import pytest
import torch

import ufm.collapse.matrices
from ufm.collapse import (
    FeatureStats,
    bias_residual,
    collapse_metrics,
    nc1_quotient,
    nc1_trace,
    nc2_equiangular,
    nc2_equinorm,
    nc2_etf_distance,
    nc3_etf_distance,
    nc3_self_duality,
)

pytestmark = pytest.mark.usefixtures("all_cores")

K, N, D = 4, 20, 6
LABELS = torch.arange(N) % K


@pytest.fixture
def simplex(normal):
    """A simplex frame in R^6, rotated."""
    centred = torch.eye(K, dtype=torch.float64) - 1 / K
    return centred @ torch.linalg.qr(normal(D, D))[0][:K]


@pytest.fixture
def noisy(normal, simplex):
    """Features, W and b that are not collapsed."""
    return simplex[LABELS] + 0.2 * normal(N, D), simplex + 0.1 * normal(K, D), normal(K)


def test_a_rotated_scaled_simplex_is_collapsed(simplex):
    stats = FeatureStats.from_features(7.0 * simplex[LABELS], LABELS, 0.1 * simplex, torch.full((K,), 3.0))
    for name, value in collapse_metrics(stats).items():
        assert abs(float(value)) < 1e-12, name
    assert float(nc3_etf_distance(stats)) < 1e-12


def test_noise_is_not_collapsed(noisy):
    H, W, b = noisy
    metrics = collapse_metrics(FeatureStats.from_features(H, LABELS, W, b))
    assert all(value > 1e-3 for name, value in metrics.items() if name != "nc4_disagreement")


def test_metrics_are_those_of_the_definitions_with_dense_matrices(noisy):
    H, W, b = noisy
    stats = FeatureStats.from_features(H, LABELS, W, b)
    means = torch.stack([H[k == LABELS].mean(0) for k in range(K)])
    M = means - means.mean(0)
    within = (H - means[LABELS]).mT @ (H - means[LABELS]) / N
    between = M.mT @ M / K
    assert float(nc1_trace(stats)) == pytest.approx(float(within.trace() / between.trace()), rel=1e-12)
    assert float(nc1_quotient(stats)) == pytest.approx(
        float((within @ torch.linalg.pinv(between)).trace() / K), rel=1e-10
    )
    C = W - W.mean(0)
    E = (torch.eye(K) - 1 / K).double() / math.sqrt(K - 1)
    gram = M @ M.mT
    assert float(nc2_etf_distance(M)) == pytest.approx(float((gram / gram.norm() - E).norm()), rel=1e-12)
    assert float(nc3_self_duality(stats)) == pytest.approx(float((C / C.norm() - M / M.norm()).norm()), rel=1e-12)
    nearest = torch.cdist(H, means).argmin(1)
    assert float(stats.nearest_mean_disagreement) == float((nearest != (H @ W.mT + b).argmax(1)).double().mean())
    assert float(stats.mean_square_norm) == pytest.approx(float(H.square().sum() / N))
    assert float(bias_residual(stats)) == pytest.approx(float((W @ means.mean(0) + b).std(correction=0) * math.sqrt(K)))


def test_numbers_computed_by_hand():
    """Two classes at 0 and (2, 0), each spread by +-1 along the second axis: S_W = diag(0, 1), S_B = diag(1, 0)."""
    H = torch.tensor([[0.0, 1.0], [0.0, -1.0], [2.0, 1.0], [2.0, -1.0]])
    labels = torch.tensor([0, 0, 1, 1])
    stats = FeatureStats.from_features(H, labels, torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([1.0, -1.0]))
    assert float(nc1_trace(stats)) == 1.0
    assert float(nc1_quotient(stats)) == 0.0  # all the scatter is orthogonal to the class means
    assert float(nc3_self_duality(stats)) == 0.0
    assert float(bias_residual(stats)) == 0.0
    triangle = torch.tensor([[2.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    norms = [2.0, math.sqrt(2), math.sqrt(2)]
    mean = sum(norms) / 3
    assert float(nc2_equinorm(triangle)) == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in norms) / 3) / mean)
    assert float(nc2_equiangular(triangle)) == pytest.approx((2 * abs(-math.sqrt(0.5) + 0.5) + 0.5) / 3)


def test_rotation_and_scale_change_nothing(noisy, normal):
    H, W, b = noisy
    Q = torch.linalg.qr(normal(D, D))[0]
    one, two = (
        collapse_metrics(FeatureStats.from_features(h, LABELS, w, b)) for h, w in ((H, W), (5 * H @ Q, W @ Q / 5))
    )
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch", [(3,), (2, 3)])
def test_batched_equals_one_by_one(normal, batch):
    H, W, b = normal(*batch, N, D), normal(*batch, K, D), normal(*batch, K)
    together = collapse_metrics(FeatureStats.from_features(H, LABELS, W, b))
    for index in torch.cartesian_prod(*[torch.arange(size) for size in batch]).view(-1, len(batch)).tolist():
        alone = collapse_metrics(FeatureStats.from_features(H[tuple(index)], LABELS, W[tuple(index)], b[tuple(index)]))
        for name, value in together.items():
            torch.testing.assert_close(value[tuple(index)], alone[name])


def test_chunks_change_nothing(noisy, monkeypatch):
    H, W, b = noisy
    whole = collapse_metrics(FeatureStats.from_features(H, LABELS, W, b))
    monkeypatch.setattr(ufm.collapse.matrices, "CHUNK_BYTES", 8 * D * 3)
    for name, value in collapse_metrics(FeatureStats.from_features(H, LABELS, W, b)).items():
        torch.testing.assert_close(value, whole[name])


def test_small_scatter_on_a_large_mean_survives_float32(normal):
    """Features of a collapsed network: the scatter is 1e-5 of an offset that all classes share."""
    offset, spread = 1e3, 1e-2
    H = (offset + normal(K, D)[LABELS] + spread * normal(N, D)).float()
    stats = FeatureStats.from_features(H, LABELS, normal(K, D), normal(K))
    exact = H.double() - torch.stack([H[k == LABELS].double().mean(0) for k in range(K)])[LABELS]
    assert float(stats.within_trace) == pytest.approx(float(exact.square().sum() / N), rel=1e-7)  # float32 products


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_metric_in_low_precision_is_that_of_the_same_features_in_float64(normal, dtype):
    """A common offset of 1e3 (30 for bfloat16's 8 bits), which products of uncentred features would not survive."""
    offset = 1e3 if dtype == torch.float32 else 30
    H, W, b = (offset + normal(K, D)[LABELS] + 0.1 * normal(N, D)).to(dtype), normal(K, D), normal(K)
    low, exact = (collapse_metrics(FeatureStats.from_features(h, LABELS, W, b)) for h in (H, H.double()))
    for name, value in exact.items():
        torch.testing.assert_close(low[name], value, rtol=1e-4, atol=1e-6)


def test_batches_of_unequal_size_and_missing_classes_change_nothing(noisy):
    H, W, b = noisy
    order = torch.argsort(LABELS, stable=True)  # the first batches see one class only
    parts = [(H[index], LABELS[index]) for index in torch.split(order, [1, 7, 3, N - 11])]
    streamed, whole = FeatureStats.from_sweeps(lambda: parts, W, b), FeatureStats.from_features(H, LABELS, W, b)
    for name, value in collapse_metrics(whole).items():
        torch.testing.assert_close(collapse_metrics(streamed)[name], value)


def test_one_class_alone_has_no_means_to_differ(normal):
    stats = FeatureStats.from_features(normal(6, D), torch.zeros(6, dtype=torch.long), normal(1, D), normal(1))
    assert float(stats.within_trace) > 0
    assert float(stats.centred_means.norm()) == 0
    assert float(nc1_trace(stats)) == math.inf


@pytest.mark.slow
def test_a_million_features_pass_in_bounded_memory():
    count, size, batch, classes = 1_000_000, 512, 10_000, 10
    W, b = torch.zeros(classes, size), torch.zeros(classes)

    def sweep():
        generator = torch.Generator().manual_seed(0)
        for start in range(0, count, batch):
            yield torch.randn(batch, size, generator=generator), torch.arange(start, start + batch) % classes

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stats = FeatureStats.from_sweeps(sweep, W, b)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # kB; the features take 2 GB
    assert float(stats.within_trace) == pytest.approx(size, rel=1e-3)


def test_fewer_dimensions_than_classes_and_the_zero_solution(normal):
    H, W, b = normal(N, 2), normal(K, 2), normal(K)
    metrics = collapse_metrics(FeatureStats.from_features(H, LABELS, W, b))
    assert all(torch.isfinite(value) for value in metrics.values())
    zero = collapse_metrics(FeatureStats.from_features(0 * H, LABELS, 0 * W, 0 * b))
    assert zero["nc1_trace"].isnan()
    assert float(zero["bias_residual"]) == 0


def test_a_class_without_samples_is_left_out_and_counted(noisy, normal):
    H, wide, bias = noisy[0], normal(2 * K, D), normal(2 * K)
    found = FeatureStats.from_features(H, 2 * LABELS, wide, bias)
    assert found.present.tolist() == [True, False] * K
    alone = collapse_metrics(FeatureStats.from_features(H, LABELS, wide[::2], bias[::2]))
    for name, value in collapse_metrics(found).items():
        torch.testing.assert_close(value, alone[name], rtol=0, atol=0)


def test_a_label_beyond_the_rows_of_the_classifier_is_refused(noisy):
    H, W, b = noisy
    with pytest.raises(ValueError, match="labels"):
        FeatureStats.from_features(H, LABELS + 1, W, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_class_means_of_a_large_offset_are_exact_in_either_precision(normal, dtype):
    H = (1e4 + normal(50, 600)).to(dtype)
    labels = torch.arange(50) % K
    means = FeatureStats.from_features(H, labels, normal(K, 600), normal(K)).class_means
    expected = torch.stack([H[labels == k].double().mean(0) for k in range(K)])
    assert float((means - expected).abs().max()) < 1e-11  # h - shift is exact, and sums are in float64
