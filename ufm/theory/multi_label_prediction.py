"""The minimum with pick-all-labels cross entropy (Li et al. 2024, multi-label collapse).

If every set of m classes has n_m samples (any n_m, none of some), the minimisers have W W' = rho (I - 11'/K), equal
biases, and *scaled tag-wise averages* as features: h_S = (t_m / rho) sum_{k in S} w_k, where t_m, the logits' margin
between inside and outside, is the root of N decay_H t (m e^t + K - m) = K rho, and rho balances the decays,

    (K - 1) decay_W rho^2 = decay_H sum_m C(K, m) n_m t_m^2 m (K - m) / K .

Derivation and checks: `theory_checks/pick_all_labels_has_tag_wise_averages.py`, `multi_label_collapse_is_global.py`.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, integer, positive, takes, tensor
from ufm.errors import check
from ufm.model.model import Point
from ufm.model.pick_all_labels import indicators
from ufm.model.problem import Problem
from ufm.model.target import Target
from ufm.simplex import simplex_basis
from ufm.theory.roots import root


@takes(problem=instance(Problem))
def counts_of(problem: Problem) -> dict[int, int]:
    """The numbers n_m of samples per set, for every multiplicity m that occurs.

    Raises:
        ValueError: unless every set of m classes has equally many samples.
    """
    sets = problem.loss.label_sets(problem.K)
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


@takes(K=integer(2), counts=instance(dict), decay_W=positive, decay_H=positive)
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
    rho = root(excess, low, high)
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


@takes(problem=instance(Problem))
def multi_label_target(problem: Problem) -> Target:
    """The predicted minimum of a model with `PickAllLabels`.

    Raises:
        ValueError: if sets of one size have unequal counts, or d < K - 1.
    """
    K, d = problem.K, problem.d
    check(d >= K - 1, "dim", d, f">= {K - 1} for the predicted minimiser to fit (classes = {K})")
    counts, decays = counts_of(problem), (float(problem.decay_W), float(problem.decay_H))
    found = tag_wise_averages(K, counts, *decays)
    W = torch.nn.functional.pad(math.sqrt(found.rho) * simplex_basis(K), (0, d - K + 1))
    sets = problem.loss.label_sets(K)
    scales = [found.margins[len(chosen)] / found.rho if found.rho else 0.0 for chosen in sets]
    chosen = indicators(sets, K, torch.float64, torch.device("cpu"))
    H = (torch.tensor(scales, dtype=torch.float64)[:, None] * chosen @ W)[problem.labels()]
    return Target(
        value=value_of(K, counts, *decays, found),
        point=problem.pack(Point(W, H, torch.zeros(K, dtype=torch.float64))),
        margin=max(found.margins.values()),
        is_proved_global=True,
        facts={"rho": found.rho, "margins": {str(m): t for m, t in found.margins.items()}},
        residuals={"tag-wise": tag_wise_residual},
    )


@takes(problem=instance(Problem), x=tensor(..., None))
def tag_wise_residual(problem: Problem, x: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
    """Largest |h_S - (t_m / rho) sum_{k in S} w_k| over the largest |h_S|; at the zero solution the largest |h_S|."""
    W, H, _ = problem.unpack(x)
    chosen = indicators(problem.loss.label_sets(problem.K), problem.K, x.dtype, x.device)
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
    return root(lambda t: strength * t * (m * math.exp(t) + K - m) - K * rho, 0.0, exponent)
