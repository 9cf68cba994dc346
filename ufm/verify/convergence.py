"""The approach of the first starts to the predicted minimum, step by step; the evidence is numeric."""

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import finite, instance, integer, takes
from ufm.solve.end_points import Path
from ufm.solve.units import Units

PERCENTILES = (0, 25, 50, 75, 100)
TRACED = 200
"""The most starts whose path is kept and shown."""


@takes(units=instance(Units), predicted=finite, path=instance(Path), max_steps=integer(1))
def convergence(units: Units, predicted: float, path: Path, max_steps: int) -> dict[str, list[list[float]] | list[int]]:
    """The percentiles over the starts of |f - predicted| / f(0) and of the gradient's norm after 0, 1, 2, 4, ... steps.

    A start that has ended stays where it is. The last number of steps is the first of the sequence within which
    all starts end, or `max_steps`.

    Args:
        units: the model in its own units, in which `predicted` is.
        predicted: the value that the starts are to approach.
        path: that `minimise` has kept of the starts.
        max_steps: that it was given.

    Returns:
        `steps`, and one list of `PERCENTILES` per number of steps as `value` and `gradient`.
    """
    known, end = path.numbers[:, :-1], path.numbers[:, -1:]
    walked = int((~known.isnan()).any(2).any(0).sum())
    steps = [0, *(min(2**bits, max_steps) for bits in range(max(walked, 1)))]
    steps = steps[: steps.index(max_steps) + 1] if max_steps in steps else steps
    known = torch.cat([known, torch.full_like(end, torch.nan)], 1)[:, : len(steps)]
    value, gradient = torch.where(known.isnan(), end, known).unbind(2)
    scale = abs(float(units.model.value(torch.zeros(units.model.size, dtype=end.dtype))))
    deviation = (float(units.gradient) * value - predicted).abs() / scale
    return {"steps": steps, "value": _percentiles(deviation), "gradient": _percentiles(gradient)}


def _percentiles(columns: Float[Tensor, "S T"]) -> list[list[float]]:
    levels = torch.tensor(PERCENTILES, dtype=columns.dtype, device=columns.device) / 100
    return columns.quantile(levels, dim=0).mT.tolist()
