"""The optimiser of a run and its learning rate over the epochs."""

import math

import torch
from torch import nn

from deepnet.settings import TrainSetting

RELAXED = 10.0
"""The relaxation time t from which parameters that only the decay moves count as relaxed."""


def make_optimiser(net: nn.Module, setting: TrainSetting) -> torch.optim.Optimizer:
    """Make SGD or Adam on every trained parameter; in both, weight decay is part of the gradient.

    So both minimise loss + decay/2 |parameters|^2, which theory speaks about; AdamW does not.
    """
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    device = parameters[0].device
    # On CUDA a tensor, which a recorded step reads anew each time it is played.
    lr = torch.tensor(setting.lr, device=device) if device.type == "cuda" else setting.lr
    if setting.optimiser == "adam":
        betas = (setting.momentum, 0.999)
        is_recorded = device.type == "cuda"
        return torch.optim.Adam(parameters, lr, betas, weight_decay=setting.decay, fused=True, capturable=is_recorded)
    return torch.optim.SGD(
        parameters,
        lr,
        momentum=setting.momentum,
        weight_decay=setting.decay,
        nesterov=setting.nesterov,
        fused=True,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """The same in every group; in place where it is a tensor."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def learning_rate(setting: TrainSetting, epoch: int) -> float:
    """The learning rate of an epoch, counted from 0; in the first epoch it is always the setting's."""
    if epoch >= setting.epochs:  # a terminal block has none
        return 0.0
    if setting.schedule == "cosine":
        return setting.lr * (1 + math.cos(math.pi * epoch / setting.epochs)) / 2
    drops = sum(epoch >= max(1, int(part * setting.epochs / 7)) for part in (3, 5))
    return setting.lr * 0.1**drops


def relaxation_time(setting: TrainSetting, steps: int, epochs: int) -> float:
    """The relaxation time t, the sum over the steps of SGD of lr decay / (1 - momentum), after `epochs` epochs.

    What only the decay moves, such as the balance of the last layer with its features, relaxes like exp(-t).
    """
    rates = sum(learning_rate(setting, epoch) for epoch in range(min(epochs, setting.epochs)))
    return steps * rates * setting.decay / (1 - setting.momentum)


def warning_of_time(setting: TrainSetting, steps: int) -> str | None:
    """A warning if a run of SGD without terminal blocks ends before t = 10, or None."""
    time = relaxation_time(setting, steps, setting.epochs)
    if setting.terminal or setting.optimiser != "sgd" or time >= RELAXED:
        return None
    return (
        "the last layer is unlikely to be stationary at the end: what only the weight decay moves relaxes like "
        f"exp(-t), and t, the sum of lr decay / (1 - momentum) over the steps, reaches {time:.2g}, less than "
        f"{RELAXED:g} (--terminal brings the last layer to rest)"
    )
