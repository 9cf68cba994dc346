"""What a network pays for features that are a mean over tokens behind a layer normalisation, derived.

A batch normalisation bounds each channel over all images (`deepnet/comparison/price.py`); a layer normalisation bounds
each token over its d channels. With u_it = gamma * x^_it + beta of token t of image i, features and their x are

    h_i = mean_t u_it = gamma * x_i + beta ,  x_i = mean_t x^_it ,  1'x^_it = 0 ,  |x^_it|^2 = d v/(v + eps) <= d :

    |x_i|^2 <= mean_t |x^_it|^2 <= d ,  1'x_i = 0                                                                  (1)

by Jensen, v the variance of the token's d channels. Nothing else is assumed of what is beneath: attention, layers,
number of tokens, positions; what writes to the stream has no scale, since x -> s x changes no x^, and the decay of all
of it only adds. So L leaves it out, as `price.py` does.

*Without scale and shift* h_i = x_i, and L = mean loss + decay/2 (|W|^2 + |b|^2). For every mu >= 0

    L >= mean loss + decay/2 (|W|^2 + |b|^2) + mu/2 (sum_i |h_i|^2 - N d) >= U(mu) - mu N d/2 ,                    (2)

since the bracket is not positive; U(mu) is the least value of the unconstrained feature model with decay_H = mu and
decay_b = decay. So features are free within a ball of radius sqrt(d), whose multiplier mu is their price. The right
side is greatest where the model's minimiser has |h_i|^2 = d (its slope in mu is sum_i |h_i|^2 - N d, halved); then the
minimiser obeys (1) if its K class means fit into the d - 1 dimensions of 1'x = 0, and (2) is an equality: nothing is
lost, and a net attains it whose tokens are all alike. With cross entropy, at margin a,

    L = log(1 + (K-1) e^-a) + decay/2 ((K-1) a)^2 / (K d) .

*With scale and shift*, both decayed, L = mean loss + decay/2 (|W|^2 + |b|^2 + |gamma|^2 + |beta|^2) and the logits are
V x_i + (W beta + b) with V = W diag(gamma). Columns are v_c = gamma_c w_c, and

    1/2 (|W|^2 + |gamma|^2) >= sum_c |w_c| |gamma_c| = sum_c |v_c| >= |V|_* ,                                      (3)

two numbers' means; the triangle inequality of the nuclear norm for V = sum_c v_c e_c'. A convex loss is no larger at
class means, whose x are the K columns of X, |X|_F^2 <= K d, and Z = V X, so that by Hölder for the Schatten norms
|Z|_p = (sum_r s_r^p)^(1/p) of its singular values, 1/(2/3) = 1/1 + 1/2,

    L >= min over Z, b' of  mean loss(Z + b' 1') + decay |Z|_{2/3} / sqrt(K d) .                                   (4)

This is the penalty of three factors, of which one is bounded and not decayed, and it favours few dimensions: at margin
a, K - 1 singular values a of the simplex cost (K-1)^(3/2) a, K/2 pairs of opposite features, with singular values 2 a,
cost (K/2)^(3/2) 2 a = K^(3/2) a / 2^(1/2), less if (K/(K-1))^3 < 2, for even K from 6 on; and a loss that falls with
p_y, as cross entropy and focal loss, is lower at the pairs. There *the simplex is no minimiser*
(`theory_checks/scaled_layer_norm_prefers_pairs.py`). (4) is not convex, so that its least is not proved; |Z|_{2/3} >=
|Z|_* makes a convex bound of it, low by sqrt(K-1) in the price of a simplex. Nor is (4) attained: (3) wants orthogonal
columns, features along r channels, whose sum 1'x = 0 the other channels must make up for, at 1/d of |x|^2.
`least_with_scale` searches L itself, over W, b, gamma, beta and all x in (1), one a class: what it finds is *numeric*.

*Without a last normalisation* features are the stream, homogeneous of degree 1 in what writes to it, psi
(`deepnet/nets/scales.py`). Blocks read it normalised, so that psi -> s psi, W -> W/s changes no logit (eps aside):
where all decays, every stationary point has |W|^2 = |psi|^2. More is not derived: what writes is multiplied by what
read, both decayed, so that a path has up to three factors and no power of |h| is the price.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from deepnet.comparison.compare import Sizes
from deepnet.measures.features import LastLayer
from deepnet.measures.measure import measure
from deepnet.measures.reading import Reading
from ufm.arguments import instance, takes
from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.problem import Problem
from ufm.theory.prediction import Prediction, predict
from ufm.theory.roots import root

STARTS, STEPS, CHANGE = 4, 3000, 1e-9
"""Of the search: random starts, and steps of L-BFGS in each, or until one changes L by less than this share of it."""

ZERO = 1e-3
"""Norm of features below which a descent has gone to zero."""


@takes(loss=instance(Loss), sizes=instance(Sizes))
def in_ball(loss: Loss, sizes: Sizes) -> Prediction:
    """The collapsed point of least L without scale and shift; norms without their common part, as in `compare`.

    Its `value` is L, a lower bound of it for every such network where `is_proved_global`.

    Raises:
        ValueError: if theory knows no minimiser for this loss, or d is too small for it (d < K, squared error d <= K).
    """
    K, n, decay = sizes.K, sizes.n, sizes.decay
    radius = math.sqrt(sizes.d)

    def at(log_mu: float) -> Prediction:
        return predict(Problem(loss, K, sizes.d - 1, n, decay, math.exp(log_mu), decay))

    def excess(log_mu: float) -> float:
        return at(log_mu).norm_h - radius

    low = high = math.log(decay / n)
    while excess(low) < 0:
        low -= 1.0
    while excess(high) > 0:
        high += 1.0
    log_mu = root(excess, low, high)
    mu, found = math.exp(log_mu), at(log_mu)
    check(math.isclose(found.norm_h, radius, rel_tol=1e-6), "loss", loss, "such that features fill the ball")
    size, ratio = found.margin * (K - 1) / K, math.sqrt(n * mu / decay)
    value = found.value - mu * K * n * sizes.d / 2
    return replace(found, value=value, norm_w=math.sqrt(size * ratio), norm_h=math.sqrt(size / ratio))


@dataclass(frozen=True)
class Least:
    """The lowest point that a search found, as `deepnet/measures/reading.py` reads it; `value` is its L."""

    value: float
    loss: float
    margin: float
    p_y: float | None
    norm_w: float
    norm_h: float
    dimensions: float

    @property
    def is_zero(self) -> bool:
        """Whether there are no features."""
        return self.norm_h < ZERO


@takes(loss=instance(Loss), sizes=instance(Sizes))
def least_with_scale(loss: Loss, sizes: Sizes) -> Least:
    """The lowest L with scale and shift that descents from `STARTS` random points find: numeric, not a bound.

    A class has one image of two tokens, whose mean may be any x of (1); that suffices for convex losses.
    """
    starts = np.random.default_rng(0).normal(scale=0.3, size=(STARTS, sum(_lengths(sizes))))
    labels = torch.arange(sizes.K)

    def objective(x: Float[np.ndarray, " P"]) -> tuple[float, Float[np.ndarray, " P"]]:
        point = torch.from_numpy(x).requires_grad_()
        with torch.enable_grad():
            layer, penalty = _layer_and_penalty(point, sizes)
            value = loss(layer.logits, labels).mean() + sizes.decay / 2 * penalty
        (slope,) = torch.autograd.grad(value, point)
        return float(value.detach()), slope.numpy()

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "gtol": 0.0, "ftol": CHANGE, "maxcor": 20}
    ends = [minimize(objective, start, jac=True, method="L-BFGS-B", options=options) for start in starts]
    best = min(ends, key=lambda end: float(end.fun))
    layer, _ = _layer_and_penalty(torch.from_numpy(best.x), sizes)
    found = Reading.from_measures(measure(layer, loss))
    p_y = found.p_y if loss.is_shift_invariant else None
    return Least(float(best.fun), found.loss, found.margin, p_y, found.norm_w, found.norm_h, found.dimensions)


def _lengths(sizes: Sizes) -> list[int]:
    """Of the parts of a point: W, b, gamma, beta, and two tokens of each class."""
    return [sizes.K * sizes.d, sizes.K, sizes.d, sizes.d, 2 * sizes.K * sizes.d]


def _layer_and_penalty(point: Float[Tensor, " P"], sizes: Sizes) -> tuple[LastLayer, Float[Tensor, ""]]:
    """The last layer of one image a class, and the sum of squares of what decays."""
    parts = point.split(_lengths(sizes))  # type: ignore[no-untyped-call]
    W, b, gamma, beta, tokens = parts
    seen = tokens.view(2, sizes.K, sizes.d)
    seen = seen - seen.mean(-1, keepdim=True)
    x = math.sqrt(sizes.d) * (seen / seen.norm(dim=-1, keepdim=True)).mean(0)
    squares = torch.stack([part.square().sum() for part in parts[:-1]]).sum()
    return LastLayer(gamma * x + beta, torch.arange(sizes.K), W.view(sizes.K, sizes.d), b), squares
