"""The objective of a batch-normalised residual stream with cross entropy and classes of one size is at least the least
value of the model with decay_H = decay k/N, k = K/((K - 1) J): no network of 1,200 random and 60 descended ones is
below it.

Theme: trained networks

Source: Zhu et al. 2021, global minimisers; the price is derived in `normalised_networks_pay_for_features`

Evidence: numeric (floating point), K = 3, 2 images a class, 2 pixels, d = 3 and 2, J = 2, an attempt to refute. The
maps that a normalisation sees are free, so whatever convolutions could make is among them; objective = loss + decay/2
(|W|^2 + |b|^2 + |theta|^2), at random points and where 100 steps of L-BFGS brought some of them. The constructed
network attains the bound where d = K.

False twin: J - 1 normalisations, which the constructed network is below.
"""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from theory_checks.random_starts import ROUNDING, none_is_below, starts_at_scales
from theory_checks.verdict import Verdict, cross_check

K, N, PIXELS, J = 3, 6, 2, 2
DECAY, STARTS, DESCENTS = 0.02, 1200, 60


def check() -> Verdict:
    """J of them."""
    return _verdict(J)


def refuted() -> Verdict:
    """One too few."""
    return _verdict(J - 1)


def _verdict(counted: int) -> Verdict:
    bound = _least(math.sqrt(1 / ((K - 1) * counted)) * DECAY)
    findings = []
    for d in (3, 2):
        points = starts_at_scales(_size(d), STARTS)
        name = f"d = {d}, {{}} networks less the bound"
        findings += none_is_below(partial(_excess, d=d, bound=bound), points, DESCENTS, 100, name)
    attained = abs(float(_value(_constructed(), K)) - bound)
    findings.append(cross_check("the constructed network against the bound", attained, ROUNDING))
    return Verdict.of(
        "numeric",
        findings,
        sizes=f"K = {K}, d = 3 and 2, J = {J}, decay {DECAY}",
        margin_is="least objective less the bound (rounding allowed)",
        starts=STARTS,
    )


def _least(c: float) -> float:
    """The model's least value: cross entropy of the margin, and (K - 1) c a."""
    a = math.log(1 + (1 - K * c) / c)
    return math.log1p((K - 1) * math.exp(-a)) + (K - 1) * c * a


def _size(d: int) -> int:
    return J * N * PIXELS * d + 2 * J * d + K * d + K


def _excess(x: Float[Tensor, "B P"], d: int, bound: float) -> Float[Tensor, " B"]:
    return _value(x, d) - bound


def _value(x: Float[Tensor, "*B P"], d: int) -> Float[Tensor, "*B"]:
    """The objective without the decay of what has no scale."""
    maps, gamma, beta, W, b = x.split([J * N * PIXELS * d, J * d, J * d, K * d, K], -1)  # type: ignore[no-untyped-call]
    seen = maps.unflatten(-1, (J, N * PIXELS, d))
    centred = seen - seen.mean(-2, keepdim=True)
    normal = centred / (centred.square().mean(-2, keepdim=True) + 1e-12).sqrt()
    u = gamma.unflatten(-1, (J, 1, d)) * normal + beta.unflatten(-1, (J, 1, d))
    stream = torch.zeros_like(u[..., 0, :, :])
    for j in range(J):
        stream = (stream + u[..., j, :, :]).relu()
    features = stream.unflatten(-2, (N, PIXELS)).mean(-2)  # type: ignore[no-untyped-call]
    logits = features @ W.unflatten(-1, (K, d)).mT + b[..., None, :]
    labels = torch.arange(N) % K
    losses = logits.logsumexp(-1) - logits[..., torch.arange(N), labels]
    squares = sum(part.square().sum(-1) for part in (gamma, beta, W, b))
    return losses.mean(-1) + DECAY / 2 * squares


def _constructed() -> Float[Tensor, " P"]:
    """One-hot features from J equal maps, and the classifier that balances them."""
    c = DECAY * math.sqrt(1 / ((K - 1) * J))
    margin = math.log(1 + (1 - K * c) / c)
    ratio = math.sqrt(1 / ((K - 1) * J))  # |w| / |h| = sqrt(k / K), h centred
    a, alpha = math.sqrt(margin / ratio), math.sqrt(margin * ratio)
    hot = torch.eye(K, dtype=torch.float64)[torch.arange(N) % K].repeat_interleave(PIXELS, 0)
    spread = a / J * math.sqrt((K - 1) / K**2)
    W = alpha * (torch.eye(K, dtype=torch.float64) - 1 / K)
    scale = torch.full((J * K,), spread, dtype=torch.float64)
    shift = torch.full((J * K,), a / (J * K), dtype=torch.float64)
    maps = 1e3 * hot.expand(J, -1, -1)
    return torch.cat([maps.flatten(), scale, shift, W.flatten(), torch.zeros(K, dtype=torch.float64)])
