"""Neural-collapse metrics NC1-NC4, one definition for free features and for trained networks.

Notation: K classes of equal weight, mu_k class means, mu_G = mean of the mu_k, M (K, d) the rows mu_k - mu_G,
x_i = h_i - mu_{y_i}, n(A) = A / |A|_F, E = (I - 11'/K) / sqrt(K - 1). The metrics see features only through
`FeatureStats`, whose sums are taken in float64 and, apart from the means, in the space of the class means: no d x d
matrix appears. Every metric is 0 at perfect collapse and never negative; a common factor of the features (and its
inverse in W) changes none. A metric that divides by |M| or |W| is nan or inf where that is zero (the zero solution);
where features are not finite, the metrics are nan.

*What of the class means is rounding.* The features are known to a relative eps, so a class mean of n_k of them, summed
in float64, is known to

    rho_k = (eps + n_k 2^-52) sqrt(|mu_k|^2 + tr S_W) ,

and M, whose centring lengthens nothing, to rho = sqrt(sum_k rho_k^2) in the Frobenius norm. By Weyl's inequality a
singular value s_j of M up to rho may be one of 0: such a direction does not count as one of S_B, whether features sum
to a constant (LayerNorm), lie in fewer dimensions, or classes share a mean. What is behind a feature may have cost it
more than one rounding (LayerNorm far from the origin: some 40), so neither does a direction with s_j <= 64 rho where
the singular values have a gap, s_j <= s_{j-1} / 64, and none after one that does not. In the same way a row of M up to
rho_k + mean(rho) is 0. eps is that of the features' dtype, or float32's where float64 features have no more digits:
hand in features in the precision in which they were computed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from ufm import collapse_compiled
from ufm.errors import check
from ufm.labels import described, one_per_sample

CHUNK_BYTES = 2**22
"""Features in memory are taken in pieces of about this size, which a processor's caches hold together with copies."""
EPS = torch.finfo(torch.float64).eps
ROUNDINGS = 64
"""What the arithmetic behind a feature may cost; a gap between singular values as large tells it from a direction."""

Sweep = Callable[[], Iterable[tuple[Float[Tensor, "*batch n d"], Integer[Tensor, " n"]]]]
"""Gives all features and labels, batch by batch; the same again when called again."""


@dataclass(frozen=True)
class FeatureStats:
    """What the metrics need to know of N features; leading axes are independent.

    Attributes:
        class_means: mu_k.
        within_trace: tr S_W = (1/N) sum_i |x_i|^2.
        within_along_means: v_j' S_W v_j = (1/N) sum_i (v_j' x_i)^2 for the right singular vectors v_j of M, in order.
        nearest_mean_disagreement: share of samples whose nearest class mean is not that of the class the classifier
            picks, nor equal to it up to rounding.
        mean_square_norm: (1/N) sum_i |h_i|^2 (not centred).
        W, b: the last layer.
        eps: to what the class means are known, relative to the root mean square of the features: eps + n_k 2^-52.

    Raises:
        ValueError: if any of them is not float64.
    """

    class_means: Float[Tensor, "*batch K d"]
    within_trace: Float[Tensor, "*batch"]
    within_along_means: Float[Tensor, "*batch r"]
    nearest_mean_disagreement: Float[Tensor, "*batch"]
    mean_square_norm: Float[Tensor, "*batch"]
    W: Float[Tensor, "*batch K d"]
    b: Float[Tensor, "*batch K"]
    eps: Float[Tensor, "*#batch #K"] = field(default_factory=lambda: torch.full((1,), EPS, dtype=torch.float64))

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            is_double = isinstance(value, Tensor) and value.dtype == torch.float64
            check(is_double, f"FeatureStats({name}=...)", getattr(value, "dtype", type(value)), "a float64 tensor")

    @property
    def global_mean(self) -> Float[Tensor, "*batch d"]:
        """mu_G, the mean of the class means (classes weigh the same)."""
        return self.class_means.mean(-2)

    @property
    def centred_means(self) -> Float[Tensor, "*batch K d"]:
        """M; a row that is 0 up to rounding is 0."""
        M = _centred(self.class_means)
        known_to = self.rounding + self.rounding.mean(-1, keepdim=True)
        return torch.where((M.norm(dim=-1) <= known_to).unsqueeze(-1), 0.0, M)

    @property
    def rounding(self) -> Float[Tensor, "*batch K"]:
        """rho_k, what of each class mean is rounding."""
        return self.eps * (self.class_means.square().sum(-1) + self.within_trace.unsqueeze(-1)).sqrt()

    @classmethod
    def from_features(
        cls,
        H: Float[Tensor, "*batch N d"],
        labels: Integer[Tensor, " N"],
        W: Float[Tensor, "*batch K d"],
        b: Float[Tensor, "*batch K"],
    ) -> "FeatureStats":
        """Of features in memory (or in a memory-mapped file), taken in pieces that fit a processor's cache.

        Features that carry a gradient are taken without it.

        Raises:
            ValueError: if these are not tensors of such shapes on one device, a label is not a class, or a class has no
                sample.
        """
        check(isinstance(W, Tensor) and W.ndim >= 2, "W", described(W), "a tensor (..., classes, d)")
        _check_features(H, W)
        own = one_per_sample(labels, H, W.shape[-2])
        return cls.from_sweeps(lambda: ((H[..., rows, :], own[rows]) for rows in chunks(H)), W, b)

    @classmethod
    @torch.no_grad()
    def from_sweeps(cls, sweep: Sweep, W: Float[Tensor, "*batch K d"], b: Float[Tensor, "*batch K"]) -> "FeatureStats":
        """Of features that come in batches, one in memory at a time: `sweep()` is called twice and gives the same.

        The first sweep finds the class means, the second everything that is centred by them; a single one would need
        a d x d matrix. Products run in the features' own precision (at least float32), on features less their class
        mean; sums over samples are in float64, class sums of features less the class's first one. So what is lost is
        relative to the deviations from the means, however large a common offset the features have, and features that
        are equal within their class deviate by 0.

        Raises:
            ValueError: as `from_features`.
        """
        check(isinstance(W, Tensor) and W.ndim >= 2, "W", described(W), "a tensor (..., classes, d)")
        is_bias = isinstance(b, Tensor) and b.shape == W.shape[:-1]
        check(is_bias, "b", described(b), f"a tensor {tuple(W.shape[:-1])}, one bias for each row of W")
        W, b = W.detach().double(), b.detach().double()
        return _stats(sweep, _class_means(sweep, W), W, b)


