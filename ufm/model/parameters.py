"""Parameters of a model: one number for all starts, or one per start as a float64 tensor of shape (S,).

The leading axis of every tensor of a batch is the start, so a parameter per start meets it as (S, 1, ..., 1).
"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import is_number, shown, tensor
from ufm.errors import check

Parameter = float | Float[Tensor, " S"]

Model = TypeVar("Model")
Rows = slice | Tensor


def check_parameter(holds: Callable[[Any], Any], argument: str, value: Parameter, allowed: str) -> None:
    """Refuse a number for which `holds` is false, or a tensor with one among its entries.

    A number is Python's int or float (numpy's float64 is one): others would take its float32 arithmetic along.

    Raises:
        ValueError: naming the argument, the first value that is not allowed, and what is.
    """
    kind = "a number or a float64 tensor (starts,)"
    if not isinstance(value, Tensor):
        check(is_number(value), argument, f"{type(value).__name__} {shown(value)}", f"{allowed}, {kind}")
        check(bool(holds(value)), argument, value, allowed)
        return
    check(tensor(None).holds(value) and len(value) > 0, argument, shown(value), kind)
    refused = (~torch.as_tensor(holds(value))).nonzero()[:, 0].tolist()
    for start in refused[:1]:
        check(False, f"{argument} of start {start}", float(value[start]), allowed)


def along(parameter: Parameter, like: Tensor) -> float | Tensor:
    """The parameter in a shape that broadcasts against `like`, whose leading axis is the start."""
    return parameter.view(-1, *[1] * (like.dim() - 1)) if isinstance(parameter, Tensor) else parameter


def is_per_start(model: object) -> bool:
    """Whether any attribute has one entry per start."""
    return any(isinstance(value, Tensor) for value in vars(model).values())


def take(model: Model, rows: Rows) -> Model:
    """A copy with the parameters of those starts only; what was checked is not checked again."""
    result = copy.copy(model)
    for name, value in vars(model).items():
        if isinstance(value, Tensor):
            object.__setattr__(result, name, value[rows])
    return result


def stackable(model: object) -> list[str]:
    """The parameters that may be one per start: a dataclass's fields that are declared as `Parameter`."""
    return [field.name for field in dataclasses.fields(model) if field.type == Parameter] if is_dataclass(model) else []


def stack(models: Sequence[Model], starts: int) -> dict[str, Tensor]:
    """The parameters of several models of one kind, `starts` times each, as one tensor per parameter."""
    names = stackable(models[0])
    columns = {name: [float(getattr(model, name)) for model in models] for name in names}
    return {
        name: torch.tensor(values, dtype=torch.float64).repeat_interleave(starts) for name, values in columns.items()
    }
