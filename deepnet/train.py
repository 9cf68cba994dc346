"""Training to the terminal phase: SGD with weight decay on every parameter; an epoch leaves one line and a checkpoint.

Nothing in the inner loop waits for the device: losses stay there until the epoch ends. Randomness (initial parameters,
then order and augmentation) comes from one generator on the CPU, so that a seed means the same on every device and a
resumed run continues bit for bit on a CPU.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from deepnet import checkpoint
from deepnet.augmentation import augmented
from deepnet.data import Data, Selection, load
from deepnet.features import forward, last_layer, measure
from deepnet.settings import TrainSetting
from deepnet.wide_resnet import WideResNet
from ufm.command_line import RequestError, torch_device
from ufm.losses import Loss, make_loss


@dataclass
class Training:
    """A run between two epochs: all that the next epoch depends on."""

    setting: TrainSetting
    data: Data
    loss: Loss
    net: WideResNet
    optimiser: torch.optim.SGD
    generator: torch.Generator
    epoch: int = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "setting": checkpoint.plain_setting(self.setting),
            "epoch": self.epoch,
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: if it lacks a part or its parameters are of another network.
        """
        try:
            self.net.load_state_dict(state["net"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.generator.set_state(state["generator"])
            self.epoch = state["epoch"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise RequestError(f"the checkpoint must be of this network and optimiser ({error}).") from None


def begin(setting: TrainSetting) -> Training:
    """Load the data and draw the initial parameters.

    Raises:
        ValueError: if the loss, the data or the device cannot be had.
    """
    loss = make_loss(setting.loss)
    device = torch_device(setting.device)
    torch.backends.cudnn.benchmark = device.type == "cuda"
    selection = Selection(setting.validation, setting.per_class, setting.test_per_class, setting.seed)
    data = load(setting.data, setting.data_folder, selection).to(device)
    generator = torch.Generator().manual_seed(setting.seed)
    net = WideResNet(setting.width, data.classes, data.mean.shape[0], generator)
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(
        net.parameters(), setting.lr, momentum=setting.momentum, weight_decay=setting.decay, fused=True
    )
    return Training(setting, data, loss, net, optimiser, generator)


def reopen(folder: Path, device: str, data_folder: Path | None = None) -> Training:
    """The run in a folder as its checkpoint left it.

    Raises:
        ValueError: if the folder holds no run, or a damaged one.
    """
    stored = checkpoint.read_setting(folder)
    setting = TrainSetting(**stored | {"device": device, "data_folder": data_folder or Path(stored["data_folder"])})
    training = begin(setting)
    training.restore(checkpoint.load(folder))
    checkpoint.read_metrics(folder)  # refused here if it is damaged
    return training


def train(
    training: Training, folder: Path, on_step: Callable[[int], None], on_epoch: Callable[[dict[str, Any]], None]
) -> str | None:
    """Run the epochs that are left; return a sentence if the run stopped being finite, None at the end.

    The checkpoint is then that of the last epoch all of whose losses and parameters were.
    """
    while training.epoch < training.setting.epochs:
        start = time.perf_counter()
        line: dict[str, Any] = {"epoch": training.epoch + 1, "lr": learning_rate(training.setting, training.epoch)}
        losses, line["loss"], line["accuracy"] = _epoch(training, on_step)
        line["images_per_s"] = len(training.data.splits["train"].labels) / (time.perf_counter() - start)
        if failure := _failure(training, losses):
            return f"{failure} of epoch {line['epoch']}; try a smaller --lr."
        training.epoch += 1
        line |= measure_splits(training) if _is_measured(training) else {}
        line["seconds"] = time.perf_counter() - start
        checkpoint.append_metrics(folder, line)
        checkpoint.save(folder, training.state())
        on_epoch(line)
    return None


def learning_rate(setting: TrainSetting, epoch: int) -> float:
    """The learning rate of an epoch, counted from 0."""
    if setting.schedule == "cosine":
        return setting.lr * (1 + math.cos(math.pi * epoch / setting.epochs)) / 2
    drops = sum(epoch >= int(part * setting.epochs / 7) for part in (3, 5))
    return setting.lr * 0.1**drops


def measure_splits(training: Training) -> dict[str, dict[str, float]]:
    """Loss, accuracy and collapse metrics of each split, on clean images."""
    return {
        name: measure(last_layer(training.net, training.data, split, training.setting.precision), training.loss)
        for name, split in training.data.splits.items()
    }


def batches(count: int, size: int, generator: torch.Generator, device: torch.device) -> list[Int[Tensor, " n"]]:
    """A random order of all samples in batches; none has one sample, which batch normalisation could not take.

    It goes to the device in one piece: a copy from ordinary memory makes the host wait.
    """
    parts = list(torch.split(torch.randperm(count, generator=generator).to(device), size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        last = parts.pop()
        parts[-1] = torch.cat([parts[-1], last])
    return parts


def _epoch(training: Training, on_step: Callable[[int], None]) -> tuple[list[float], float, float]:
    """One pass: the loss of each step, and mean loss and accuracy over the samples while the parameters moved."""
    setting, data, split = training.setting, training.data, training.data.splits["train"]
    for group in training.optimiser.param_groups:
        group["lr"] = learning_rate(setting, training.epoch)
    training.net.train()
    losses, correct = [], []
    parts = batches(len(split.labels), setting.batch_size, training.generator, split.labels.device)
    for index in parts:
        images, labels = data.normalise(split.images[index]), split.labels[index]
        if setting.augment:
            images = augmented(images, training.generator)
        logits, _ = forward(training.net, images, setting.precision)
        loss = training.loss(logits, labels).mean()
        training.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        training.optimiser.step()
        losses.append(loss.detach())
        correct.append((logits.detach().argmax(-1) == labels).sum())
        on_step(len(index))
    steps = torch.stack(losses).tolist()
    mean = sum(loss * len(index) for loss, index in zip(steps, parts, strict=True)) / len(split.labels)
    return steps, mean, int(torch.stack(correct).sum()) / len(split.labels)


def _failure(training: Training, losses: list[float]) -> str | None:
    """Where the epoch stopped being finite, if it did; the last step shows in the parameters only."""
    for step, loss in enumerate(losses, 1):
        if not math.isfinite(loss):
            return f"the loss became {loss} at step {step}"
    is_finite = torch.stack([parameter.isfinite().all() for parameter in training.net.parameters()]).all()
    return None if is_finite else "the parameters stopped being finite at the last step"


def _is_measured(training: Training) -> bool:
    return training.epoch in (1, training.setting.epochs) or training.epoch % training.setting.measure_every == 0
