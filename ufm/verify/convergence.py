"""The approach of all starts to the predicted minimum, step by step.

The minimiser is deterministic, so that running it for 1, 2, 4, ... steps from the same starts shows its path without
a word from inside it. Evidence is numeric.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import finite, instance, integer, positive, takes, tensor
from ufm.model.model import Model
from ufm.solve.minimise import minimise
from ufm.solve.units import own_units

PERCENTILES = (0, 25, 50, 75, 100)
TRACED = 200
"""The most starts whose path is shown, because walking it repeatedly triples the work."""


@takes(model=instance(Model), predicted=finite, tolerance=positive, max_steps=integer(1), starts=tensor(None, None))
def convergence(
    model: Model, predicted: float, starts: Float[Tensor, "S P"], tolerance: float, max_steps: int
) -> dict[str, list[list[float]] | list[int]]:
    """The percentiles over the starts of |f - predicted| / f(0) and of the gradient's norm after 0, 1, 2, 4, ... steps.

    A start that has converged stays where it is. The last number of steps is the first of the sequence within which
    all starts end, or `max_steps`. The model is in its own units.

    Returns:
        `steps`, and one list of `PERCENTILES` per number of steps as `value` and `gradient`.
    """
    tensor(None, model.size).check("starts", starts)
    units = own_units(model)
    scale = abs(float(units.model.value(torch.zeros_like(starts[0]))))
    value, gradient = units.value_and_gradient(starts)
    steps, found = [0], [(value, gradient.norm(dim=-1))]
    while steps[-1] < max_steps:
        steps.append(min(max(1, 2 * steps[-1]), max_steps))
        end = minimise(units, starts, tolerance, steps[-1])
        found.append((end.value, end.gradient_norm))
        if int(end.steps.max()) < steps[-1]:
            break
    deviation = torch.stack([(float(units.gradient) * value - predicted).abs() / scale for value, _ in found])
    norms = torch.stack([norm for _, norm in found])
    return {"steps": steps, "value": _percentiles(deviation), "gradient": _percentiles(norms)}


def _percentiles(rows: Float[Tensor, "T S"]) -> list[list[float]]:
    levels = torch.tensor(PERCENTILES, dtype=rows.dtype, device=rows.device) / 100
    return rows.quantile(levels, dim=-1).mT.tolist()
