"""Features as other people have them: arrays, halves, gradients, absent classes; and what is wrong with some."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ufm.collapse import FeatureStats, Moments, all_metrics, collapse_metrics, nc1_pinv, sweeps
from ufm.errors import RequestError
from ufm.tolerances import HULL_DISTANCE

K, D, N = 4, 6, 40
LABELS = torch.arange(N) % K


@pytest.fixture
def given(normal):
    return normal(N, D), LABELS, normal(K, D), normal(K)


def test_statistics_are_shown_without_their_numbers(given):
    H, y, W, _ = given
    assert repr(FeatureStats.from_features(H, y, W)) == "<statistics of features, 4 classes, d = 6, with a last layer>"
    many = repr(FeatureStats.from_features(H.expand(3, N, D), y))
    assert many == "<statistics of features, 4 classes, d = 6, without a last layer, starts (3,)>"


def numbers(stats: FeatureStats) -> dict[str, float]:
    return {name: float(value) for name, value in all_metrics(stats).items()}


def up_to_rounding(expected: dict[str, float]) -> dict[str, object]:
    """Of the same numbers computed in another order; `gnc2` is an iteration that ends at a tolerance."""
    close = {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}
    return close | {"gnc2": pytest.approx(expected["gnc2"], abs=HULL_DISTANCE)}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint64, ">i4"])
def test_labels_of_any_integer_type_and_arrays_of_numpy(given, dtype):
    H, y, W, b = given
    expected = numbers(FeatureStats.from_features(H, y, W, b))
    read_only = np.asfortranarray(H.numpy())[::-1]
    read_only.flags.writeable = False
    arrays = read_only, y.numpy()[::-1].astype(dtype), W.numpy(), b.numpy()
    assert numbers(FeatureStats.from_features(*arrays)) == up_to_rounding(expected)


def test_features_that_carry_a_gradient(given):
    H, y, W, b = given
    found = FeatureStats.from_features(H.clone().requires_grad_(), y, W.clone().requires_grad_(), b)
    assert numbers(found) == numbers(FeatureStats.from_features(H, y, W, b))
    assert not found.class_means.requires_grad
    large = torch.randn(2**15, 4, requires_grad=True)  # what the compiled loops take
    assert float(nc1_pinv(FeatureStats.from_features(large, torch.arange(2**15) % 3))) > 0


def test_ignored_samples_and_absent_classes_are_as_if_they_had_not_been_there(given):
    H, y, W, b = given
    sparse = torch.tensor([1, 3, 4, 8])
    labels = torch.where(torch.arange(N) % 5 == 0, -100, sparse[y])
    wide, bias = torch.full((10, D), torch.nan, dtype=torch.float64), torch.zeros(10, dtype=torch.float64)
    wide[sparse], bias[sparse] = W, b
    kept = labels != -100
    found = FeatureStats.from_features(torch.where(kept[:, None], H, torch.inf), labels, wide, bias)
    assert numbers(found) == up_to_rounding(numbers(FeatureStats.from_features(H[kept], y[kept], W, b)))
    assert found.present.nonzero()[:, 0].tolist() == sparse.tolist()
    assert found.counts.tolist() == [float((y[kept] == k).sum()) for k in range(K)]
    other = FeatureStats.from_features(H, torch.where(kept, labels, 11), num_classes=12, ignore_index=11)
    assert numbers(other) == pytest.approx(numbers(FeatureStats.from_features(H[kept], y[kept])), rel=1e-12)


@pytest.mark.parametrize(("K", "d"), [(60, 5), (20, 19), (20, 20), (20, 60)])
def test_tiles_change_nothing(monkeypatch, K, d):
    generator = torch.Generator().manual_seed(0)
    y, H = torch.arange(3 * K) % K, torch.randn(3 * K, d, generator=generator)
    W, b = torch.randn(K, d, generator=generator), torch.randn(K, generator=generator)
    whole = numbers(FeatureStats.from_features(H, y, W, b))
    monkeypatch.setattr("ufm.collapse.matrices.TILE", 7 * K)
    monkeypatch.setattr("ufm.collapse.sweeps.TILE", 0)
    monkeypatch.setattr("ufm.collapse.sweeps.MOST_CODES", 5)
    monkeypatch.setattr("ufm.collapse.matrices.CHUNK_BYTES", 50 * d)
    assert numbers(FeatureStats.from_features(H, y, W, b)) == pytest.approx(whole, rel=1e-6)


def test_more_classes_than_dimensions_have_the_nc4_of_all_distances():
    generator = torch.Generator().manual_seed(0)
    y, H = torch.arange(600) % 200, torch.randn(600, 5, generator=generator).double()
    W, b = torch.randn(200, 5, generator=generator).double(), torch.randn(200, generator=generator).double()
    means = torch.stack([H[y == k].mean(0) for k in range(200)])
    differ = torch.cdist(H, means).argmin(1) != (H @ W.mT + b).argmax(1)
    assert float(FeatureStats.from_features(H, y, W, b).nearest_mean_disagreement) == float(differ.double().mean())


NAN = torch.full((N, D), torch.nan)
REFUSED = {
    "nan": ({"H": NAN}, r"`H` must be finite, got nan or infinity in 40 of 40 samples"),
    "infinity in one": ({"H": torch.eye(N, D).div(0).nan_to_num(0, 1e300)}, r"`H` must be finite"),
    "lengths differ": ({"labels": LABELS[:-1]}, r"`labels` must be one class per sample, \(40,\) for features \(40, 6"),
    "float labels": ({"labels": LABELS.double()}, "`labels` must be a tensor of integers"),
    "labels as text": ({"labels": np.array(["a"] * N)}, "`labels` must be a tensor or an array of numbers"),
    "label too large": ({"labels": LABELS + 1}, r"`labels` must be in \[0, 4\), got 4"),
    "label below zero": ({"labels": LABELS - 1}, r"`labels` must be in \[0, 4\), got -1"),
    "all ignored": ({"labels": LABELS * 0 - 100}, "`labels` must be such that a sample is left"),
    "maps": ({"H": torch.zeros(N, D, 2, 2)}, r"`H` must be a floating-point tensor .*d = 6, got torch.float32"),
    "whole numbers": ({"H": torch.zeros(N, D, dtype=torch.long)}, r"`H` must be a floating-point tensor"),
    "W transposed": (
        {"W": torch.zeros(D, K)},
        r"`W` must be .*classes, 6\), as features have 6 dimensions, got .*\(6, 4\)",
    ),
    "W of another d": (
        {"W": torch.zeros(K, D + 1)},
        r"`W` must be .*classes, 6\), as features have 6 dimensions, got .*\(4, 7\)",
    ),
    "b that is nan": ({"b": torch.full((K,), torch.nan)}, "`b` must be finite, got nan or infinity"),
    "b alone": ({"W": None}, "`b` must be left out where there is no W"),
    "a list": ({"H": [[1.0]]}, "`H` must be a tensor or an array of numbers, got list"),
    "classes that W has not": ({"num_classes": 9}, "`num_classes` must be 4, the rows of W, or left out, got 9"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_one_sentence(given, case):
    changed, sentence = REFUSED[case]
    if case == "infinity in one":
        changed = {"H": given[0].clone().index_fill_(0, torch.tensor([3]), torch.inf)}
    with pytest.raises(RequestError, match=sentence):
        FeatureStats.from_features(**dict(zip(("H", "labels", "W", "b"), given, strict=True)) | changed)


def test_a_sweep_that_gives_nothing_or_only_once_is_refused(given):
    H, y, W, b = given
    once = iter([(H, y)])
    for sweep, got in ((lambda: [], "nothing"), (lambda: once, "40 samples, then 0")):
        with pytest.raises(RequestError, match=f"`sweep` must be a function that gives the same batches .*got {got}"):
            FeatureStats.from_sweeps(sweep, W, b)


def _trace(seed: int) -> float:
    """By the compiled loops, and too small for torch's own threads, which no fork survives."""
    sweeps.FEW = 0
    H = torch.randn(100, 4, generator=torch.Generator().manual_seed(seed))
    return float(collapse_metrics(FeatureStats.from_features(H, torch.arange(100) % 4))["nc1_trace"])


