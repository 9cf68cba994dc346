"""Is a loss a function psi(x) of the soft margin deficit, and up to which decays is its landscape then benign?

x = log(sum_{j != y} exp z_j) - z_y. The theorem and its constant L = inf psi' over x >= x_0, where psi'' > 0 ends, are
in `theory_checks/landscape_of_losses_of_the_margin.py`. Here all of it is numeric evidence, from a grid of x.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ufm.arguments import instance, integer, takes
from ufm.model.loss import Loss
from ufm.tolerances import LOSS_CLAIM_ROUNDING, NO_SLOPE

GRID = (-30.0, 30.0, 6001)
"""x: from, to, count."""
POINTS = 500
"""Random logits."""


@dataclass(frozen=True)
class MarginLoss:
    """What a grid shows of psi.

    Attributes:
        convex_up_to: x_0, infinite where psi is convex on the whole grid.
        constant: L, infinite if so.
        free, decayed, none: the c below which the landscape is benign, by kind of bias (balanced classes, d >= K - 1);
            0 where nothing is said.
    """

    convex_up_to: float
    constant: float
    free: float
    decayed: float
    none: float


@takes(loss=instance(Loss), K=integer(2))
def margin_loss(loss: Loss, K: int) -> MarginLoss | None:
    """The constants of a loss for K classes; None if it is no increasing function of x."""
    x = torch.linspace(*GRID, dtype=torch.float64)
    slope = _slope(loss, K, x)
    if not _is_of_margin(loss, K) or not bool((slope > 0).all()):
        return None
    falls = (slope.diff() < -LOSS_CLAIM_ROUNDING).nonzero()[:, 0]
    if not len(falls):
        return MarginLoss(math.inf, math.inf, math.inf, math.inf, math.inf)
    first, chance = int(falls[0]), int((x <= math.log(K - 1) + LOSS_CLAIM_ROUNDING).sum())
    constant = float(slope[first:].min())
    constant = constant if constant > NO_SLOPE else 0.0
    spread = math.sqrt(K * (K - 1))
    none = math.inf if first >= chance else float(slope[first:chance].min()) / spread
    return MarginLoss(float(x[first]), constant, constant / (K - 1), constant / spread, none)


def _slope(loss: Loss, K: int, x: Tensor) -> Tensor:
    """psi'(x): minus the derivative in the label's logit, the others being zero."""
    z = torch.zeros(len(x), K, dtype=x.dtype)
    z[:, 0] = math.log(K - 1) - x
    return -loss.value_and_gradient(z, torch.zeros(len(x), dtype=torch.int64))[1][:, 0]


def _is_of_margin(loss: Loss, K: int) -> bool:
    """Whether at random logits the gradient is psi'(x) (w - e_y), w the softmax over the other classes."""
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(POINTS, K, dtype=torch.float64, generator=generator)
    labels = torch.arange(POINTS) % K
    own = torch.nn.functional.one_hot(labels, K).bool()
    others = z.masked_fill(own, -math.inf)
    x = others.logsumexp(1) - z[own]
    expected = _slope(loss, K, x)[:, None] * (others.softmax(1) - own.double())
    return bool((loss.value_and_gradient(z, labels)[1] - expected).abs().max() <= LOSS_CLAIM_ROUNDING)
