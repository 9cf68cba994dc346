"""How losses, models and last layers are named in settings and records: plain values, free of torch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

LossSpec = dict[str, int | float | str]
"""A loss by name with its parameters, `{"name": "focal", "gamma": 2}`; as options `--loss focal --loss.gamma 2`."""


HeadSpec = dict[str, bool | int | float | str]
"""The last layers of a network by name with their parameters, as options `--head normalised --head.temperature 5`."""


ModelSpec = dict[str, bool | int | float | str | list[int]]
"""A model by name with its options; as options of the command `--model spheres --model.temperature 5`."""


LOSS_NAMES = ("ce", "ls", "focal", "mse")
"""The names `--loss` takes; `ufm.model.losses.LOSSES` maps them to classes.

They stand here so that `--help` need not import torch."""
