"""Every metric against dense formulas in numpy: any counts, ranks deficient on purpose, features of any size."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from ufm.collapse import FeatureStats, collapse_metrics, nc1_quotient, nc3_etf_distance, sweeps

pytestmark = pytest.mark.usefixtures("all_cores")

CASES = 36
"""Of each kind, in both precisions, at a scale from 1e-30 to 1e30."""
RELATIVE = {np.float32: 2e-5, np.float64: 1e-9}
"""The products are in the features' precision; the reference squares the condition of the means."""


@pytest.fixture(autouse=True)
def _compiled_whatever_the_size(monkeypatch):
    monkeypatch.setattr(sweeps, "FEW", 0)


class Sizes(NamedTuple):
    K: int
    d: int
    counts: np.ndarray
    labels: np.ndarray


class Case(NamedTuple):
    """Features (one row a sample), and the rank of their class means less the mean of these."""

    H: np.ndarray
    rank: int


def sizes(rng: np.random.Generator, least: tuple[int, int]) -> Sizes:
    K, d = (int(rng.integers(low, 51)) for low in least)
    counts = rng.integers(1, 8, K)
    counts[0] += 1  # at least one class scatters
    return Sizes(K, d, counts, rng.permutation(np.repeat(np.arange(K), counts)))


def around(means: np.ndarray, of: Sizes, rng: np.random.Generator) -> np.ndarray:
    """Features whose class means are exactly these, up to rounding."""
    noise = rng.standard_normal((len(of.labels), of.d))
    own = np.stack([noise[of.labels == k].mean(0) for k in range(of.K)])
    return means[of.labels] + 0.3 * (noise - own[of.labels])


def plain(of: Sizes, rng: np.random.Generator) -> Case:
    H = rng.standard_normal((of.K, of.d))[of.labels] + 0.3 * rng.standard_normal((len(of.labels), of.d))
    return Case(H, min(of.K - 1, of.d))


def far_from_zero(of: Sizes, rng: np.random.Generator) -> Case:
    case = plain(of, rng)
    return Case(case.H + 100 * rng.standard_normal(of.d), case.rank)


def layer_norm(of: Sizes, rng: np.random.Generator) -> Case:
    H = plain(of, rng).H
    H = H - H.mean(1, keepdims=True)
    return Case(H / np.sqrt(H.var(1, keepdims=True) + 1e-5), min(of.K - 1, of.d - 1))


def affine_layer_norm(of: Sizes, rng: np.random.Generator) -> Case:
    case = layer_norm(of, rng)
    return Case(case.H * rng.uniform(0.5, 1.5, of.d) + rng.standard_normal(of.d), case.rank)


def dead_units(of: Sizes, rng: np.random.Generator) -> Case:
    case, dead = plain(of, rng), int(rng.integers(1, of.d))
    case.H[:, rng.permutation(of.d)[:dead]] = 0
    return Case(case.H, min(of.K - 1, of.d - dead))


def equal_means(of: Sizes, rng: np.random.Generator) -> Case:
    means, different = rng.standard_normal((of.K, of.d)), int(rng.integers(2, of.K + 1))
    return Case(around(means[np.arange(of.K) % different], of, rng), min(different - 1, of.d))


