"""A residual stream that is normalised once, behind its last block, and then goes through a ReLU pays at least k =
K/(K - 1) for its features, where classes have one size: none of 1,200 random and 20 descended networks of two
pre-activation blocks has a lower objective, and one attains it.

Theme: trained networks

Source: He et al. 2016 (identity mappings), the net; Zhu et al. 2021, global minimisers of free features; the price is
derived in `normalised_networks_pay_for_features`, with J = 1

Evidence: numeric (floating point), K = 3, 2 images a class, 2 pixels, d = 3 and 2, an attempt to refute. Two blocks x +
relu(normalised x A) B with weights of any size on any inputs, and the objective loss + decay/2 (|W|^2 + |b|^2 +
|theta|^2), theta the last scale and shift, at random points and where 60 steps of L-BFGS brought some of them. The
constructed network attains the bound where d = K.

False twin: k = 1, as without a ReLU, which the constructed network does not attain.
"""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from theory_checks.random_starts import ROUNDING, none_is_below, starts_at_scales
from theory_checks.verdict import Verdict, cross_check

K, N, PIXELS, BLOCKS = 3, 6, 2, 2
DECAY, STARTS, DESCENTS = 0.02, 1200, 20


def check() -> Verdict:
    """With the factor of the ReLU."""
    return _verdict(K / (K - 1))


def refuted() -> Verdict:
    """Without."""
    return _verdict(1.0)


def _verdict(price: float) -> Verdict:
    bound = _least(math.sqrt(price / K) * DECAY)
    findings = []
    for d in (3, 2):
        points = starts_at_scales(sum(_lengths(d)), STARTS)
        name = f"d = {d}, {{}} networks less the bound"
        findings += none_is_below(partial(_excess, d=d, bound=bound), points, DESCENTS, 60, name)
    attained = abs(float(_value(_constructed(), K)) - bound)
    findings.append(cross_check("the constructed network against the bound", attained, ROUNDING))
    return Verdict.of(
        "numeric",
        findings,
        sizes=f"K = {K}, d = 3 and 2, {BLOCKS} blocks, decay {DECAY}",
        margin_is="least objective less the bound (rounding allowed)",
        starts=STARTS,
    )


def _least(c: float) -> float:
    """The model's least value: cross entropy of the margin, and (K - 1) c a."""
    a = math.log(1 + (1 - K * c) / c)
    return math.log1p((K - 1) * math.exp(-a)) + (K - 1) * c * a


def _lengths(d: int) -> list[int]:
    """Inputs, matrices of the blocks, the last scale and shift, W and b."""
    return [N * PIXELS * d, 2 * BLOCKS * d * d, d, d, K * d, K]


def _normal(x: Float[Tensor, "*B M d"]) -> Float[Tensor, "*B M d"]:
    centred = x - x.mean(-2, keepdim=True)
    return centred / (centred.square().mean(-2, keepdim=True) + 1e-12).sqrt()


def _excess(x: Float[Tensor, "B P"], d: int, bound: float) -> Float[Tensor, " B"]:
    return _value(x, d) - bound


def _value(x: Float[Tensor, "*B P"], d: int) -> Float[Tensor, "*B"]:
    """The objective without the decay of what has no scale."""
    inputs, matrices, gamma, beta, W, b = x.split(_lengths(d), -1)  # type: ignore[no-untyped-call]
    stream = inputs.unflatten(-1, (N * PIXELS, d))
    blocks = matrices.unflatten(-1, (BLOCKS, 2, d, d))
    for block in range(BLOCKS):
        stream = stream + (_normal(stream).relu() @ blocks[..., block, 0, :, :]).relu() @ blocks[..., block, 1, :, :]
    maps = (gamma[..., None, :] * _normal(stream) + beta[..., None, :]).relu()
    features = maps.unflatten(-2, (N, PIXELS)).mean(-2)
    logits = features @ W.unflatten(-1, (K, d)).mT + b[..., None, :]
    losses = logits.logsumexp(-1) - logits[..., torch.arange(N), torch.arange(N) % K]
    return losses.mean(-1) + DECAY / 2 * sum(part.square().sum(-1) for part in (gamma, beta, W, b))


def _constructed() -> Float[Tensor, " P"]:
    """One-hot features of inputs that blocks leave as they are, and the classifier that balances them."""
    ratio = math.sqrt(1 / (K - 1))  # |w| / |h| = sqrt(k / K), h centred
    c = DECAY * ratio
    margin = math.log(1 + (1 - K * c) / c)
    a, alpha = math.sqrt(margin / ratio), math.sqrt(margin * ratio)
    hot = torch.eye(K, dtype=torch.float64)[torch.arange(N) % K].repeat_interleave(PIXELS, 0)
    matrices = torch.zeros(2 * BLOCKS * K * K, dtype=torch.float64)
    scale = torch.full((K,), a * math.sqrt((K - 1) / K**2), dtype=torch.float64)
    shift = torch.full((K,), a / K, dtype=torch.float64)
    W = alpha * (torch.eye(K, dtype=torch.float64) - 1 / K)
    return torch.cat([1e3 * hot.flatten(), matrices, scale, shift, W.flatten(), torch.zeros(K, dtype=torch.float64)])
