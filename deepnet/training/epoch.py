"""One epoch of training, with an inner loop that never waits for the device.

What is random is drawn and sent there before the first step, and losses stay there until the epoch ends. On CUDA a step
is recorded once and played back (`deepnet/training/recorded.py`).
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from deepnet import distributed
from deepnet.data.augmentation import Moves, augmented, random_moves
from deepnet.measures.features import forward
from deepnet.training.optimiser import learning_rate, set_learning_rate
from deepnet.training.recorded import RecordedStep, can_record
from deepnet.training.training import Training
from ufm.labels import mark_labels


def train_epoch(training: Training, on_step: Callable[[int], None]) -> tuple[list[float], float, float]:
    """Train for one epoch; return the loss of each step, and mean loss and accuracy over the samples in passing."""
    split = training.data.splits["train"]
    set_learning_rate(training.optimiser, learning_rate(training.setting, training.epoch))
    training.net.train()
    if training.recorded is None and can_record(training.net, training.setting.loss, split.labels.device):
        training.recorded = RecordedStep(partial(_step, training), training.setting.batch_size)
    step = training.recorded or partial(_step, training)
    losses, counts = [], []
    samples, device, generator = len(split.labels), split.labels.device, training.generator
    labels = split.labels.cpu() if training.setting.batches == "balanced" else None
    parts = batches(samples, training.setting.batch_size, generator, device, labels)
    moves = random_moves(samples, generator).to(device) if training.setting.augment else None
    for index in parts:
        own = index[distributed.own_share()]
        loss, count = step(own, len(index), None if moves is None else moves.of(own))
        losses.append(loss)
        counts.append(count)
        on_step(len(index))
    steps = distributed.total(torch.stack(losses)).tolist()
    mean = sum(loss * len(index) for loss, index in zip(steps, parts, strict=True)) / len(split.labels)
    return steps, mean, int(distributed.total(torch.stack(counts).sum())) / len(split.labels)


def batches(
    count: int,
    size: int,
    generator: torch.Generator,
    device: torch.device,
    labels: Int[Tensor, " count"] | None = None,
) -> list[Int[Tensor, " n"]]:
    """All samples in batches in random order; no batch has a single sample, which batch normalisation cannot take.

    With labels (on the CPU) every batch has its share of each class. The order goes to the device in one piece: a copy
    from ordinary memory makes the host wait.
    """
    order = torch.randperm(count, generator=generator)
    parts = list(torch.split((order if labels is None else _spread(order, labels)).to(device), size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        last = parts.pop()
        parts[-1] = torch.cat([parts[-1], last])
    return parts


def _spread(order: Int[Tensor, " n"], labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """The order with each class spread evenly over it; members of a class keep theirs."""
    by_class = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    own = labels[by_class]
    rank = torch.arange(len(order)) - (counts.cumsum(0) - counts)[own]
    return by_class[((rank + 0.5) / counts[own]).argsort(stable=True)]


def steps_of(count: int, size: int) -> int:
    """The number of batches of an epoch."""
    parts = -(-count // size)
    return parts - (parts > 1 and count % size == 1)


def _step(training: Training, own: Int[Tensor, " n"], size: int, moves: Moves | None) -> tuple[Tensor, Tensor]:
    """Take one step on samples of the training split.

    Args:
        training: the run.
        own: which samples of the batch are this process's.
        size: of the whole batch.
        moves: augmentation of `own`, if any.

    Returns:
        The share's part of the mean loss before the step, and how many of its samples had the right answer.
    """
    setting, data, split = training.setting, training.data, training.data.splits["train"]
    images, labels = data.normalise(split.images[own]), split.labels[own]
    mark_labels(labels, training.loss.label_count(data.classes))  # `begin_on` has read them
    if moves is not None:
        images = augmented(images, moves)
    logits, _ = forward(training.step_net, images, setting.precision)
    loss = training.loss(logits, labels).sum() / size
    training.optimiser.zero_grad()
    # Gradients are averaged over the processes.
    (loss * distributed.size()).backward()  # type: ignore[no-untyped-call]
    if setting.clip is not None:
        torch.nn.utils.clip_grad_norm_(training.net.parameters(), setting.clip)
    training.optimiser.step()
    training.net.classifier.retract()
    return loss.detach(), training.loss.is_right(logits.detach(), labels).sum()
