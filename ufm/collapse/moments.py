"""The statistics of the metrics in one pass: sums that can be added over batches and over processes.

Deviations are taken from one sample of each class, the shift, not from a mean that nobody knows yet. What they share is
taken out at the end, S_W = (1/N) (sum_i (h_i - s_y)(h_i - s_y)' - sum_k n_k m_k m_k') with m_k the class's mean
deviation, which is of the size of the scatter: no large numbers cancel, however far from zero or from each other the
classes are. It takes a d x d matrix and products in float64; NC4 needs the means beforehand and is left out, unless
those of other features, such as the training set's, are given.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.collapse.matrices import EPS, centred, chunks, finite
from ufm.collapse.stats import FeatureStats
from ufm.collapse.sweeps import first_of_each, still_short

SHORT_EPS = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Moments:
    """Sums over samples in float64; the sums of two sets of samples can be added if their shifts agree.

    Attributes:
        counts: n_k.
        shift: s_k, a sample of class k (zero before there is one).
        total: sum of h - s_k over class k.
        squares: sum of |h - s_k|^2 over class k.
        second: sum of (h - s_y)(h - s_y)' over all samples.
        eps: largest eps of the dtypes of the features.
        is_long: 1 if a feature has more digits than float32's, 0 otherwise.
    """

    counts: Float[Tensor, " K"]
    shift: Float[Tensor, "K d"]
    total: Float[Tensor, "K d"]
    squares: Float[Tensor, " K"]
    second: Float[Tensor, "d d"]
    eps: Float[Tensor, ""]
    is_long: Float[Tensor, ""]

    @classmethod
    def zero(cls, K: int, d: int, device: torch.device | str = "cpu") -> "Moments":
        """The moments of no samples: all zero."""
        shapes = {"counts": (K,), "shift": (K, d), "total": (K, d), "squares": (K,), "second": (d, d)}
        shapes |= {"eps": (), "is_long": ()}
        return cls(**{name: torch.zeros(shape, dtype=torch.float64, device=device) for name, shape in shapes.items()})

    def added(self, H: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> "Moments":
        """The moments with further samples, whose labels lie in [0, K)."""
        if len(labels) == 0:
            return self
        shift = self._shift_of(H, labels)  # of classes that had no sample, so that no sum changes
        total, squares, second = self.total.clone(), self.squares.clone(), self.second.clone()
        for rows in chunks(H):
            x = H[rows].double() - shift[labels[rows]]
            total.index_add_(0, labels[rows], x)
            squares.index_add_(0, labels[rows], x.square().sum(-1))
            second += x.mT @ x
        counts = self.counts + torch.bincount(labels, minlength=len(self.counts))
        short = still_short(torch.ones((), dtype=torch.bool, device=H.device), H)
        is_long = self.is_long.clamp(min=(~short).double() if H.dtype == torch.float64 else 0.0)
        eps = self.eps.clamp(min=torch.finfo(H.dtype).eps)
        return Moments(counts, shift, total, squares, second, eps, is_long)

    def with_shift(self, shift: Float[Tensor, "K d"]) -> "Moments":
        """The same samples' sums about another sample of each class: h - s' = (h - s) + delta."""
        n = self.counts.unsqueeze(-1)
        delta = torch.where(n > 0, self.shift - shift, 0.0)
        second = self.second + self.total.mT @ delta + delta.mT @ (self.total + n * delta)
        squares = self.squares + (delta * (2 * self.total + n * delta)).sum(-1)
        return replace(self, shift=shift, total=self.total + n * delta, squares=squares, second=second)

    def merged(self, other: "Moments") -> "Moments":
        """The moments of the samples of both."""
        shift = torch.where(self.counts.unsqueeze(-1) > 0, self.shift, other.shift)
        one, two = self.with_shift(shift), other.with_shift(shift)
        sums = {name: getattr(one, name) + getattr(two, name) for name in ("counts", "total", "squares", "second")}
        most = {name: torch.maximum(getattr(one, name), getattr(two, name)) for name in ("eps", "is_long")}
        return replace(one, **sums, **most)

    def stats(self, W: Float[Tensor, "K d"] | None = None, b: Float[Tensor, " K"] | None = None) -> FeatureStats:
        """The statistics that the metrics take, without NC4; classes without samples are left out, also in W and b."""
        present = self.counts > 0
        counts, N = self.counts[present], self.counts.sum()
        mean = self.total[present] / counts[:, None]
        means, rooted = self.shift[present] + mean, mean * counts.sqrt()[:, None]
        squares = (self.squares[present] - rooted.square().sum(-1)).clamp(min=0)
        V = torch.linalg.svd(finite(centred(means)), full_matrices=False).Vh.mT
        along = ((self.second @ V) * V).sum(0) - (rooted @ V).square().sum(0)
        eps = torch.where(self.is_long > 0, self.eps, self.eps.clamp(min=SHORT_EPS))
        return FeatureStats(
            class_means=means,
            within_trace=squares.sum() / N,
            within_along_means=along.clamp(min=0) / N,
            nearest_mean_disagreement=None,
            mean_square_norm=(squares.sum() + (counts * means.square().sum(-1)).sum()) / N,
            W=None if W is None else W.detach().double()[present],
            b=None if W is None or b is None else b.detach().double()[present],
            eps=eps + counts * EPS,
            class_variances=squares / counts,
            counts=counts,
            present=present,
        )

    def _shift_of(self, H: Tensor, labels: Tensor) -> Float[Tensor, "K d"]:
        """A sample of every class that has one so far."""
        K, place = len(self.counts), first_of_each(labels, len(self.counts))
        is_new = ((self.counts == 0) & (place < len(labels))).view(K, 1)
        return torch.where(is_new, H[place.clamp(max=len(labels) - 1)].double(), self.shift)
