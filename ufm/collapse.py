"""Neural-collapse metrics NC1-NC4, one definition for free features and for trained networks.

Notation: K classes of equal weight, mu_k class means, mu_G = mean of the mu_k, M (K, d) the rows mu_k - mu_G,
x_i = h_i - mu_{y_i}, n(A) = A / |A|_F, E = (I - 11'/K) / sqrt(K - 1). The metrics see features only through
`FeatureStats`, whose sums are taken in float64 and, apart from the means, in class space (K x K): no d x d matrix
appears. Every metric is 0 at perfect collapse. A metric that divides by |M| or |W| is nan or inf where that is zero
(the zero solution).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm import collapse_compiled
from ufm.command_line import check

CHUNK_BYTES = 2**22
"""Features in memory are taken in pieces of about this size, which a processor's caches hold together with copies."""

Sweep = Callable[[], Iterable[tuple[Float[Tensor, "*batch n d"], Int[Tensor, " n"]]]]
"""Gives all features and labels, batch by batch; the same again when called again."""


@dataclass(frozen=True)
class FeatureStats:
    """What the metrics need to know of N features; leading axes are independent.

    Attributes:
        class_means: mu_k.
        within_trace: tr S_W = (1/N) sum_i |x_i|^2.
        within_in_class_space: M S_W M' = (1/N) sum_i (M x_i)(M x_i)'.
        nearest_mean_disagreement: share of samples whose nearest class mean is not the class the classifier picks.
        mean_square_norm: (1/N) sum_i |h_i|^2 (not centred).
        W, b: the last layer.

    Raises:
        ValueError: if any of them is not float64.
    """

    class_means: Float[Tensor, "*batch K d"]
    within_trace: Float[Tensor, "*batch"]
    within_in_class_space: Float[Tensor, "*batch K K"]
    nearest_mean_disagreement: Float[Tensor, "*batch"]
    mean_square_norm: Float[Tensor, "*batch"]
    W: Float[Tensor, "*batch K d"]
    b: Float[Tensor, "*batch K"]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check(value.dtype == torch.float64, f"FeatureStats({name}=...)", value.dtype, "a float64 tensor")

    @property
    def global_mean(self) -> Float[Tensor, "*batch d"]:
        """mu_G, the mean of the class means (classes weigh the same)."""
        return self.class_means.mean(-2)

    @property
    def centred_means(self) -> Float[Tensor, "*batch K d"]:
        """M."""
        return self.class_means - self.global_mean.unsqueeze(-2)

    @classmethod
    def from_features(
        cls,
        H: Float[Tensor, "*batch N d"],
        labels: Int[Tensor, " N"],
        W: Float[Tensor, "*batch K d"],
        b: Float[Tensor, "*batch K"],
    ) -> "FeatureStats":
        """Of features in memory (or in a memory-mapped file), taken in pieces that fit a processor's cache.

        Raises:
            ValueError: if a class has no sample.
        """
        return cls.from_sweeps(lambda: ((H[..., rows, :], labels[rows]) for rows in chunks(H)), W, b)

    @classmethod
    def from_sweeps(cls, sweep: Sweep, W: Float[Tensor, "*batch K d"], b: Float[Tensor, "*batch K"]) -> "FeatureStats":
        """Of features that come in batches, one in memory at a time: `sweep()` is called twice and gives the same.

        The first sweep finds the class means, the second everything that is centred by them; a single one would need
        a d x d matrix. Products run in the features' own precision (at least float32), on features less their class
        mean and class sums of features less the first batch's mean; sums over batches are in float64. So what is lost
        is relative to the deviations from the means, however large a common offset the features have.

        Raises:
            ValueError: if a class has no sample.
        """
        W, b = W.double(), b.double()
        counts, means = _class_means(sweep, W.shape[-2])
        return _centred_sums(sweep, counts, means, W, b)


def _class_means(sweep: Sweep, K: int) -> tuple[Float[Tensor, " K"], Float[Tensor, "*batch K d"]]:
    """How many samples each class has, and their mean."""
    counts = sums = shift = torch.zeros((), dtype=torch.float64)
    for batch, labels in sweep():
        H = batch.to(_working_precision(batch))
        if shift.ndim == 0:
            shift = H.mean(-2, keepdim=True)
            sums = torch.zeros(*H.shape[:-2], K, H.shape[-1], dtype=torch.float64, device=H.device)
        own_counts = torch.bincount(labels, minlength=K)
        check(len(own_counts) == K, "labels", len(own_counts) - 1, f"below K = {K}, the rows of W")
        counts = counts.to(H.device) + own_counts.double()
        if collapse_compiled.can_take(H):
            collapse_compiled.add_class_sums(H, labels, shift, sums)
        else:
            one_hot = torch.nn.functional.one_hot(labels, K).to(H.dtype)
            sums += (one_hot.mT @ (H - shift)).double()
    check(bool((counts > 0).all()), "labels", counts.long().tolist(), "such that every class has a sample (counts)")
    return counts, sums / counts[:, None] + shift