def test_forked_workers_compute_what_their_parent_does():
    """In a program of its own: threads of this one would be in the way of a fork."""
    code = (
        "import multiprocessing, torch; torch.set_num_threads(2); from tests.ufm.test_collapse_inputs import _trace\n"
        "own = [_trace(seed) for seed in range(2)]\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    assert pool.map_async(_trace, range(2)).get(60) == own"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=100)


@pytest.mark.slow
def test_four_thousand_classes_take_no_matrix_of_classes_by_classes():
    code = (
        "import resource, torch; from ufm.collapse import FeatureStats, collapse_metrics\n"
        "y = torch.arange(8000) % 4000; H = torch.randn(8000, 64); W, b = torch.randn(4000, 64), torch.zeros(4000)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); collapse_metrics(FeatureStats.from_features(H, y, W, b)); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 500_000  # kB


FAMILIES = {
    "plain": (10, 20),
    "more classes than dimensions": (40, 8),
    "one feature": (5, 1),
    "two classes": (2, 6),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("offset", "noise"), [(0, 0.3), (100, 1e-6), (1e4, 1e-2)])
def test_one_pass_equals_two(family, offset, noise):
    """Of all metrics but NC4, which takes two; batches of one sample and of many, merged in any order."""
    K, d = FAMILIES[family]
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, K, (6 * K,), generator=generator)
    H = offset + torch.randn(K, d, generator=generator).double()[y] + noise * torch.randn(6 * K, d, generator=generator)
    W, b = torch.randn(K, d, generator=generator).double(), torch.randn(K, generator=generator).double()
    expected = numbers(FeatureStats.from_features(H, y, W, b))
    expected.pop("nc4")
    parts = [Moments.zero(K, d) for _ in range(3)]
    for i, rows in enumerate(
        torch.split(torch.randperm(6 * K, generator=generator), [1, 3, 5 * K, K - 4] if K > 4 else [1] * 6 * K)
    ):
        parts[i % 3] = parts[i % 3].added(H[rows], y[rows])
    for merged in (parts[0].merged(parts[1]).merged(parts[2]), parts[2].merged(parts[0].merged(parts[1]))):
        found = numbers(merged.stats(W, b))
        assert found == pytest.approx(expected, rel=1e-6 if noise < 1e-3 else 1e-9, abs=1e-12)
    assert merged.stats(W).b is None
