"""A model in its own units, in which tolerances mean the same whatever units it was written in.

With W = w W', H = h H', b = r b' and logits z = r z', w h = r, a model is u times one of its kind with other decays,

    f = u f' ,    decay_W' = decay_W w^2 / u ,    decay_H' = decay_H h^2 / u ,    decay_b' = decay_b r^2 / u ,

where squared error k/2 |z - r e_y|^2 is u = k r^2 times its plain self, and u = r = 1 for a softmax loss. The factors w
and h are those that make both decays equal. So f and t f, W and H in other units, and every rescaled squared error
become one and the same problem: what a start, a tolerance or a verdict is there does not depend on how it was written.
A model with equal decays and r = k = 1 is its own self, bit for bit.
"""

from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance
from ufm.model import parameters
from ufm.model.deep import DeepProblem
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy
from ufm.model.model import Model, Point
from ufm.model.parameters import Parameter, Rows, along, is_per_start
from ufm.model.problem import Problem
from ufm.model.target import Target
from ufm.solve.end_points import EndPoints

SAMPLES = 64
"""Random logits at which the gradient of a loss of your own is compared with that of cross entropy."""


@dataclass(frozen=True)
class Units:
    """A model in its own units, and the size of each unit in the original.

    Attributes:
        model: the model in its own units.
        value: of the objective.
        logits: of logits and bias.
        scales: of every variable; one row per start where parameters differ by start.
        gradient: the unit of gradients in the own units: 1, or for a loss of your own the ratio of its gradient to that
            of cross entropy; and where decays > 1 leave nothing but zero, the square root of the decay.
    """

    model: Model
    value: Parameter
    logits: Parameter
    scales: Float[Tensor, "*S P"]
    gradient: Parameter

    def value_and_gradient(self, x: Float[Tensor, "B P"]) -> tuple[Float[Tensor, " B"], Float[Tensor, "B P"]]:
        """Value and gradient of the model, both in units of `gradient`."""
        f, g = self.model.value_and_gradient(x)
        if isinstance(self.gradient, float) and self.gradient == 1:  # spares a pass over all variables
            return f, g
        return f / self.gradient, g / along(self.gradient, g)

    def take(self, rows: Rows) -> "Units":
        """The units of the starts `rows`: themselves, unless parameters differ by start."""
        model = self.model.take(rows)
        if model is self.model:
            return self
        scales = self.scales[rows] if self.scales.dim() == 2 else self.scales
        return replace(parameters.take(self, rows), model=model, scales=scales)

    def back(self, end: EndPoints) -> EndPoints:
        """Convert end points to the original units; norms of gradients stay in units of `gradient`."""
        return replace(end, x=self.scales.to(end.x.device) * end.x, value=self.value * self.gradient * end.value)

    def target(self, target: Target) -> Target:
        """Convert a prediction for the original model to the own units."""
        others = target.other_minima and tuple(value / float(self.value) for value in target.other_minima)
        return replace(
            target,
            value=target.value / float(self.value),
            point=target.point / self.scales,
            margin=target.margin / float(self.logits),
            other_minima=others,
        )


@singledispatch
def own_units(model: Model) -> Units:
    """The model in its own units; itself where it has no decays (on spheres)."""
    instance(Model).check("model", model)
    of_loss = _loss_unit(model.loss, model.K)
    return Units(model, 1.0, 1.0, torch.ones(model.size, dtype=torch.float64), of_loss)


@own_units.register
def _of_problem(problem: Problem) -> Units:
    loss, u, r = problem.loss.in_own_units(problem.K)
    ratio = (problem.decay_H**0.5 / problem.decay_W**0.5) ** 0.5
    w, h = r**0.5 * ratio, r**0.5 / ratio
    decay_W, decay_H = problem.decay_W * w**2 / u, problem.decay_H * h**2 / u
    decay_b = None if problem.decay_b is None else problem.decay_b * r**2 / u
    own = replace(problem, loss=loss, decay_W=decay_W, decay_H=decay_H, decay_b=decay_b)
    per_start = w + 0 * u
    starts, device = ((len(per_start),), per_start.device) if isinstance(per_start, Tensor) else ((), None)
    like = torch.ones(*starts, problem.size, dtype=torch.float64, device=device)
    W, H, b = problem.unpack(like)
    scales = problem.pack(Point(W * along(w, W), H * along(h, H), b * along(r, b)))
    return Units(own, u, r, scales, _gradient_unit(own))


@own_units.register
def _of_deep_problem(problem: DeepProblem) -> Units:
    loss, u, r = problem.loss.in_own_units(problem.K)
    M = problem.factors
    decays = (problem.decay_W, *problem.inner, problem.decay_H)
    mean = problem.geometric_mean if len({*decays}) > 1 else problem.decay_W
    scales = [r ** (1 / M) * mean**0.5 / decay**0.5 for decay in decays]
    first, *inner, last = (decay * scale**2 / u for decay, scale in zip(decays, scales, strict=True))
    decay_b = None if problem.decay_b is None else problem.decay_b * r**2 / u
    own = replace(problem, loss=loss, decay_W=first, decay_H=last, inner=tuple(inner), decay_b=decay_b)
    W, layers, H, b = problem.factorised(torch.ones(problem.size, dtype=torch.float64))
    scaled = [layer * scale for layer, scale in zip(layers, scales[1:-1], strict=True)]
    of_variables = problem.assembled(W * scales[0], scaled, H * scales[-1], b * r)
    return Units(own, u, r, of_variables, _gradient_unit(own))


def _gradient_unit(own: Model) -> Parameter:
    """The unit of gradients: the loss's, times the square root of decays > 1 in its units."""
    of_loss = _loss_unit(own.loss, own.K)
    decay = own.curvature_scale / of_loss
    return of_loss * (decay.clamp(min=1.0) if isinstance(decay, Tensor) else max(1.0, decay)) ** 0.5


def _loss_unit(loss: Loss, K: int) -> Parameter:
    """1 for a loss that says so; for others, the median ratio of its gradient to that of cross entropy."""
    if loss.has_unit_gradient:
        return 1.0
    given = [value for value in vars(loss).values() if isinstance(value, Tensor)]
    starts, device = (len(given[0]), given[0].device) if given else (1, torch.device("cpu"))
    samples = torch.arange(SAMPLES, device=device)
    z = torch.randn(SAMPLES, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(device)
    of_loss = loss.value_and_gradient(z.expand(starts, -1, -1), samples % loss.label_count(K))[1].norm(dim=-1)
    ratio = (of_loss / CrossEntropy().value_and_gradient(z, samples % K)[1].norm(dim=-1)).median(-1)[0]
    ratio = torch.where((ratio > 0) & torch.isfinite(ratio), ratio, 1.0)
    return ratio if is_per_start(loss) else float(ratio)
