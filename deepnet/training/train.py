"""Training to the terminal phase, epoch by epoch; each epoch writes one line of metrics and a checkpoint."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from deepnet import distributed
from deepnet.measures.features import LastLayer, last_layer
from deepnet.measures.geometry import MOST_CLASSES, Simplex, simplex
from deepnet.measures.reading import stationarity
from deepnet.training import checkpoint, shapes
from deepnet.training.decayed import decayed
from deepnet.training.epoch import steps_of, train_epoch
from deepnet.training.optimiser import learning_rate, relaxation_time
from deepnet.training.terminal import terminal_block
from deepnet.training.training import Training
from ufm.arguments import function, instance, takes


@takes(training=instance(Training), folder=instance(Path), on_step=function, on_epoch=function)
def train(
    training: Training, folder: Path, on_step: Callable[[int], None], on_epoch: Callable[[dict[str, Any]], None]
) -> str | None:
    """Train a run for the epochs and terminal blocks that are left.

    After each, the metrics and a checkpoint are written; with several processes, by the first.

    Args:
        training: the run, made by `begin` or `begin_on`; it is changed in place.
        folder: where `metrics.jsonl` and the checkpoints are.
        on_step: called with the number of images after every step.
        on_epoch: called with the epoch's line of metrics.

    Returns:
        None at the end of the run; a sentence if a loss or parameter stopped being finite. Then the checkpoint is that
        of the last epoch before.
    """
    while not training.is_over:
        start = time.perf_counter()
        line: dict[str, Any] = {"epoch": training.epoch + 1, "lr": learning_rate(training.setting, training.epoch)}
        is_terminal = training.epoch >= training.setting.epochs
        with _same_when_resumed(training):
            if is_terminal:
                losses, end = terminal_block(training, on_step)
                line |= end
            else:
                losses, line["loss"], line["accuracy"] = train_epoch(training, on_step)
        line["images_per_s"] = len(training.data.splits["train"].labels) / (time.perf_counter() - start)
        if failure := _failure(training, losses):
            return f"{failure} of epoch {line['epoch']}; try a smaller --lr."
        training.epoch += 1
        shape: Simplex | None = None
        for name, layer in _last_layers(training) if _is_measured(training) else ():
            line[name] = _measures(training, layer)
            if name == "train" and _is_drawn(training):
                shape = simplex(layer)
        line |= _time(training)
        if is_terminal and any(parameter is training.net.classifier.W for parameter in decayed(training.net)):
            training.residual = stationarity(line["train"], training.setting.decay)
            line["residual"] = training.residual
        line["seconds"] = time.perf_counter() - start
        training.best = _best(training.best, line)
        if distributed.rank() == 0:
            _write(training, folder, line, shape)
        on_epoch(line)
    training.recorded = None  # gives its memory back
    return None


@contextmanager
def _same_when_resumed(training: Training) -> Iterator[None]:
    """Seed torch's own random numbers, which dropout draws, from the run's generator, which checkpoints contain."""
    device, copy = training.data.mean.device, torch.Generator()
    copy.set_state(training.generator.get_state())
    seed = int(torch.randint(2**62, (), generator=copy)) + distributed.rank()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def measure_splits(training: Training) -> dict[str, dict[str, float]]:
    """All measures of each split by name, on images without augmentation."""
    return {name: _measures(training, layer) for name, layer in _last_layers(training)}


def _last_layers(training: Training) -> Iterator[tuple[str, LastLayer]]:
    """The last layer on each split, by name; one at a time, since it holds all features."""
    for name, split in training.data.splits.items():
        yield name, last_layer(training.net, training.data, split, training.setting.precision)


def _measures(training: Training, layer: LastLayer) -> dict[str, float]:
    return {key: value for part in training.measures for key, value in part(layer, training.loss).items()}


def _is_drawn(training: Training) -> bool:
    """Whether classes are few enough for a drawing, and an image has one."""
    return 2 <= training.data.classes <= MOST_CLASSES and training.setting.multilabel == 1


def _write(training: Training, folder: Path, line: dict[str, Any], shape: Simplex | None) -> None:
    """Write checkpoint and metrics in the order that `deepnet.training.checkpoint` prescribes."""
    state = training.state()
    if shape is not None:
        shapes.append(folder, training.epoch, shape)
    checkpoint.append_metrics(folder, line)
    checkpoint.save(folder, state)
    if training.best and training.best[0] == training.epoch:
        checkpoint.save_best(folder, state)


def _best(best: tuple[int, float] | None, line: dict[str, Any]) -> tuple[int, float] | None:
    """The earliest epoch of the highest validation accuracy, among those that were measured."""
    if "validation" not in line:
        return best
    accuracy = line["validation"]["accuracy"]
    return best if best and best[1] >= accuracy else (line["epoch"], accuracy)


def _failure(training: Training, losses: list[float]) -> str | None:
    """The place where the epoch stopped being finite, or None; of the last step only the parameters show it."""
    for step, loss in enumerate(losses, 1):
        if not math.isfinite(loss):
            return f"the loss became {loss} at step {step}"
    is_finite = torch.stack([parameter.isfinite().all() for parameter in training.net.parameters()]).all()
    return None if is_finite else "the parameters stopped being finite at the last step"


def _is_measured(training: Training) -> bool:
    setting = training.setting
    return training.epoch == 1 or training.epoch >= setting.epochs or training.epoch % setting.measure_every == 0


def _time(training: Training) -> dict[str, float]:
    """The relaxation time so far, which is defined for SGD only."""
    setting = training.setting
    steps = steps_of(len(training.data.splits["train"].labels), setting.batch_size)
    return {"t": relaxation_time(setting, steps, training.epoch)} if setting.optimiser == "sgd" else {}
