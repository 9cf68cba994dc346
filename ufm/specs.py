"""How losses, models and last layers are named in settings and records: plain values, free of torch."""

import re
from typing import NamedTuple

LossSpec = dict[str, int | float | str]
"""A loss by name with its parameters, `{"name": "focal", "gamma": 2}`; as options `--loss focal --loss.gamma 2`."""


HeadSpec = dict[str, bool | int | float | str]
"""The last layers of a network by name with their parameters, as options `--head normalised --head.temperature 5`."""


ModelSpec = dict[str, bool | int | float | str | list[int]]
"""A model by name with its options; as options of the command `--model spheres --model.temperature 5`."""


class LossEntry(NamedTuple):
    """A class of `ufm/model/losses.py`, and its parameters with what is allowed, for `--help`."""

    kind: str
    parameters: str = ""


LOSS_ENTRIES = {
    "ce": LossEntry("CrossEntropy"),
    "ls": LossEntry("LabelSmoothing", "--loss.alpha in [0, 1)"),
    "focal": LossEntry("Focal", "--loss.gamma >= 0"),
    "mse": LossEntry("SquaredError", "--loss.rescale > 0, --loss.convention half_norm or mean"),
}
"""The losses that `--loss` names; kept in this file so that `--help` need not import torch."""
LOSS_NAMES = tuple(LOSS_ENTRIES)
LOSS_PARAMETERS = tuple(re.findall(r"--loss\.(\w+)", str(LOSS_ENTRIES)))
IN_WORDS = {
    "{losses}": ", ".join(
        f"{name} ({entry.parameters})" if entry.parameters else name for name, entry in LOSS_ENTRIES.items()
    )
}
"""Texts that replace words in the docstrings of options in a manual page."""
