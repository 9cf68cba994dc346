"""Behind a layer normalisation without scale, cross entropy with decay on the classifier is at least min over a of
log(1 + (K-1) e^-a) + decay/2 ((K-1) a)^2/(K d), at the simplex of norm sqrt d: none of 1,200 random networks is below.

Theme: trained networks

Source: Lu and Steinerberger 2022 and others (features on a sphere); for a mean over tokens and the hyperplane that a
layer normalisation leaves, derived here

Evidence: numeric (floating point), K = 3, 2 images a class, 2 tokens, d = 3 and 5, an attempt to refute; proved in
`deepnet/comparison/layer_norm.py`: |x_i|^2 <= d for every image, so mu/2 (sum |x_i|^2 - N d) <= 0 may be added, which
leaves the model of free features. What the normalisation sees is free, so whatever attention and layers could make is
among it. The constructed network attains the bound with d = K, the fewest dimensions.

False twin: a ball of radius sqrt(d - 1), the dimensions that the normalisation leaves, which the constructed network
is below.
"""

import math
from functools import partial

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from theory_checks.random_starts import ROUNDING, none_is_below, starts_at_scales
from theory_checks.verdict import Verdict, cross_check
from ufm.simplex import simplex_on_axes

K, N, TOKENS = 3, 6, 2
DECAY, STARTS, DESCENTS = 0.02, 1200, 60


def check() -> Verdict:
    """Radius sqrt d."""
    return _verdict(0)


def refuted() -> Verdict:
    """Radius sqrt(d - 1)."""
    return _verdict(1)


def _verdict(fewer: int) -> Verdict:
    findings = []
    for d in (3, 5):
        bound = _least(d - fewer)[0]
        points = starts_at_scales(sum(_lengths(d)), STARTS)
        name = f"d = {d}, {{}} networks less the bound"
        findings += none_is_below(partial(_excess, d=d, bound=bound), points, DESCENTS, 100, name)
    attained = abs(float(_value(_constructed(), K)) - _least(K - fewer)[0])
    findings.append(cross_check("the constructed network against the bound", attained, ROUNDING))
    return Verdict.of(
        "numeric",
        findings,
        sizes=f"K = {K}, d = 3 and 5, {TOKENS} tokens, decay {DECAY}",
        margin_is="least objective less the bound (rounding allowed)",
        starts=STARTS,
    )


def _least(square: int) -> tuple[float, float]:
    """The bound for a ball of this squared radius, and the margin a there."""

    def value(a: float) -> float:
        return math.log1p((K - 1) * math.exp(-a)) + DECAY / 2 * ((K - 1) * a) ** 2 / (K * square)

    found = minimize_scalar(value, bounds=(0.0, 60.0), method="bounded", options={"xatol": 1e-12})
    return float(found.fun), float(found.x)


def _lengths(d: int) -> list[int]:
    return [N * TOKENS * d, K * d, K]


def _excess(x: Float[Tensor, "B P"], d: int, bound: float) -> Float[Tensor, " B"]:
    return _value(x, d) - bound


def _value(x: Float[Tensor, "*B P"], d: int) -> Float[Tensor, "*B"]:
    """The objective without the decay of what has no scale."""
    tokens, W, b = x.split(_lengths(d), -1)  # type: ignore[no-untyped-call]
    seen = tokens.unflatten(-1, (N, TOKENS, d))
    centred = seen - seen.mean(-1, keepdim=True)
    features = (centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()).mean(-2)
    logits = features @ W.unflatten(-1, (K, d)).mT + b[..., None, :]
    losses = logits.logsumexp(-1) - logits[..., torch.arange(N), torch.arange(N) % K]
    return losses.mean(-1) + DECAY / 2 * (W.square().sum(-1) + b.square().sum(-1))


def _constructed() -> Float[Tensor, " P"]:
    """The simplex in the plane 1'x = 0 of three channels, tokens alike, and the classifier along it."""
    simplex = simplex_on_axes(K, K)  # unit rows whose channels sum to 0
    margin = _least(K)[1]
    tokens = 1e3 * simplex[torch.arange(N) % K].repeat_interleave(TOKENS, 0)
    W = margin * (K - 1) / K / math.sqrt(K) * simplex
    return torch.cat([tokens.flatten(), W.flatten(), torch.zeros(K, dtype=torch.float64)])