class _Means(NamedTuple):
    """How many samples each class has, their mean, eps of the features, and the precision of products."""

    counts: Float[Tensor, " K"]
    means: Float[Tensor, "*batch K d"]
    eps: Float[Tensor, "*batch"]
    dtype: torch.dtype


def _class_means(sweep: Sweep, W: Float[Tensor, "*batch K d"]) -> _Means:
    """The first sweep."""
    K = W.shape[-2]
    counts, sums, shift = W.new_zeros(K), torch.zeros_like(W), torch.zeros_like(W)
    eps, is_short = EPS, W.new_ones(W.shape[:-2], dtype=torch.bool)
    for batch, of_batch in sweep():
        _check_features(batch, W)
        labels, H = one_per_sample(of_batch, batch, K), batch.detach().to(_working_precision(batch))
        own_counts = torch.bincount(labels, minlength=K).double()
        is_new = (own_counts > 0) & (counts == 0)
        if is_new.any():
            shift = shift.to(H.dtype)
            shift[..., is_new, :] = H[..., _first_of_each(labels, K)[is_new], :]
        counts += own_counts
        eps, is_short = torch.finfo(batch.dtype).eps, _still_short(is_short, H)
        if collapse_compiled.can_take(H):
            collapse_compiled.add_class_sums(H, labels, shift, sums)
        else:
            one_hot = torch.nn.functional.one_hot(labels, K).double()
            sums += one_hot.mT @ (H - shift[..., labels, :]).double()
    check(bool((counts > 0).all()), "labels", counts.long().tolist(), "such that every class has a sample (counts)")
    known_to = torch.where(is_short, max(eps, torch.finfo(torch.float32).eps), eps).double()
    return _Means(counts, sums / counts[:, None] + shift, known_to, shift.dtype)


class _Sums(NamedTuple):
    """Sums over the samples of |x|^2, of (v_j' x)^2, and how many have which nearest mean (row) and picked class."""

    squares: Float[Tensor, "*batch"]
    along: Float[Tensor, "*batch r"]
    choices: Float[Tensor, "*batch K K"]


