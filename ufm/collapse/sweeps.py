"""Sums over features in two sweeps: class means first, then what is centred by them, each batch in memory once.

Products run in the features' own precision (at least float32), on features less their class mean; sums over samples are
in float64, class sums of features less the class's first one. So what is lost is relative to the deviations from the
means, however large a common offset the features have, and features that are equal within their class deviate by 0.
Except for tiles (`matrices.TILE`), nothing is larger than samples by dimensions or classes by dimensions.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from ufm.collapse.matrices import EPS, TILE, centred, finite, power_of_two, tiles
from ufm.errors import check, complaint
from ufm.labels import described, one_per_sample

Sweep = Callable[[], Iterable[tuple[Float[Tensor, "*batch n d"], Integer[Tensor, " n"]]]]
"""Yields all features and labels, batch by batch; every call yields the same."""
FEW = 2**16
"""Features up to which tensor operations are faster than loading the compiled loops."""
MOST_CODES = 2**22
"""Pairs of a nearest and a picked class that are kept before equal ones are counted together."""


class Means(NamedTuple):
    """The number of samples of each class, their means, eps of the features, and the precision of products.

    `known_to` is what the class means are known to, relative to the root mean square of the features.
    """

    counts: Float[Tensor, " K"]
    means: Float[Tensor, "*batch K d"]
    eps: Float[Tensor, "*batch"]
    dtype: torch.dtype

    @property
    def known_to(self) -> Float[Tensor, "*batch K"]:
        """The relative accuracy of each class mean: eps + n_k 2^-52."""
        return self.eps.unsqueeze(-1) + self.counts * EPS

    def of(self, present: Bool[Tensor, " K"]) -> "Means":
        """The means of the classes `present` only."""
        return self._replace(counts=self.counts[present], means=self.means[..., present, :])


class Scatter(NamedTuple):
    """Sums over the samples: |x|^2 of each class, (v_j' x)^2, those whose nearest mean is not the picked class's."""

    squares: Float[Tensor, "*batch K"]
    along: Float[Tensor, "*batch r"]
    differ: Float[Tensor, "*batch"] | None


def rounding_of(means: Tensor, within_trace: Tensor, known_to: Tensor) -> Float[Tensor, "*batch K"]:
    """rho_k, the rounding error of each class mean."""
    return known_to * (means.square().sum(-1) + within_trace.unsqueeze(-1)).sqrt()


def class_means(sweep: Sweep, K: int) -> Means:
    """The class means, from the first sweep; the mean of a class without samples has no meaning.

    Raises:
        ValueError: if it gives nothing, no features of one shape, or labels that are no classes.
    """
    sums: _ClassSums | None = None
    for H, labels in sweep():
        sums = _ClassSums(H, K) if sums is None else sums
        sums.add(H, labels)
    if sums is None:
        raise complaint("sweep", "nothing", "a function that gives the same batches of features and labels each time")
    return sums.means()


class _ClassSums:
    """Running sums of the first sweep."""

    def __init__(self, H: Tensor, K: int) -> None:
        allowed = "a floating-point tensor (..., samples, d)"
        is_features = isinstance(H, Tensor) and H.ndim >= 2 and H.is_floating_point()
        check(is_features, "H", described(H), allowed)
        self.K, self.like, self.eps = K, H, EPS
        self.sums = H.new_zeros(*H.shape[:-2], K, H.shape[-1], dtype=torch.float64)
        self.shift, self.counts = torch.zeros_like(self.sums, dtype=working_precision(H)), self.sums.new_zeros(K)
        self.is_short = H.new_ones(H.shape[:-2], dtype=torch.bool)

    def add(self, batch: Tensor, of_batch: Tensor) -> None:
        """One batch."""
        check_features(batch, self.like)
        labels, H = one_per_sample(of_batch, batch, self.K), batch.detach().to(working_precision(batch))
        own_counts = torch.bincount(labels, minlength=self.K).double()
        is_new = (own_counts > 0) & (self.counts == 0)
        if is_new.any():
            self.shift = self.shift.to(H.dtype)
            self.shift[..., is_new, :] = H[..., first_of_each(labels, self.K)[is_new], :]
        self.counts += own_counts
        self.eps, self.is_short = torch.finfo(batch.dtype).eps, still_short(self.is_short, H)
        _add_class_sums(H, labels, self.shift, self.sums)

    def means(self) -> Means:
        """The means of the sums."""
        short = max(self.eps, torch.finfo(torch.float32).eps)
        known_to = torch.where(self.is_short, short, self.eps).double()
        means = self.sums / self.counts[:, None] + self.shift
        return Means(self.counts, means, known_to, self.shift.dtype)


def scatter(sweep: Sweep, first: Means, present: Bool[Tensor, " K"], W: Tensor | None, b: Tensor | None) -> Scatter:
    """The second sweep, over the classes that are present; means and directions are rounded to the features' precision.

    What that rounding does is taken out again: the x of a class sum to its count times the rounding of its mean.
    """
    counts, means = first.counts, first.means
    V = torch.linalg.svd(finite(centred(means)), full_matrices=False).Vh.mT
    sums = _Sums(means, V, W, b)
    position, seen = present.cumsum(0) - 1, 0
    for batch, of_batch in sweep():
        seen += len(of_batch)
        sums.add(batch.detach().to(working_precision(batch)), position[of_batch.long()])
    allowed = "a function that gives the same batches of features and labels each time"
    check(seen == int(counts.sum()), "sweep", f"{int(counts.sum())} samples, then {seen}", allowed)
    rounding = (means - means.to(first.dtype)) * counts.sqrt()[:, None]
    squares = (sums.squares - rounding.square().sum(-1)).clamp(min=0)
    along = (sums.along - (rounding @ V).square().sum(-2)).clamp(min=0)
    if W is None:
        return Scatter(squares, along, None)
    rho = rounding_of(means, squares.sum(-1) / counts.sum(), first.known_to)
    return Scatter(squares, along, sums.differing(rho))


class _Sums:
    """Running sums of the second sweep; what the nearest mean is compared with is prepared once.

    With K <= d the scores of a sample come from tables (K, K) and its x, otherwise from the sample itself, in float64.
    """

    def __init__(self, means: Tensor, V: Tensor, W: Tensor | None, b: Tensor | None) -> None:
        self.means, self.V, self.W, self.b = means, V, W, b
        self.M, self.K = centred(means), means.shape[-2]
        self.squares, self.along = means.new_zeros(means.shape[:-1]), V.new_zeros(*V.shape[:-2], V.shape[-1])
        self.codes: list[Int[Tensor, " m"]] = []
        self.times: list[Int[Tensor, " m"]] = []
        self.products = V
        self.has_tables = W is not None and means.shape[-1] >= self.K
        if self.has_tables:
            assert W is not None
            assert b is not None
            self.of_W, self.of_M = power_of_two(W), power_of_two(self.M)  # no product over- or underflows
            self.products = torch.cat([V, (W / self.of_W).mT], -1)
            self.inside = (self.M / self.of_M) @ V
            self.gram = self.inside @ self.inside.mT
            self.mean_logits = (means @ W.mT + b.unsqueeze(-2)) / self.of_W

    def add(self, H: Tensor, own: Int[Tensor, " n"]) -> None:
        """One batch."""
        x, of_x = _deviations(H, own, self.means.to(H.dtype))
        products, r = x @ self.products.to(H.dtype), self.V.shape[-1]
        self.squares.index_add_(-1, own, of_x)
        self.along += products[..., :r].double().square().sum(-2)
        for rows in tiles(len(own), self.K * max(1, self.squares[..., 0].numel())) if self.W is not None else ():
            near, picked = (self._from_tables if self.has_tables else self._from_samples)(
                x[..., rows, :], products[..., rows, :], own[rows]
            )
            self._keep(near.argmin(-1), picked.argmax(-1))

    def _from_tables(self, x: Tensor, products: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """|h - mu_k|^2 up to a constant per sample, and logits, from x so that no large numbers cancel."""
        coordinates, along_W = torch.split(products, [self.V.shape[-1], self.K], -1)
        along_M = (coordinates @ self.inside.mT.to(x.dtype)).double() / self.of_M
        near = self.gram.diagonal(dim1=-2, dim2=-1).unsqueeze(-2) - 2 * (along_M + self.gram[..., own, :])
        return near, along_W.double() + self.mean_logits[..., own, :]

    def _from_samples(self, x: Tensor, products: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """The same from the samples themselves; x in float64 loses nothing beside its mean."""
        assert self.W is not None
        assert self.b is not None
        x = x.double()
        near = (self.M[..., own, :] + x) @ (-2 * self.M).mT
        near += self.M.square().sum(-1).unsqueeze(-2)
        picked = (self.means[..., own, :] + x) @ self.W.mT
        picked += self.b.unsqueeze(-2)
        return near, picked

    def _keep(self, nearest: Int[Tensor, "*batch n"], picked: Int[Tensor, "*batch n"]) -> None:
        """Store pairs of nearest and picked class, with their start."""
        starts = torch.arange(nearest[..., 0].numel(), device=nearest.device).view(*nearest.shape[:-1], 1)
        codes = ((starts * self.K + nearest) * self.K + picked).flatten()
        self.codes.append(codes)
        self.times.append(torch.ones_like(codes))
        if len(self.codes) > 1 and sum(map(len, self.codes)) > MOST_CODES:
            self._count_together()

    def _count_together(self) -> None:
        """The different pairs, each once, with their counts."""
        codes, times = torch.cat(self.codes), torch.cat(self.times)
        differ = codes // self.K % self.K != codes % self.K
        found, place = torch.unique(codes[differ], return_inverse=True)
        self.codes, self.times = [found], [torch.zeros_like(found).index_add_(0, place, times[differ])]

    def differing(self, rho: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch"]:
        """How many samples of each start; which of two means that are equal up to rounding is nearer says nothing."""
        self._count_together()
        codes, times = self.codes[0], self.times[0].double()
        M, rho = self.M.flatten(0, -3) if self.M.ndim > 2 else self.M[None], rho.reshape(-1, self.K)
        total, powers = M.new_zeros(len(M)), power_of_two(M)[..., 0]
        for part in tiles(len(codes), M.shape[-1]):
            pair = codes[part]
            start, one, other = pair // self.K**2, pair // self.K % self.K, pair % self.K
            scale = powers[start]
            apart = ((M[start, one] - M[start, other]) / scale).norm(dim=-1)
            is_apart = ~(apart <= (rho[start, one] + rho[start, other]) / scale[:, 0])
            total.index_add_(0, start, times[part] * is_apart)
        return total.view(self.M.shape[:-2])


def working_precision(H: Tensor) -> torch.dtype:
    """The precision of products: the features' own, at least float32."""
    return torch.promote_types(H.dtype, torch.float32)


def check_features(H: object, like: Tensor) -> None:
    """Refuse features that are not a batch with the axes of `like`.

    Raises:
        ValueError: naming what was given.
    """
    d, leading = like.shape[-1], tuple(like.shape[:-2])
    allowed = f"a floating-point tensor (..., samples, d) with leading axes {leading} and d = {d}"
    is_features = isinstance(H, Tensor) and H.is_floating_point() and H.ndim == len(leading) + 2
    is_features = is_features and (*H.shape[:-2], H.shape[-1]) == (*leading, d)  # type: ignore[attr-defined]
    check(is_features, "H", described(H), allowed)


def _add_class_sums(H: Tensor, labels: Tensor, shift: Tensor, sums: Tensor) -> None:
    K = sums.shape[-2]
    if _is_worth_compiling(H):
        from ufm.collapse import compiled

        compiled.add_class_sums(H, labels, shift, sums)
        return
    x = (H - shift[..., labels, :]).double()
    if len(labels) * K <= TILE:
        sums += torch.nn.functional.one_hot(labels, K).double().mT @ x
    else:
        sums.index_add_(-2, labels, x)


def _is_worth_compiling(H: Tensor) -> bool:
    """One large set of features on the CPU in single or double precision, its rows without gaps."""
    is_plain = H.ndim == 2 and H.device.type == "cpu" and H.dtype in (torch.float32, torch.float64)
    return is_plain and H.is_contiguous() and H.numel() > FEW


def first_of_each(labels: Int[Tensor, " n"], K: int) -> Int[Tensor, " K"]:
    """Position of each class's first sample, n for one without."""
    n = len(labels)
    places = torch.arange(n, device=labels.device)
    return places.new_full((K,), n).scatter_reduce(0, labels, places, "amin")


def still_short(is_short: Bool[Tensor, "*batch"], H: Float[Tensor, "*batch n d"]) -> Bool[Tensor, "*batch"]:
    """Whether no feature so far has more than float32's 24 digits: splitting them off (Veltkamp 1968) leaves zero."""
    for rows in (slice(1), slice(None)) if H.dtype == torch.float64 else ():  # one sample mostly settles it
        if is_short.any():
            shifted = H[..., rows, :] * (2**29 + 1)
            is_short = is_short & (shifted - (shifted - H[..., rows, :]) == H[..., rows, :]).flatten(-2).all(-1)
    return is_short


def _deviations(H: Tensor, labels: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """x = h - mu_y, small where features have collapsed, and |x|^2 in float64."""
    if _is_worth_compiling(H):
        from ufm.collapse import compiled

        return compiled.deviations(H, labels, means)
    x = H - means[..., labels, :]
    return x, torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64).square()
