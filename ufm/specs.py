"""How losses, models and last layers are named in settings and records: plain values, free of torch."""

LossSpec = dict[str, int | float | str]
"""A loss by name with its parameters, `{"name": "focal", "gamma": 2}`; as options `--loss focal --loss.gamma 2`."""


HeadSpec = dict[str, bool | int | float | str]
"""The last layers of a network by name with their parameters, as options `--head normalised --head.temperature 5`."""


ModelSpec = dict[str, bool | int | float | str | list[int]]
"""A model by name with its options; as options of the command `--model spheres --model.temperature 5`."""


LOSS_CLASSES = {
    "ce": "CrossEntropy",
    "ls": "LabelSmoothing",
    "focal": "Focal",
    "mse": "SquaredError",
}
"""The names `--loss` takes, and which class of `ufm/model/losses.py` each is.

They stand here so that `--help` need not import torch."""
LOSS_NAMES = tuple(LOSS_CLASSES)
