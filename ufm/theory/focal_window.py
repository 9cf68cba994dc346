"""Where focal loss leaves the theory: the window of decays in which neither the ETF nor zero need be the minimum.

-phi'(a) = S(a) is not monotone for many classes, so zero and the ETF are both local minimisers for c between
c_low = S(0)/(K - 1) and c_high = max S/(K - 1), c = sqrt(n decay_W decay_H). Between them stand *partial* states: m
classes on a simplex, the other K - m together (n = 1). They are fixed by symmetries of f: permutations of the m classes
and of the K - m others, each with a rotation of feature space; reflections of feature directions; and the reflection
(W, b) -> (I - 2 11'/K) (W, b), which moves all logits of a sample alike. With I - 11'/m on the m classes in m - 1
feature directions and one more direction for what tells the others apart, the points fixed by all of these are

    W = omega_W (I - 11'/m) + w v e',    H = omega_H (I - 11'/m) + (h v + k u) e',    b = B s,

    v = (sqrt((K - m)/(m K)), -sqrt(m/((K - m) K))),   u = (1, ..., 1)/sqrt(K),   s = ((K - m)/K, -m/K),

first entry for the m classes. By symmetric criticality their critical points are those of f. There decay_W W'W =
decay_H H'H, so that at equal decays c they are omega_W = omega_H = omega, w = eta, (h, k) = eta (cos(angle),
sin(angle)): f depends on t = omega^2, beta = eta^2, B and the angle, through the mean logits

    Z = H W' = t (I - 11'/m) + beta (cos(angle) v + sin(angle) u) v'

and the penalty c ((m - 1) t + beta) + decay_b/2 B^2 m (K - m)/K. The feature u that all classes share does the work of
a bias, at a cost: the angle is 0 where the bias is free (then G'1 = 0, hence 1'H = 0) and in general not 0 where it is
decayed or absent and beta > 0. With beta = 0 the others are at zero; m = K is the ETF ray.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import bias_decay, integer, not_negative, takes
from ufm.model.losses import Focal
from ufm.model.problem import Problem
from ufm.solve.minimise import minimise
from ufm.theory.partial_collapse import onset
from ufm.theory.prediction import focal_curvature_sign, focal_of_margin, focal_slope, predict, steepest_focal
from ufm.tolerances import PSEUDO_INVERSE, SAME_LEVELS, VANISHES, WINDOW_GRADIENT, WINDOW_SEARCH_GRADIENT

KINDS = ("zero", "merged")
"""Where the K - m other classes are: at zero, or together at a feature that is not."""
POLISHING_STEPS = 4
ZOOM = 33
"""Points between which a boundary is searched, again and again."""


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of c on the ray from zero to the ETF.

    Attributes:
        low: zero is a local minimiser from this c on.
        maxwell: zero and the ETF have the same value.
        high: the ETF is a critical point up to this c.
        margin: the ETF's logit margin at `maxwell` (0 if the transition is continuous).
        onset: with a free bias, K - 1 classes on a simplex and one at zero are a local minimiser from this c on, below
            `low` (None if the transition is continuous); up to here, or nearly, no point but the ETF is.
    """

    low: float
    maxwell: float
    high: float
    margin: float
    onset: float | None = None

    @property
    def is_continuous(self) -> bool:
        """Whether the ETF shrinks to zero without a window."""
        return not self.high > self.low


@dataclass(frozen=True)
class States:
    """The lowest partial state of each size m = 1..K and kind at each strength; nan where there is none.

    Attributes:
        value: objective (m, kind, c).
        omega, eta, bias, angle: where it is attained.
        strengths: c.
    """

    value: Float[Tensor, "K 2 G"]
    omega: Float[Tensor, "K 2 G"]
    eta: Float[Tensor, "K 2 G"]
    bias: Float[Tensor, "K 2 G"]
    angle: Float[Tensor, "K 2 G"]
    strengths: Float[Tensor, " G"]

    @property
    def etf(self) -> Float[Tensor, " G"]:
        """The ETF's value."""
        return self.value[-1, 0]

    @property
    def partial(self) -> tuple[Float[Tensor, " G"], Int[Tensor, " G"]]:
        """The lowest value with 0 < m < K, and its m."""
        lowest, m = self.value[:-1].nan_to_num(nan=math.inf).amin(1).min(0)
        return lowest, m + 1