def _centred_sums(
    sweep: Sweep, means: Float[Tensor, "*batch K d"], V: Float[Tensor, "*batch d r"], W: Tensor, b: Tensor
) -> _Sums:
    """The second sweep; means and directions are rounded to the features' precision in it."""
    K, M = means.shape[-2], _centred(means)
    of_W, of_M = power_of_two(W), power_of_two(M)  # so that no product over- or underflows
    both, inside = torch.cat([V, (W / of_W).mT], -1), (M / of_M) @ V
    gram, mean_logits = inside @ inside.mT, (means @ W.mT + b.unsqueeze(-2)) / of_W
    squares, along = W.new_zeros(W.shape[:-2]), W.new_zeros(*W.shape[:-2], V.shape[-1])
    choices = W.new_zeros(*W.shape[:-2], K * K)
    for batch, of_batch in sweep():
        own, H = of_batch.long(), batch.detach().to(_working_precision(batch))
        x, of_x = _deviations(H, own, means.to(H.dtype))
        coordinates, along_W = torch.split(x @ both.to(H.dtype), [V.shape[-1], K], -1)
        squares += of_x.sum(-1)
        along += coordinates.double().square().sum(-2)
        # |h - mu_k|^2 up to a constant per sample, from x so that no large numbers cancel.
        along_M = (coordinates @ inside.mT.to(H.dtype)).double() / of_M
        to_mean = gram.diagonal(dim1=-2, dim2=-1).unsqueeze(-2) - 2 * (along_M + gram[..., own, :])
        picked = (along_W.double() + mean_logits[..., own, :]).argmax(-1)
        choice = to_mean.argmin(-1) * K + picked
        choices.scatter_add_(-1, choice, torch.ones_like(choice, dtype=torch.float64))
    return _Sums(squares, along, choices.view(*W.shape[:-2], K, K))


def _stats(sweep: Sweep, first: _Means, W: Float[Tensor, "*batch K d"], b: Float[Tensor, "*batch K"]) -> FeatureStats:
    """The second sweep, what it rounded taken out again."""
    counts, means, eps, dtype = first
    N, known_to = counts.sum(), eps.unsqueeze(-1) + counts * EPS
    V = torch.linalg.svd(_finite(_centred(means)), full_matrices=False).Vh.mT
    squares, along, choices = _centred_sums(sweep, means, V, W, b)
    # A class's x sum to its count times the rounding of its mean, exactly.
    rounding = (means - means.to(dtype)) * counts.sqrt()[:, None]
    squares = (squares - rounding.square().sum((-2, -1))).clamp(min=0)
    along = (along - (rounding @ V).square().sum(-2)).clamp(min=0)
    square_norms = squares + (counts * means.square().sum(-1)).sum(-1)
    stats = FeatureStats(means, squares / N, along / N, torch.zeros_like(squares), square_norms / N, W, b, known_to)
    differ = (choices * ~_same_means(stats, V)).sum((-2, -1))
    return replace(stats, nearest_mean_disagreement=torch.where(squares.isfinite(), differ / N, torch.nan))


def _same_means(stats: FeatureStats, V: Tensor) -> Bool[Tensor, "*batch K K"]:
    """The pairs of classes whose means are equal up to rounding: which of them is nearer says nothing."""
    M = _centred(stats.class_means)
    scale = power_of_two(M)
    inside, rounding = (M / scale) @ V, stats.rounding / scale[..., 0]
    apart = torch.cdist(inside, inside, compute_mode="donot_use_mm_for_euclid_dist")
    return apart <= rounding.unsqueeze(-1) + rounding.unsqueeze(-2)


def _deviations(H: Tensor, labels: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """x = h - mu_y, small where features have collapsed, and |x|^2 in float64."""
    if collapse_compiled.can_take(H):
        return collapse_compiled.deviations(H, labels, means)
    x = H - means[..., labels, :]
    return x, torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64).square()


def _check_features(H: Tensor, W: Tensor) -> None:
    allowed = f"a floating-point tensor (..., samples, d) with W's leading axes and its d = {W.shape[-1]}"
    is_features = isinstance(H, Tensor) and H.is_floating_point() and H.ndim == W.ndim
    is_features = is_features and (*H.shape[:-2], H.shape[-1]) == (*W.shape[:-2], W.shape[-1])
    check(is_features, "H", described(H), allowed)
    check(W.device == H.device, "W", W.device, f"where the features are, on {H.device}")


def _first_of_each(labels: Int[Tensor, " n"], K: int) -> Int[Tensor, " K"]:
    """Position of each class's first sample, n for one without."""
    n = len(labels)
    places = torch.arange(n, device=labels.device)
    return places.new_full((K,), n).scatter_reduce(0, labels, places, "amin")


def _still_short(is_short: Bool[Tensor, "*batch"], H: Float[Tensor, "*batch n d"]) -> Bool[Tensor, "*batch"]:
    """Whether no feature so far has more than float32's 24 digits: splitting them off (Veltkamp 1968) leaves zero."""
    for rows in (slice(1), slice(None)) if H.dtype == torch.float64 else ():  # one sample mostly settles it
        if is_short.any():
            shifted = H[..., rows, :] * (2**29 + 1)
            is_short = is_short & (shifted - (shifted - H[..., rows, :]) == H[..., rows, :]).flatten(-2).all(-1)
    return is_short


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
    """tr(S_W S_B^+) / K (Papyan, Han, Donoho 2020; Zhu et al. 2021).

    With M = U s V', S_B^+ = K V s^-2 V' over the singular values that are not rounding (as at the head of this file),
    so the quotient is sum_j (v_j' S_W v_j) / s_j^2. inf or nan where there is none of them.
    """
    s = torch.linalg.svdvals(_finite(_centred(stats.class_means)))
    is_direction = _above_rounding(s, torch.linalg.vector_norm(stats.rounding, dim=-1, keepdim=True))
    quotient = torch.where(is_direction, stats.within_along_means / s.square(), 0.0).sum(-1)
    return torch.where(is_direction.any(-1), quotient, stats.within_trace / 0.0)