def _centred_sums(sweep: Sweep, counts: Tensor, means: Tensor, W: Tensor, b: Tensor) -> FeatureStats:
    """The second sweep."""
    K, N = W.shape[-2], counts.sum()
    M = means - means.mean(-2, keepdim=True)
    both, gram, mean_logits = torch.cat([M, W], -2).mT, M @ M.mT, means @ W.mT + b.unsqueeze(-2)
    trace, scatter, disagree = (torch.zeros((), dtype=torch.float64, device=means.device) for _ in range(3))
    for H, own in sweep():
        dtype = _working_precision(H)
        x = H.to(dtype) - means.to(dtype)[..., own, :]  # small where features have collapsed
        along_M, along_W = torch.split((x @ both.to(dtype)).double(), K, -1)
        trace = trace + torch.linalg.vector_norm(x, dim=-1).double().square().sum(-1)
        scatter = scatter + along_M.mT @ along_M
        # |h - mu_k|^2 up to a constant per sample, from x so that no large numbers cancel.
        to_mean = gram.diagonal(dim1=-2, dim2=-1).unsqueeze(-2) - 2 * (along_M + gram[..., own, :])
        picked = (along_W + mean_logits[..., own, :]).argmax(-1)
        disagree = disagree + (to_mean.argmin(-1) != picked).double().sum(-1)
    # The means were rounded to the features' precision: a class's x then sum to count times the rounding, exactly.
    rounding = (means - means.to(dtype)) * counts.sqrt()[:, None]
    trace = trace - rounding.square().sum((-2, -1))
    scatter = scatter - (rounding @ M.mT).mT @ (rounding @ M.mT)
    square = trace + (counts * means.square().sum(-1)).sum(-1)
    return FeatureStats(means, trace / N, scatter / N, disagree / N, square / N, W, b)


def _working_precision(H: Tensor) -> torch.dtype:
    return torch.promote_types(H.dtype, torch.float32)


def collapse_metrics(stats: FeatureStats) -> dict[str, Float[Tensor, "*batch"]]:
    """The default set, used by every table of this project."""
    return {
        "nc1_trace": nc1_trace(stats),
        "nc1_quotient": nc1_quotient(stats),
        "nc2_equinorm": nc2_equinorm(stats.centred_means),
        "nc2_equiangular": nc2_equiangular(stats.centred_means),
        "nc2_etf_distance": nc2_etf_distance(stats.centred_means),
        "nc3_self_duality": nc3_self_duality(stats),
        "nc4_disagreement": stats.nearest_mean_disagreement,
        "bias_residual": bias_residual(stats),
    }


def nc1_trace(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """tr S_W / tr S_B with S_B = M'M / K."""
    K = stats.W.shape[-2]
    return stats.within_trace / (stats.centred_means.square().sum((-2, -1)) / K)


def nc1_quotient(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """tr(S_W S_B^+) / K (Papyan, Han, Donoho 2020; Zhu et al. 2021), S_B^+ of rank min(K - 1, d) by construction.

    With M = U s V': S_B^+ = K V s^-2 V', so the trace is K tr(s^-2 U' (M S_W M') U s^-2).
    """
    M = stats.centred_means
    K, d = M.shape[-2:]
    rank = min(K - 1, d)
    U, s, _ = torch.linalg.svd(torch.nan_to_num(M), full_matrices=False)
    U, s = U[..., :rank], s[..., :rank]
    in_basis = (U.mT @ stats.within_in_class_space @ U).diagonal(dim1=-2, dim2=-1)
    return (in_basis / s.pow(4)).sum(-1)


def nc2_equinorm(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """Standard deviation of the rows' norms over their mean (Papyan, Han, Donoho 2020)."""
    norms = M.norm(dim=-1)
    return norms.std(-1, correction=0) / norms.mean(-1)


def nc2_equiangular(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """Mean over pairs of |cos + 1/(K - 1)| (Papyan, Han, Donoho 2020)."""
    K = M.shape[-2]
    unit = M / M.norm(dim=-1, keepdim=True)
    off = ~torch.eye(K, dtype=torch.bool, device=M.device)
    return ((unit @ unit.mT)[..., off] + 1 / (K - 1)).abs().mean(-1)


def nc2_etf_distance(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """|n(M M') - E|_F (Zhu et al. 2021, there for the rows of W), M taken as it is (centre it yourself)."""
    gram = M @ M.mT
    return (_unit(gram) - _simplex(M)).norm(dim=(-2, -1))


def nc3_self_duality(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|n(Pi W) - n(M)|_F, Pi W the rows of W less their mean (Papyan, Han, Donoho 2020, there squared and with W as it
    is).

    A row that all classes share moves no decision; squared error keeps one where its bias is decayed or absent.
    """
    W = stats.W - stats.W.mean(-2, keepdim=True)
    return (_unit(W) - _unit(stats.centred_means)).norm(dim=(-2, -1))


def nc3_etf_distance(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|n(W M') - E|_F (Zhu et al. 2021)."""
    product = stats.W @ stats.centred_means.mT
    return (_unit(product) - _simplex(stats.W)).norm(dim=(-2, -1))


def bias_residual(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|Pi (W mu_G + b)|, Pi = I - 11'/K: what the global mean and the bias add to the logits.

    Zhu et al. 2021 take |W mu_G + b|; the part along 1 moves no softmax and, with a free bias, no loss, so it is left
    out.
    """
    offset = (stats.W @ stats.global_mean.unsqueeze(-1))[..., 0] + stats.b
    return (offset - offset.mean(-1, keepdim=True)).norm(dim=-1)


def chunks(H: Float[Tensor, "*batch N d"]) -> Iterator[slice]:
    """Slices of the sample axis, each about CHUNK_BYTES."""
    per_sample = H.element_size() * H.numel() // max(1, H.shape[-2])
    step = max(1, CHUNK_BYTES // max(per_sample, 1))
    return (slice(start, start + step) for start in range(0, H.shape[-2], step))


def _unit(A: Tensor) -> Tensor:
    return A / A.norm(dim=(-2, -1), keepdim=True)


def _simplex(like: Tensor) -> Tensor:
    """E, the Gram matrix of a simplex equiangular tight frame of unit Frobenius norm."""
    K = like.shape[-2]
    eye = torch.eye(K, dtype=like.dtype, device=like.device)
    return (eye - 1 / K) / (K - 1) ** 0.5
