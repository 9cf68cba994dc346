"""The statistics of features that neural-collapse metrics take, and how much of them is rounding.

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

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ufm.arguments import Rule, any_integer, check_fields, function, instance, integer, optional, takes, tensor
from ufm.arguments import progress as progress_rule
from ufm.collapse import sweeps
from ufm.collapse.arrays import IGNORED, LARGEST_CLASS, labels_of, last_layer_of, number_of_classes, tensor_of
from ufm.collapse.matrices import EPS, centred, chunks, finite
from ufm.collapse.sweeps import Sweep, check_features, rounding_of
from ufm.errors import check
from ufm.labels import described, labels_below

classes = optional(integer(1, LARGEST_CLASS))
matrix = tensor(..., "K", "d")
ROUNDINGS = 64
"""Roundings that the arithmetic behind a feature may add up; a direction stands out by a gap as large."""


@dataclass(frozen=True)
class FeatureStats:
    """The statistics of N features that the metrics take; leading axes are independent of each other.

    Classes without a sample are left out: K counts the others, and W and b are their rows.

    Attributes:
        class_means: mu_k.
        within_trace: tr S_W = (1/N) sum_i |x_i|^2.
        within_along_means: v_j' S_W v_j = (1/N) sum_i (v_j' x_i)^2 for the right singular vectors v_j of M, in order.
        nearest_mean_disagreement: share of samples whose nearest class mean is not that of the class the classifier
            picks, nor equal to it up to rounding; None where there is no classifier, or samples were seen only once.
        mean_square_norm: (1/N) sum_i |h_i|^2 (not centred).
        W, b: the last layer, None where there is none.
        eps: to what the class means are known, relative to the root mean square of the features: eps + n_k 2^-52.
        class_variances: (1/n_k) sum_i |x_i|^2 over the samples of class k.
        counts: n_k.
        present: which of the classes have samples.

    Raises:
        ValueError: if any of them is not float64, or of another shape.
    """

    class_means: Float[Tensor, "*batch K d"]
    within_trace: Float[Tensor, "*batch"]
    within_along_means: Float[Tensor, "*batch r"]
    nearest_mean_disagreement: Float[Tensor, "*batch"] | None
    mean_square_norm: Float[Tensor, "*batch"]
    W: Float[Tensor, "*batch K d"] | None
    b: Float[Tensor, "*batch K"] | None
    eps: Float[Tensor, "*#batch #K"] = field(default_factory=lambda: torch.full((1,), EPS, dtype=torch.float64))
    class_variances: Float[Tensor, "*batch K"] | None = None
    counts: Float[Tensor, " K"] | None = None
    present: Bool[Tensor, " K_all"] | None = None

    def __post_init__(self) -> None:
        check_fields(self, class_means=matrix, W=optional(matrix), b=optional(tensor(..., "K")))
        *starts, K, _ = self.class_means.shape
        each = tensor(*starts)
        check_fields(self, within_trace=each, within_along_means=tensor(*starts, None), mean_square_norm=each)
        check_fields(self, nearest_mean_disagreement=optional(each), class_variances=optional(tensor(*starts, K)))
        check_fields(self, counts=optional(tensor(K)), present=optional(tensor(None, dtypes=(torch.bool,))))
        eps = Rule(lambda v: tensor(..., 1).holds(v) or tensor(..., K).holds(v), f"a float64 tensor (..., {K} or 1)")
        check_fields(self, eps=eps)

    def __repr__(self) -> str:
        """The sizes, without the numbers."""
        *starts, K, d = self.class_means.shape
        kinds = ("statistics of features", f"{K} classes", f"d = {d}", "with" if self.W is not None else "without")
        return f"<{', '.join(kinds)} a last layer{f', starts {tuple(starts)}' if starts else ''}>"

    @property
    def global_mean(self) -> Float[Tensor, "*batch d"]:
        """mu_G, the mean of the class means (classes weigh the same)."""
        return self.class_means.mean(-2)

    @property
    def centred_means(self) -> Float[Tensor, "*batch K d"]:
        """M, the class means less the global mean; a row that is 0 up to rounding is set to 0."""
        M = centred(self.class_means)
        known_to = self.rounding + self.rounding.mean(-1, keepdim=True)
        return torch.where((M.norm(dim=-1) <= known_to).unsqueeze(-1), 0.0, M)

    @property
    def rounding(self) -> Float[Tensor, "*batch K"]:
        """rho_k, the rounding error of each class mean."""
        return rounding_of(self.class_means, self.within_trace, self.eps)

    def between(self) -> tuple[Float[Tensor, "*batch r"], Bool[Tensor, "*batch r"], Float[Tensor, "*batch d r"]]:
        """The factors of M = U s V': s, largest first; whether each exceeds rounding; and V."""
        _, s, Vh = torch.linalg.svd(finite(centred(self.class_means)), full_matrices=False)
        return s, self.above_rounding(s), Vh.mT

    def above_rounding(self, s: Float[Tensor, "*batch r"]) -> Bool[Tensor, "*batch r"]:
        """Whether each of M's singular values, largest first, comes before the first that is rounding."""
        rho = torch.linalg.vector_norm(self.rounding, dim=-1, keepdim=True)
        before = torch.cat([s[..., :1], s[..., :-1]], -1)
        is_rounding = ~(s > rho) | ((s <= ROUNDINGS * rho) & (s <= before / ROUNDINGS))
        return is_rounding.cumsum(-1) == 0

    @classmethod
    @takes(num_classes=classes, ignore_index=any_integer, progress=progress_rule)
    def from_features(
        cls,
        H: Any,
        labels: Any,
        W: Any = None,
        b: Any = None,
        *,
        num_classes: int | None = None,
        ignore_index: int = IGNORED,
        progress: Callable[[int], object] | None = None,
    ) -> "FeatureStats":
        """The statistics of features in memory or in a memory-mapped file, read in pieces that fit a processor's cache.

        Arrays of numpy or tensors, in any precision, with or without a gradient: H (..., N, d), labels (N,), W
        (..., K, d) and b (..., K). Without W there are as many classes as `num_classes` says, or as the labels need;
        without b it is 0. Samples with the label `ignore_index` are left out, and so are classes without a sample.
        `progress` is called with the number of samples done since the last call: each twice, for its class's mean and
        for what is left around it.

        Raises:
            ValueError: if these are not of such shapes on one device, a label is no class, no sample is left, or one
                set of features (without leading axes, where a failed start has metrics that are nan) is not finite.
        """
        H, labels = tensor_of("H", H), labels_of(labels)
        is_features = H.ndim >= 2 and H.is_floating_point()
        check(is_features, "H", described(H), "a floating-point tensor (..., samples, d)")
        check(0 not in H.shape[-2:], "H", described(H), "of at least one sample and one dimension")
        has_like_axes = getattr(W, "ndim", None) == H.ndim  # else H is to blame, not the d of W
        W, b = last_layer_of(W, b, H.shape[-1] if has_like_axes else None)
        if W is not None:
            check_features(H, W)
        K = number_of_classes(labels, W, num_classes, ignore_index)
        one_each = f"one class per sample, ({H.shape[-2]},) for features {tuple(H.shape)}"
        check(len(labels) == H.shape[-2], "labels", described(labels), one_each)
        kept = labels != ignore_index
        if len(labels) < K and bool(kept.any()):  # no room and time for classes that cannot have a sample
            present = torch.zeros(K, dtype=torch.bool, device=labels.device)
            present[labels_below(labels[kept], K)] = True
            few = torch.where(kept, (present.cumsum(0) - 1)[labels.where(kept, 0)], IGNORED)
            rows = (W[..., present.to(W.device), :], b[..., present.to(W.device)]) if W is not None else (None, None)
            return replace(cls.from_features(H, few, *rows, progress=progress), present=present)
        found = cls.from_sweeps(
            lambda: _in_chunks(H, labels, K, progress),
            W,
            b,
            num_classes=K,
            ignore_index=ignore_index,
        )
        if H.ndim == 2 and not bool(found.within_trace.isfinite()):
            kept = H[labels != ignore_index]
            bad = int((~kept.isfinite()).any(-1).sum())
            check(bad == 0, "H", f"nan or infinity in {bad} of {len(kept)} samples", "finite")
        if H.ndim == 2:
            for name, value in (("W", found.W), ("b", found.b)):
                check(value is None or bool(value.isfinite().all()), name, "nan or infinity", "finite")
        return found

    @classmethod
    @takes(sweep=function, num_classes=classes, ignore_index=any_integer)
    @torch.no_grad()
    def from_sweeps(
        cls,
        sweep: Sweep,
        W: Float[Tensor, "*batch K d"] | None = None,
        b: Float[Tensor, "*batch K"] | None = None,
        *,
        num_classes: int | None = None,
        ignore_index: int = IGNORED,
    ) -> "FeatureStats":
        """The statistics of features that come in batches, one in memory at a time: `sweep()` is called twice.

        The first sweep finds the class means, the second everything that is centred by them (`sweeps.py`); a single
        one needs a d x d matrix (`moments.py`). Both calls must give the same. Without W, `num_classes` is needed.

        Raises:
            ValueError: as `from_features`, but features that are not finite have metrics that are nan.
        """
        W, b = last_layer_of(W, b)
        check(W is not None or num_classes is not None, "num_classes", None, "given where there is no W")
        K = number_of_classes(torch.empty(0), W, num_classes, ignore_index)
        sweep = _kept(sweep, ignore_index, W)
        first = sweeps.class_means(sweep, K)
        present = first.counts > 0
        check(bool(present.any()), "labels", "none", f"such that a sample is left (label {ignore_index}: none)")
        if not bool(present.all()):
            first = first.of(present)
            W, b = (None, None) if W is None or b is None else (W[..., present, :], b[..., present])
        return cls._of(first, sweeps.scatter(sweep, first, present, W, b), present, W, b)

    @classmethod
    def _of(
        cls, first: sweeps.Means, sums: sweeps.Scatter, present: Tensor, W: Tensor | None, b: Tensor | None
    ) -> "FeatureStats":
        """The statistics, as means over the samples, from the sums of both sweeps."""
        counts, means, N = first.counts, first.means, first.counts.sum()
        squares = sums.squares.sum(-1)
        norms = squares + (counts * means.square().sum(-1)).sum(-1)
        differ = None if sums.differ is None else torch.where(squares.isfinite(), sums.differ / N, torch.nan)
        return cls(
            class_means=means,
            within_trace=squares / N,
            within_along_means=sums.along / N,
            nearest_mean_disagreement=differ,
            mean_square_norm=norms / N,
            W=W,
            b=b,
            eps=first.known_to,
            class_variances=sums.squares / counts,
            counts=counts,
            present=present,
        )


def _in_chunks(
    H: Tensor, labels: Tensor, K: int, progress: Callable[[int], object] | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The features in pieces, which are small where there are many classes; one is done when the next is asked for."""
    for rows in chunks(H, K):
        yield H[..., rows, :], labels[rows]
        if progress is not None:
            progress(len(labels[rows]))


def _kept(sweep: Sweep, ignore_index: int, W: Tensor | None) -> Sweep:
    """The sweep without samples that are ignored."""

    def kept() -> Iterator[tuple[Tensor, Tensor]]:
        for H, labels in sweep():
            if W is not None:
                check_features(H, W)
                check(W.device == H.device, "W", W.device, f"where the features are, on {H.device}")
            rows = labels != ignore_index
            yield (H, labels) if bool(rows.all()) else (H[..., rows, :], labels[rows])

    return kept


statistics = instance(FeatureStats)
of_one_set = Rule(lambda v: statistics.holds(v) and v.class_means.ndim == 2, "a FeatureStats of one set of features")
with_last_layer = Rule(lambda v: statistics.holds(v) and v.W is not None, "a FeatureStats with a last layer")
with_variances = Rule(
    lambda v: statistics.holds(v) and v.class_variances is not None, "a FeatureStats with variances of classes"
)
