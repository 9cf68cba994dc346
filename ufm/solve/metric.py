"""The inner product in which the solver descends: a bias moves every logit, and is far stiffer than W and H.

L-BFGS begins with a multiple of the identity for the inverse Hessian and needs about as many steps more as the square
root of the quotient of largest and smallest curvature. In `Problem` the bias alone makes that quotient large: squared
error has curvature 1 + decay_b in it and no more than about decay + 1/(K sqrt(n)) in W and H. So the identity is
replaced by diag(1, ..., 1, s, ..., s), s for the bias. s is read off the known Hessian at zero, where

    of W and H: [[decay_W I, G'], [G, decay_H I]] ,     of b: mean of the loss's Hessians in the logits, + decay_b ,

and G are the gradients of the mean loss; of both, an average takes the place of the largest eigenvalue. Any s > 0
leaves the method a descent, and what starts converge to does not depend on it where there is one minimum.
"""

from functools import singledispatch

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.model.parameters import is_per_start
from ufm.model.problem import Problem
from ufm.solve.lbfgs.rules import Metric
from ufm.solve.units import Units

STEP = 1e-2
"""Of the difference that stands for a second derivative; an estimate is enough."""
LEAST = 1e-8


@singledispatch
def metric_of(model: object) -> Metric:
    """The metric of an objective: that of its variables, unless more is known."""
    return Metric(0, torch.ones(1, dtype=torch.float64))


@metric_of.register
def _of_units(units: Units) -> Metric:
    return metric_of(units.model)


@metric_of.register
def _of_problem(problem: Problem) -> Metric:
    if not problem.has_bias:
        return Metric(0, torch.ones(1, dtype=torch.float64))
    slope, bend = _at_zero(problem)
    scale = (problem.radius + slope / (problem.N * problem.K) ** 0.5) / (bend + problem.decays[2])
    known = torch.where((bend > 0) & torch.isfinite(scale), scale, 1.0)
    return Metric(problem.K, known.clamp(LEAST, 1.0))


def _at_zero(problem: Problem) -> tuple[Float[Tensor, " S"], Float[Tensor, " S"]]:
    """|loss gradient| of a sample at zero logits, and its curvature there along a direction that adds up to zero."""
    given = [value for part in (problem, problem.loss) for value in vars(part).values() if isinstance(value, Tensor)]
    device = given[0].device if given else None
    v = torch.ones(problem.K, dtype=torch.float64, device=device)
    v[1::2] = -1
    v = (v - v.mean()) / (v - v.mean()).norm()
    starts = max((len(value) for value in vars(problem.loss).values() if isinstance(value, Tensor)), default=1)
    logits = torch.stack([0 * v, STEP * v, -STEP * v]).expand(starts if is_per_start(problem.loss) else 1, -1, -1)
    _, gradient = problem.loss.value_and_gradient(logits, torch.zeros(3, dtype=torch.int64, device=device))
    zero, ahead, behind = gradient.unbind(1)
    return zero.norm(dim=1), (ahead - behind) @ v / (2 * STEP)