def opposite_pairs(of: Sizes, rng: np.random.Generator) -> Case:
    half = rng.standard_normal(((of.K + 1) // 2, of.d))
    means = np.concatenate([half, -half])[: of.K]
    return Case(around(means, of, rng), min((of.K + 1) // 2, of.d))


def low_rank(of: Sizes, rng: np.random.Generator) -> Case:
    rank = int(rng.integers(1, min(of.K - 1, of.d) + 1))
    left = rng.standard_normal((of.K, rank))
    return Case(around((left - left.mean(0)) @ rng.standard_normal((rank, of.d)), of, rng), rank)


def a_mean_in_the_middle(of: Sizes, rng: np.random.Generator) -> Case:
    means = rng.standard_normal((of.K, of.d))
    means[-1] = means[:-1].mean(0)
    return Case(around(means, of, rng), min(of.K - 2, of.d))


KINDS: tuple[Callable[[Sizes, np.random.Generator], Case], ...] = (
    plain,
    far_from_zero,
    layer_norm,
    affine_layer_norm,
    dead_units,
    equal_means,
    opposite_pairs,
    low_rank,
    a_mean_in_the_middle,
)


def unit(A: np.ndarray) -> np.ndarray:
    return A / np.linalg.norm(A)


def dense(H: np.ndarray, of: Sizes, W: np.ndarray, b: np.ndarray, rank: int) -> dict[str, float]:
    """The definitions, with d x d matrices and the pseudo-inverse of S_B at its rank."""
    K, y = of.K, of.labels
    means = np.stack([H[y == k].mean(0) for k in range(K)])
    M, x = means - means.mean(0), H - means[y]
    S_W, S_B = x.T @ x / len(x), M.T @ M / K
    values, vectors = np.linalg.eigh(S_B)
    inverse = vectors[:, -rank:] / values[-rank:] @ vectors[:, -rank:].T
    norms = np.linalg.norm(M, axis=1)
    zero = norms < 1e-4 * norms.max()
    norms, units = np.where(zero, 0, norms), np.where(zero, 0, M.T / np.where(zero, 1, norms)).T
    C, E = W - W.mean(0), unit(np.eye(K) - 1 / K)
    nearest = ((M**2).sum(1) - 2 * (H - means.mean(0)) @ M.T).argmin(1)
    apart = np.linalg.norm(M[nearest] - M[(H @ W.T + b).argmax(1)], axis=1)  # 0 where classes share a mean
    offset = W @ means.mean(0) + b
    return {
        "nc1_trace": np.trace(S_W) / np.trace(S_B),
        "nc1_quotient": np.trace(S_W @ inverse) / K,
        "nc2_equinorm": norms.std() / norms.mean(),
        "nc2_equiangular": np.abs((units @ units.T)[~np.eye(K, dtype=bool)] + 1 / (K - 1)).mean(),
        "nc2_etf_distance": float(np.linalg.norm(unit(M @ M.T) - E)),
        "nc3_self_duality": float(np.linalg.norm(unit(C) - unit(M))),
        "nc3_etf_distance": float(np.linalg.norm(unit(W @ M.T) - E)),
        "nc4_disagreement": (apart > 1e-4 * norms.max()).mean(),
        "bias_residual": float(np.linalg.norm(offset - offset.mean())),
    }


def stats_of(H: np.ndarray, of: Sizes, W: np.ndarray, b: np.ndarray) -> FeatureStats:
    return FeatureStats.from_features(*(torch.from_numpy(each) for each in (H, of.labels, W, b)))


def metrics_of(H: np.ndarray, of: Sizes, W: np.ndarray, b: np.ndarray) -> dict[str, float]:
    stats = stats_of(H, of, W, b)
    found = collapse_metrics(stats) | {"nc3_etf_distance": nc3_etf_distance(stats)}
    return {name: float(value) for name, value in found.items()}


def drawn(kind: Callable[[Sizes, np.random.Generator], Case], seed: int) -> tuple[Sizes, Case, np.random.Generator]:
    """K from 2 to 50 and d from 1 to 50, as far as the kind has room there."""
    rng = np.random.default_rng(seed)
    room = {layer_norm: (2, 3), affine_layer_norm: (2, 3), dead_units: (2, 2), a_mean_in_the_middle: (3, 1)}
    of = sizes(rng, room.get(kind, (2, 1)))
    return of, kind(of, rng), rng


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_metrics_are_those_of_dense_formulas_at_every_scale_in_either_precision(kind):
    for seed in range(CASES):
        of, (H, rank), rng = drawn(kind, seed)
        W, b = rng.standard_normal((of.K, of.d)), 0.1 * rng.standard_normal(of.K)
        for dtype, allowed in RELATIVE.items():
            scale = 10 ** rng.choice([-30, rng.uniform(-30, 30), 0, 30])
            scaled = (H * scale).astype(dtype)
            found, expected = metrics_of(scaled, of, W / scale, b), dense(scaled / np.float64(scale), of, W, b, rank)
            for name, value in found.items():
                what = f"{name} of case {seed}, {dtype.__name__}, times {scale:.0e}, {of.K} classes, d = {of.d}"
                assert value >= 0, what
                assert value == pytest.approx(expected[name], rel=allowed, abs=allowed / 10), what


@pytest.mark.parametrize("dtype", RELATIVE)
def test_compiled_loops_and_tensor_operations_agree(dtype, monkeypatch):
    for kind in KINDS:
        of, (H, _), rng = drawn(kind, CASES)
        W, b = rng.standard_normal((of.K, of.d)), rng.standard_normal(of.K)
        with monkeypatch.context() as patch:
            compiled = metrics_of(H.astype(dtype), of, W, b)
            patch.setattr(sweeps, "FEW", 2**60)
            for name, value in metrics_of(H.astype(dtype), of, W, b).items():
                assert value == pytest.approx(compiled[name], rel=RELATIVE[dtype], abs=RELATIVE[dtype] / 10), name


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("power", [-90, 90])
def test_a_power_of_two_moves_no_bit(dtype, power):
    for kind in KINDS:
        of, (H, _), rng = drawn(kind, CASES)
        H, W, b = H.astype(dtype), rng.standard_normal((of.K, of.d)), rng.standard_normal(of.K)
        assert metrics_of(H, of, W, b) == metrics_of(np.ldexp(H, power), of, np.ldexp(W, -power), b)


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_features_at_their_class_means_have_no_scatter(dtype, scale):
    """ReLU features, many samples, an offset: sums of equal numbers are rounded, and must not look like scatter."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        of = Sizes(10, 64, np.full(10, 50), np.arange(500) % 10)
        H = (scale * np.maximum(rng.standard_normal((10, 64)) + seed, 0)).astype(dtype)[of.labels]
        found = metrics_of(H, of, rng.standard_normal((10, 64)) / scale, np.zeros(10))
        assert found["nc1_trace"] == found["nc1_quotient"] == 0


def test_float32_s_rounding_in_float64_is_still_rounding():
    """LayerNorm in float32, its features then converted: the constraint holds to float32's rounding only."""
    rng = np.random.default_rng(0)
    of = sizes(rng, (40, 20))
    H, rank = layer_norm(of, rng)
    H = H.astype(np.float32).astype(np.float64)
    W, b = rng.standard_normal((of.K, of.d)), np.zeros(of.K)
    for scale in (1.0, 2.0**-90):
        found = float(nc1_quotient(stats_of(H * scale, of, W, b)))
        assert found == pytest.approx(dense(H, of, W, b, rank)["nc1_quotient"], rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("offset", [0, 3, 30])
def test_layer_norm_of_torch_far_from_the_origin(dtype, offset):
    """Its mean is rounded, too, which moves all entries of a sample together: more than one rounding of each."""
    for seed, (K, d) in enumerate([(5, 3), (50, 3), (50, 8), (50, 24), (300, 64)]):
        rng = np.random.default_rng(seed)
        of = Sizes(K, d, np.full(K, 4), np.arange(4 * K) % K)
        W, b = rng.standard_normal((K, d)), np.zeros(K)
        before = torch.from_numpy(plain(of, rng).H + offset).to(dtype)
        gain, bias = (torch.from_numpy(rng.uniform(0.5, 1.5, d)).to(dtype) for _ in range(2))
        H = torch.nn.functional.layer_norm(before, (d,), gain, bias)
        found = FeatureStats.from_features(H, torch.from_numpy(of.labels), torch.from_numpy(W), torch.from_numpy(b))
        expected = dense(H.double().numpy(), of, W, b, d - 1)["nc1_quotient"]
        assert float(nc1_quotient(found)) == pytest.approx(expected, rel=1e-5), (K, d)


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_directions_near_rounding_without_a_gap_count(offset):
    """float32 with a common offset, whose rounding is 6e-5 and 4e-3 where the means differ by 1."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        of = Sizes(4, 6, np.full(4, 5), np.arange(20) % 4)
        H = (plain(of, rng).H + offset).astype(np.float32)
        W, b = rng.standard_normal((4, 6)), np.zeros(4)
        expected = dense(H.astype(float), of, W, b, 3)["nc1_quotient"]
        assert float(nc1_quotient(stats_of(H, of, W, b))) == pytest.approx(expected, rel=1e-5)


def test_a_small_direction_above_rounding_counts():
    """One class mean 1e-4 (float32: 1e-3 of the others' eps away) off the plane of the others, scatter along it."""
    rng, y = np.random.default_rng(0), np.repeat(np.arange(4), 2)
    of = Sizes(4, 3, np.full(4, 2), y)
    for dtype, height in ((np.float32, 1e-4), (np.float64, 1e-11)):
        means = np.array([[1.0, 0, 0], [0, 1, 0], [-1, -1, 0], [0, 0, height]])
        H = (means[y] + np.tile([[0, 0, 0.25], [0, 0, -0.25]], (4, 1))).astype(dtype)
        # M'M has the third column's part 3/4 height^2, the last row lies at the others' centre.
        expected = 0.0625 / (0.75 * height**2)
        assert float(nc1_quotient(stats_of(H, of, rng.standard_normal((4, 3)), np.zeros(4)))) == pytest.approx(
            expected, rel=1e-3
        )


def test_no_direction_at_all():
    """All class means equal up to rounding: as at the zero solution, nothing to divide by."""
    rng = np.random.default_rng(0)
    of = sizes(rng, (5, 5))
    found = metrics_of(around(np.ones((of.K, of.d)), of, rng), of, rng.standard_normal((of.K, of.d)), np.zeros(of.K))
    assert found["nc1_quotient"] == found["nc1_trace"] == np.inf
    assert np.isnan([found[name] for name in ("nc2_equinorm", "nc2_equiangular", "nc2_etf_distance")]).all()


def test_one_class_has_metrics():
    found = metrics_of(np.ones((3, 2)), Sizes(1, 2, np.array([3]), np.zeros(3, int)), np.ones((1, 2)), np.ones(1))
    assert np.isnan([found[name] for name in ("nc2_equiangular", "nc2_etf_distance", "nc3_self_duality")]).all()


def test_features_that_are_not_finite_have_no_metrics_and_leave_other_starts_alone():
    rng, y = np.random.default_rng(0), torch.arange(12) % 3
    H, W, b = (torch.from_numpy(rng.standard_normal(shape)) for shape in ((3, 12, 4), (3, 3, 4), (3, 3)))
    alone = collapse_metrics(FeatureStats.from_features(H[0], y, W[0], b[0]))
    H[1, 5, 2], H[2, 5, 2] = torch.nan, torch.inf
    for name, value in collapse_metrics(FeatureStats.from_features(H, y, W, b)).items():
        assert value[1:].isnan().all(), name
        torch.testing.assert_close(value[0], alone[name])
