"""Neural-collapse statistics of float32 features in memory, against the matrix sums that nothing can do without.

The *sums*: class sums Y'H, logits H W' and projections on the class means H M', three products in the features' own
precision, nothing subtracted and nothing of size d x d; with all features at once, as three lines of torch, and in
batches of 500, as `deepnet` runs its forward passes. `FeatureStats` needs the last two of features less their class
means, and takes the class sums by additions. The *dense formulas* build the d x d
matrices S_W and S_B and the pseudo-inverse of S_B, as NC1 = tr(S_W S_B^+) / K is written.
"""

import torch

from tests.benchmarks.measure import Row, alternately
from ufm.collapse import FeatureStats, nc1_quotient

K = 10
BATCH = 500


def run(is_tiny: bool) -> list[Row]:
    """50,000 and 5,000 features of dimension 2,048, with torch's default number of threads."""
    d, many, few = (64, 500, 200) if is_tiny else (2048, 50_000, 5_000)
    repetitions = 1 if is_tiny else 7
    H, labels, W, b = _collapsing(many, d)
    one_hot, basis = torch.nn.functional.one_hot(labels, K).float(), torch.randn(d, K)
    large = alternately(
        {
            "ours": (lambda: FeatureStats.from_features(H, labels, W, b), 1),
            "at once": (lambda: _sums(H, one_hot, W, basis, many), 1),
            "in batches": (lambda: _sums(H, one_hot, W, basis, BATCH), 1),
        },
        repetitions,
    )
    h, y = H[:few], labels[:few]
    small = alternately(
        {"ours": (lambda: _nc1(h, y, W, b), 1), "dense": (lambda: _dense_nc1(h, y), 1)}, 1 if is_tiny else 3
    )
    what = f"NC statistics, {many:,} x {d:,} features, K = {K}, over their three matrix sums"
    rows = [
        Row("NC", f"{what} {how}", "set", large["ours"], other, large["ours"].median / other.median, "<= 1.3")
        for how, other in large.items()
        if how != "ours"
    ]
    what = f"NC statistics, {few:,} x {d:,} features, K = {K}: seconds, beside dense formulas"
    return [*rows, Row("NC", what, "set", small["ours"], small["dense"], small["ours"].median, "<= 0.15")]


def _sums(H: torch.Tensor, one_hot: torch.Tensor, W: torch.Tensor, basis: torch.Tensor, size: int) -> torch.Tensor:
    total = torch.zeros_like(W)
    for start in range(0, len(H), size):
        rows = slice(start, start + size)
        total += one_hot[rows].mT @ H[rows]
        _ = H[rows] @ W.mT, H[rows] @ basis
    return total


def _collapsing(count: int, d: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features around their class means, as a ReLU net late in training has them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % K
    means = torch.randn(K, d, generator=generator)
    H = (means[labels] + 0.3 * torch.randn(count, d, generator=generator)).relu()
    return H, labels, means - means.mean(0), torch.zeros(K)


def _nc1(H: torch.Tensor, labels: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return nc1_quotient(FeatureStats.from_features(H, labels, W, b))


def _dense_nc1(H: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    H = H.double()
    means = torch.stack([H[labels == k].mean(0) for k in range(K)])
    x, M = H - means[labels], means - means.mean(0)
    return (x.mT @ x / len(H) @ torch.linalg.pinv(M.mT @ M / K, hermitian=True)).trace() / K