def _above_rounding(s: Float[Tensor, "*batch r"], rho: Float[Tensor, "*batch 1"]) -> Bool[Tensor, "*batch r"]:
    """Which of these singular values, largest first, are directions: those before the first that is rounding."""
    before = torch.cat([s[..., :1], s[..., :-1]], -1)
    is_rounding = ~(s > rho) | ((s <= ROUNDINGS * rho) & (s <= before / ROUNDINGS))
    return is_rounding.cumsum(-1) == 0


def nc2_equinorm(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """Standard deviation of the rows' norms over their mean (Papyan, Han, Donoho 2020)."""
    norms = (M / power_of_two(M)).norm(dim=-1)
    return norms.std(-1, correction=0) / norms.mean(-1)


def nc2_equiangular(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """Mean over pairs of |cos + 1/(K - 1)| (Papyan, Han, Donoho 2020); nan for one class."""
    return (cosines(M) + 1 / max(1, M.shape[-2] - 1)).abs().mean(-1)


def cosines(rows: Float[Tensor, "*batch m d"]) -> Float[Tensor, "*batch pairs"]:
    """Of all ordered pairs of different rows; 0 with a row that is zero, nan where all are."""
    rows = rows / power_of_two(rows)
    norms = rows.norm(dim=-1, keepdim=True)
    is_alone = (norms == 0) & (norms > 0).any(-2, keepdim=True)
    unit = rows / torch.where(is_alone, 1.0, norms)
    return (unit @ unit.mT)[..., ~torch.eye(rows.shape[-2], dtype=torch.bool, device=rows.device)]


def nc2_etf_distance(M: Float[Tensor, "*batch K d"]) -> Float[Tensor, "*batch"]:
    """|n(M M') - E|_F (Zhu et al. 2021, there for the rows of W), M taken as it is (centre it yourself)."""
    M = M / power_of_two(M)
    return (_unit(M @ M.mT) - _simplex(M)).norm(dim=(-2, -1))


def nc3_self_duality(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|n(Pi W) - n(M)|_F, Pi W the rows of W less their mean (Papyan, Han, Donoho 2020, there squared and with W as it
    is).

    A row that all classes share moves no decision; squared error keeps one where its bias is decayed or absent.
    """
    return (_unit(_centred(stats.W)) - _unit(stats.centred_means)).norm(dim=(-2, -1))


def nc3_etf_distance(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|n(W M') - E|_F (Zhu et al. 2021)."""
    W, M = (A / power_of_two(A) for A in (stats.W, stats.centred_means))
    return (_unit(W @ M.mT) - _simplex(W)).norm(dim=(-2, -1))


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


def power_of_two(A: Float[Tensor, "*batch m n"]) -> Float[Tensor, "*batch 1 1"]:
    """One near the largest entry (1 for a matrix of zeros): A over it is A, exactly, and its squares are of size 1."""
    largest = A.abs().amax((-2, -1), keepdim=True)
    power = largest / (2 * torch.frexp(largest).mantissa)
    return torch.where((power > 0) & power.isfinite(), power, 1.0)


def _centred(A: Tensor) -> Tensor:
    """The rows less their mean; zero where that is rounding, so that equal rows leave no direction."""
    C, scale = A - A.mean(-2, keepdim=True), power_of_two(A)
    size, of_C = ((each / scale).norm(dim=(-2, -1), keepdim=True) for each in (A, C))
    return torch.where(of_C <= A.shape[-2] * EPS * size, 0.0, C)


def _finite(A: Tensor) -> Tensor:
    """A, or zeros where an entry is not finite: a decomposition would raise an error for the whole batch."""
    return torch.where(A.isfinite().all(-1, keepdim=True).all(-2, keepdim=True), A, 0.0)


def _unit(A: Tensor) -> Tensor:
    A = A / power_of_two(A)
    return A / A.norm(dim=(-2, -1), keepdim=True)


def _simplex(like: Tensor) -> Tensor:
    """E, the Gram matrix of a simplex equiangular tight frame of unit Frobenius norm; nan for one class."""
    K = like.shape[-2]
    return _unit(torch.eye(K, dtype=like.dtype, device=like.device) - 1 / K)
