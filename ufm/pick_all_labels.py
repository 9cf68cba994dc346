"""Several labels per sample: pick-all-labels cross entropy and its minimum (Li et al. 2024, multi-label collapse).

A label is a set S of classes, and its sample's loss is the sum of the cross entropies of its members,

    sum_{k in S} -log p_k = m log sum_j exp z_j - sum_{k in S} z_k ,    m = |S| .

If every set of m classes has n_m samples (any n_m, none of some), the minimisers have W W' = rho (I - 11'/K), equal
biases, and *scaled tag-wise averages* as features: h_S = (t_m / rho) sum_{k in S} w_k, where t_m, the logits' margin
between inside and outside, is the root of N decay_H t (m e^t + K - m) = K rho, and rho balances the decays,

    (K - 1) decay_W rho^2 = decay_H sum_m C(K, m) n_m t_m^2 m (K - m) / K .

Derivation and checks: `theory_checks/pick_all_labels_has_tag_wise_averages.py`, `multi_label_collapse_is_global.py`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from ufm.command_line import check
from ufm.loss import Labels, LogitOperator, Logits, Loss, PerSample, checked_labels
from ufm.model import Point
from ufm.problem import Problem
from ufm.target import Target


@dataclass(frozen=True)
class PickAllLabels(Loss):
    """The sum of the cross entropies of a sample's classes; label i stands for the set `sets[i]`.

    Raises:
        ValueError: if a set is empty or lists a class twice.
    """

    sets: tuple[tuple[int, ...], ...]

    is_convex = True

    def __post_init__(self) -> None:
        for chosen in self.sets:
            check(len({*chosen}) == len(chosen) > 0, "PickAllLabels(sets=...)", chosen, "sets of different classes")

    def label_count(self, K: int) -> int:
        """One per set."""
        return len(self.sets)

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """m log sum_j exp z_j - sum_{k in S} z_k."""
        chosen = self.indicators(labels, logits)
        return chosen.sum(-1) * logits.logsumexp(-1) - (chosen * logits).sum(-1)

    def value_and_gradient(self, logits: Logits, labels: Labels) -> tuple[PerSample, Logits]:
        """The loss and m p - 1_S."""
        chosen = self.indicators(labels, logits)
        m = chosen.sum(-1)
        value = m * logits.logsumexp(-1) - (chosen * logits).sum(-1)
        return value, m[:, None] * logits.softmax(-1) - chosen

    def hessian(self, logits: Logits, labels: Labels) -> LogitOperator:
        """v -> m (diag p - p p') v."""
        m, p = self.indicators(labels, logits).sum(-1), logits.softmax(-1)
        return lambda v: m[:, None] * p * (v - (p * v).sum(-1, keepdim=True))

    def conjugate(self, dual: Logits, labels: Labels) -> PerSample:
        """m times the negative entropy of (dual + 1_S) / m where that is a distribution."""
        chosen = self.indicators(labels, dual)
        m = chosen.sum(-1)
        p = (dual + chosen) / m[:, None]
        tolerance = 1e3 * torch.finfo(p.dtype).eps
        is_distribution = (p.amin(-1) >= -tolerance) & ((p.sum(-1) - 1).abs() <= tolerance)
        p = p.clamp(min=0)
        return torch.where(is_distribution, m * torch.xlogy(p, p).sum(-1), math.inf)

    def indicators(self, labels: Labels, like: Tensor) -> Tensor:
        """1_S of every sample, (N, K), with the type and the K of these logits.

        Raises:
            ValueError: on labels that are not one set per sample, or a set that lists a class beyond K.
        """
        labels = checked_labels(labels, like, len(self.sets))
        return _indicators(self.sets, like.shape[-1], like.dtype, like.device)[labels]


def all_sets(K: int, multiplicity: tuple[int, ...]) -> tuple[PickAllLabels, tuple[int, ...]]:
    """The loss and relative sizes of data with multiplicity[m - 1] samples of every set of m classes.

    Raises:
        ValueError: unless there are 1 to K - 1 multiplicities >= 0, not all of them 0.
    """
    is_allowed = len(multiplicity) < K and min(multiplicity, default=-1) >= 0 and max(multiplicity) > 0
    check(is_allowed, "multiplicity", multiplicity, f"1 to classes - 1 = {K - 1} counts >= 0, not all 0")
    counts = {chosen: n for m, n in enumerate(multiplicity, 1) for chosen in combinations(range(K), m) if n}
    return PickAllLabels(tuple(counts)), tuple(counts.values())


def counts_of(problem: Problem) -> dict[int, int]:
    """n_m of every multiplicity m that occurs.

    Raises:
        ValueError: unless every set of m classes has equally many samples.
    """
    assert isinstance(problem.loss, PickAllLabels)
    sets = problem.loss.sets
    sizes = problem.sizes or (1,) * len(sets)
    found: dict[int, set[int]] = {}
    for chosen, size in zip(sets, sizes, strict=True):
        found.setdefault(len(chosen), set()).add(problem.n * size)
    is_full = all(sum(len(s) == m for s in sets) == math.comb(problem.K, m) for m in found)
    check(is_full and all(len(n) == 1 for n in found.values()), "sizes", sizes, "equal for all sets of m classes")
    return {m: n.pop() for m, n in found.items()}


@dataclass(frozen=True)
class TagWiseAverages:
    """The closed form: W W' = rho (I - 11'/K), h_S = (t_m / rho) sum_{k in S} w_k.

    Attributes:
        rho: squared scale of W.
        margins: t_m by multiplicity.
    """

    rho: float
    margins: dict[int, float]


def tag_wise_averages(K: int, counts: dict[int, int], decay_W: float, decay_H: float) -> TagWiseAverages:
    """The minimiser for n_m = counts[m] samples of every set of m classes; rho = 0 where all logits vanish."""
    samples = {m: math.comb(K, m) * n for m, n in counts.items()}
    N = sum(samples.values())
    weights = {m: count * m * (K - m) / K for m, count in samples.items()}
    # t_m ~ rho / (N decay_H) for small rho.
    if sum(weights.values()) <= (K - 1) * N**2 * decay_W * decay_H:
        return TagWiseAverages(0.0, dict.fromkeys(counts, 0.0))

    def excess(rho: float) -> float:
        features = sum(weight * _margin(K, m, N * decay_H, rho) ** 2 for m, weight in weights.items())
        return (K - 1) * decay_W * rho**2 - decay_H * features

    low, high = 1.0, 1.0
    while excess(low) > 0:
        low /= 2
    while excess(high) < 0:
        high *= 2
    rho = float(brentq(excess, low, high, xtol=1e-300, rtol=1e-15))
    return TagWiseAverages(rho, {m: _margin(K, m, N * decay_H, rho) for m in counts})


def value_of(K: int, counts: dict[int, int], decay_W: float, decay_H: float, point: TagWiseAverages) -> float:
    """The objective at tag-wise averages with these scales."""
    if point.rho == 0:
        return sum(math.comb(K, m) * n * m for m, n in counts.items()) / _total(K, counts) * math.log(K)
    loss, features = 0.0, 0.0
    for m, n in counts.items():
        t, count = point.margins[m], math.comb(K, m) * n
        loss += count * m * math.log(m + (K - m) * math.exp(-t))
        features += count * t**2 * m * (K - m) / K
    return loss / _total(K, counts) + decay_W * (K - 1) * point.rho / 2 + decay_H * features / (2 * point.rho)


def multi_label_target(problem: Problem) -> Target:
    """The predicted minimum of a model with `PickAllLabels`.

    Raises:
        ValueError: if sets of one size have unequal counts, or d < K - 1.
    """
    K, d = problem.K, problem.d
    check(d >= K - 1, "dim", d, f">= {K - 1} for the predicted minimiser to fit (classes = {K})")
    counts, decays = counts_of(problem), (float(problem.decay_W), float(problem.decay_H))
    found = tag_wise_averages(K, counts, *decays)
    assert isinstance(problem.loss, PickAllLabels)
    across = torch.linalg.qr(torch.eye(K, dtype=torch.float64) - 1 / K)[0][:, : K - 1]
    W = torch.nn.functional.pad(math.sqrt(found.rho) * across, (0, d - K + 1))
    scales = [found.margins[len(chosen)] / found.rho if found.rho else 0.0 for chosen in problem.loss.sets]
    chosen = _indicators(problem.loss.sets, K, torch.float64, torch.device("cpu"))
    H = (torch.tensor(scales, dtype=torch.float64)[:, None] * chosen @ W)[problem.labels()]
    return Target(
        value=value_of(K, counts, *decays, found),
        point=problem.pack(Point(W, H, torch.zeros(K, dtype=torch.float64))),
        margin=max(found.margins.values()),
        is_proved_global=True,
        facts={"rho": found.rho, "margins": {str(m): t for m, t in found.margins.items()}},
    )


def tag_wise_residual(problem: Problem, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
    """Largest |h_S - (t_m / rho) sum_{k in S} w_k| over the largest |h_S|; at the zero solution the largest |h_S|."""
    assert isinstance(problem.loss, PickAllLabels)
    W, H, _ = problem.unpack(x)
    chosen = _indicators(problem.loss.sets, problem.K, x.dtype, x.device)
    found = tag_wise_averages(problem.K, counts_of(problem), float(problem.decay_W), float(problem.decay_H))
    scales = chosen.new_tensor([found.margins[int(m)] / (found.rho or 1.0) for m in chosen.sum(1)])
    average = ((scales[:, None] * chosen) @ W)[..., problem.labels(x.device), :]
    longest = H.norm(dim=-1).amax(-1) if found.rho else 1.0
    return (H - average).norm(dim=-1).amax(-1) / longest


def _total(K: int, counts: dict[int, int]) -> int:
    return sum(math.comb(K, m) * n for m, n in counts.items())


def _margin(K: int, m: int, strength: float, rho: float) -> float:
    """The root t of strength t (m e^t + K - m) = K rho, which is below rho / strength since m e^t + K - m > K."""
    high = rho / strength
    exponent = min(high, 700.0)
    return float(brentq(lambda t: strength * t * (m * math.exp(t) + K - m) - K * rho, 0.0, exponent, xtol=1e-300))


@lru_cache(maxsize=64)
def _indicators(
    sets: tuple[tuple[int, ...], ...], K: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "sets K"]:
    result = torch.zeros(len(sets), K, dtype=dtype, device=device)
    for row, chosen in zip(result, sets, strict=True):
        check(min(chosen) >= 0 and max(chosen) < K, "PickAllLabels(sets=...)", chosen, f"sets of classes in [0, {K})")
        row[list(chosen)] = 1
    return result