@takes(K=integer(2), gamma=not_negative)
def ray_thresholds(K: int, gamma: float) -> Thresholds:
    """c_low, c_M and c_high in closed form or as roots to rounding."""
    low = focal_slope(0.0, K, gamma) / (K - 1)
    if K == 2 or gamma == 0 or focal_curvature_sign(0.0, K, gamma) >= 0:
        return Thresholds(low, low, low, 0.0)
    top = steepest_focal(K, gamma)
    high = focal_slope(top, K, gamma) / (K - 1)
    maxwell = predict(Problem(Focal(gamma), K, K, 1, low, low, None)).zero_threshold
    margin = predict(Problem(Focal(gamma), K, K, 1, maxwell * (1 - 1e-15), maxwell, None)).margin
    return Thresholds(low, maxwell, high, margin, onset(lambda a: focal_slope(a, K, gamma), top, K))


class TwoLevels:
    """f on the balanced symmetric points; a row of x is (omega, eta, B, angle, m, c), the last two constant.

    Args:
        K: classes.
        gamma: of the focal loss.
        decay_b: bias decay, None for no bias.
        progress: called with the number of minimisations that ended since the last call.
    """

    def __init__(
        self, K: int, gamma: float, decay_b: float | None, progress: Callable[[int], None] | None = None
    ) -> None:
        for name, rule, value in (("K", integer(2), K), ("decay_b", bias_decay, decay_b)):
            rule.check(f"TwoLevels({name}=...)", value)
        self.K, self.loss, self.decay_b, self.progress = K, Focal(gamma), decay_b, progress

    def value(self, x: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch"]:
        """f, differentiable; B counts where there is a bias, the angle where it is not free."""
        K, (omega, eta, B, angle, m, c) = self.K, x.unbind(-1)
        B, angle = B * (self.decay_b is not None), angle * (self.decay_b != 0)
        t, beta, others = omega.square(), eta.square(), K - m
        along = beta * angle.cos()
        shift = B + beta * angle.sin() / (m * others).clamp(min=1).sqrt()  # what acts as a bias
        per_other = torch.where(others > 0, along / others.clamp(min=1), 0.0)
        lead = t * (1 - 1 / m) + along / m + shift  # of an active class's own logit over the others'
        active = torch.log((m - 1) * torch.exp(-t) + others * torch.exp(-lead))
        behind = torch.log((others - 1).clamp(min=0) + m * torch.exp(shift - per_other))
        loss = (m * self.loss.of_deficit(active) + others * self.loss.of_deficit(behind)) / K
        return loss + c * ((m - 1) * t + beta) + (self.decay_b or 0.0) / 2 * B.square() * m * others / K

    def value_and_gradient(self, x: Float[Tensor, "S 6"]) -> tuple[Float[Tensor, " S"], Float[Tensor, "S 6"]]:
        """f and its gradient in (omega, eta, B, angle)."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.value(x)
            (gradient,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), gradient * (torch.arange(6) < 4)

    def states(self, strengths: Float[Tensor, " G"]) -> States:
        """Minimise for every m and c from several starts, and sort the ends by kind."""
        K, G = self.K, len(strengths)
        size = math.sqrt(max(1.0, math.log(K)))
        seeds = torch.tensor([[0.5, 0.01], [1.0, 0.01], [1.5, 0.01], [1.0, 0.5], [0.7, 0.7], [1.0, 1.5]]) * size
        shape = (K, G, len(seeds))
        x = torch.zeros(*shape, 6, dtype=torch.float64)
        x[..., :2] = seeds.double()
        x[..., 4] = torch.arange(1, K + 1, dtype=torch.float64)[:, None, None]
        x[..., 5] = strengths[:, None]
        x[K - 1, ..., 1] = 0.0  # the ETF ray
        found = minimise(self.value_and_gradient, x.view(-1, 6), WINDOW_SEARCH_GRADIENT, 2000, progress=self.progress)
        end = self.polished(found.x)
        value, gradient = self.value_and_gradient(end)
        return self._sorted(end.view(*shape, 6), value.view(shape), gradient.norm(dim=1).view(shape), strengths)

    def polished(self, x: Float[Tensor, "S 6"]) -> Float[Tensor, "S 6"]:
        """Newton steps in the variables that are not zero, kept where the gradient gets shorter."""
        for _ in range(POLISHING_STEPS):
            gradient = self.value_and_gradient(x)[1][:, :4]
            x = torch.where((x.square() <= VANISHES) & (torch.arange(6) < 2), 0.0, x)
            hessian = torch.func.vmap(torch.func.hessian(self.value))(x)[:, :4, :4]
            omega, eta, always = x[:, 0] != 0, x[:, 1] != 0, torch.ones(len(x), dtype=torch.bool)
            active = torch.stack([omega, eta, always, eta], 1)
            hessian = hessian * active[:, :, None] * active[:, None, :]
            step = (torch.linalg.pinv(hessian, rtol=PSEUDO_INVERSE) @ (gradient * active)[:, :, None])[..., 0]
            moved = torch.cat([x[:, :4] - step, x[:, 4:]], 1)
            shorter = self.value_and_gradient(moved)[1].norm(dim=1) < self.value_and_gradient(x)[1].norm(dim=1)
            x = torch.where(shorter[:, None], moved, x)
        return x

    def _sorted(self, x: Tensor, value: Tensor, gradient: Tensor, strengths: Tensor) -> States:
        """The lowest end of each kind; ends not converged, at zero, or the ETF (m = K - 1, beta = t) do not count."""
        t, beta, m = x[..., 0].square(), x[..., 1].square(), x[..., 4]
        is_good = gradient <= WINDOW_GRADIENT
        is_merged = (beta > VANISHES) & ((t > VANISHES) | (m == 1))
        is_etf = (m == self.K - 1) & ((t - beta).abs() < SAME_LEVELS)
        kinds = torch.stack([is_good & (t > VANISHES) & (beta <= VANISHES) & (m > 1), is_good & is_merged & ~is_etf], 1)
        masked = torch.where(kinds, value[:, None], math.inf)
        lowest, place = masked.min(-1)
        found = torch.isfinite(lowest)
        x = torch.where((m == 1)[..., None] & (torch.arange(6) == 0), 0.0, x)  # one class has no simplex
        x = torch.where((beta <= VANISHES)[..., None] & (torch.arange(6) == 3), 0.0, x)  # nothing that has an angle
        best = (column[:, None].expand_as(masked).gather(-1, place[..., None])[..., 0] for column in x.unbind(-1)[:4])
        omega, eta, B, angle = (torch.where(found, column, math.nan) for column in best)
        angle = torch.atan2(angle.sin(), angle.cos())
        return States(torch.where(found, lowest, math.nan), omega.abs(), eta.abs(), B, angle, strengths)


def window(levels: TwoLevels, thresholds: Thresholds) -> tuple[float, float] | None:
    """The c between which a partial state lies below both the ETF and zero, or None."""
    at_zero = focal_of_margin(0.0, levels.K, float(levels.loss.gamma))
    states = levels.states(torch.linspace(thresholds.low, thresholds.high, 4 * ZOOM, dtype=torch.float64))
    below = _gain(states, at_zero) > 0
    if not below.any():
        return None
    first, last = int(below.nonzero()[0]), int(below.nonzero()[-1])
    c = states.strengths
    edges = []
    for outside, inside in ((max(first - 1, 0), first), (min(last + 1, len(c) - 1), last)):
        a, b = float(c[outside]), float(c[inside])
        for _ in range(7):
            points = torch.linspace(a, b, ZOOM, dtype=torch.float64)
            inner = int((_gain(levels.states(points), at_zero) > 0).nonzero()[0])
            a, b = float(points[max(inner - 1, 0)]), float(points[inner])
        edges.append(b)
    return edges[0], edges[1]


def order_of_transitions(levels: TwoLevels, first: float, last: float, points: int) -> list[dict[str, Any]]:
    """Which m is best from which c on, on a grid over the window."""
    states = levels.states(torch.linspace(first, last, points, dtype=torch.float64))
    sizes = states.partial[1].tolist()
    steps = []
    for i, m in enumerate(sizes):
        if i == 0 or m != sizes[i - 1]:
            steps.append({"m": m, "from": float(states.strengths[i])})
    return steps


def _gain(states: States, at_zero: float) -> Tensor:
    """How far the best partial state lies below the ETF and zero."""
    return torch.minimum(states.etf.nan_to_num(nan=math.inf), torch.full_like(states.etf, at_zero)) - states.partial[0]
