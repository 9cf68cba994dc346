"""Target 7: images a second in training against the plain loop a user would write with the same network.

The plain loop: float32, NCHW, torch's own layers, the defaults of autograd and SGD, a DataLoader with a worker a core.
Every turn of a side is a process of its own, because what the allocator keeps is the process's; it warms up with one
step. "Same allocator" means that the plain loop, too, keeps freed pages, which this project sets from inside before
torch starts; "as it is" means the system's allocator untouched. Images have CIFAR's size and classes and random pixels,
on which no time depends. The loader's workers fetch ahead during the warm-up, so that the plain loop hardly waits.

The *convolutions alone*: our loop in bf16 over the same network with nothing between its convolutions but the addition
of the shortcuts. No arrangement of the rest can be faster.
"""

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.benchmarks.measure import Row, Seconds

BATCH = 100
SIDES = ("bf16", "float32", "plain", "as it is", "convolutions")
CLAIMS = (
    ("bf16", "plain", "in bf16 against the plain loop, same allocator", ">= 3"),
    ("float32", "plain", "in float32 against the plain loop, same allocator", ">= 1.5"),
    ("bf16", "as it is", "in bf16 against the plain loop as it is", ">= 6"),
    ("convolutions", "plain", "with its bf16 convolutions alone, against the plain loop, same allocator", ""),
    ("convolutions", "bf16", "with its bf16 convolutions alone, against the whole step in bf16", "<= 1.25"),
)


def run(is_tiny: bool) -> Iterator[Row]:
    """ResNet-50 at widths 0.25 and 1, each as soon as it is measured."""
    for width in (0.0625,) if is_tiny else (0.25, 1.0):
        yield from _rows(width, is_tiny)


def _rows(width: float, is_tiny: bool) -> list[Row]:
    steps, repetitions = (1, 1) if is_tiny else (4, 3)
    batch = 4 if is_tiny else BATCH
    spent: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(repetitions):
        for side in SIDES:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
                spent[side].append(own.submit(_seconds, side, width, batch, steps).result())
    found = {side: Seconds(statistics.median(times), min(times), max(times)) for side, times in spent.items()}
    rate = {side: f"{1 / seconds.median:.1f}" for side, seconds in found.items()}
    return [
        Row(
            "7",
            f"training at width {width:g} {what} ({rate[ours]} and {rate[other]} images/s)",
            "image",
            found[ours],
            found[other],
            found[other].median / found[ours].median,
            wanted,
        )
        for ours, other, what, wanted in CLAIMS
    ]


def _seconds(side: str, width: float, batch: int, steps: int) -> float:
    """Seconds an image over `steps` steps, after one that does not count."""
    if side != "as it is":
        from ufm.cli import process

        process.prepare()
    epochs = _plain(width, batch, steps) if side in ("plain", "as it is") else _ours(side, width, batch, steps)
    next(epochs)
    began = time.perf_counter()
    next(epochs)
    return (time.perf_counter() - began) / (batch * steps)


def _ours(side: str, width: float, batch: int, steps: int) -> Iterator[None]:
    """The inner loop of `deepnet train`; its first turn is one step."""
    import torch

    from deepnet.data.images import Split
    from deepnet.data.load import Data
    from deepnet.nets.batch_norm import BatchNorm2d
    from deepnet.settings import TrainSetting
    from deepnet.training.epoch import train_epoch
    from deepnet.training.training import begin_on

    if side == "convolutions":
        BatchNorm2d.forward = lambda _, x, shortcut=None: x if shortcut is None else x + shortcut  # type: ignore[method-assign]
    setting = TrainSetting(width=width, batch_size=batch, precision="fp32" if side == "float32" else "bf16")
    grey, deviation = torch.full((3, 1, 1), 127.5), torch.full((3, 1, 1), 73.9)
    images, labels = torch.randint(256, (batch * steps, 3, 32, 32), dtype=torch.uint8), torch.arange(batch * steps) % 10
    data = Data({"train": Split(images, labels)}, grey, deviation, 10)
    training = begin_on(data, setting)
    training.data = Data({"train": Split(images[:batch], labels[:batch])}, grey, deviation, 10)
    train_epoch(training, lambda _: None)
    yield
    training.data = data
    train_epoch(training, lambda _: None)
    yield


def _plain(width: float, batch: int, steps: int) -> Iterator[None]:
    """As a tutorial has it; the first turn is one step."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    from deepnet.nets import batch_norm_compiled
    from deepnet.nets.nets import make_net

    batch_norm_compiled.can_take = lambda _: False  # type: ignore[assignment]  # torch's own layers
    net = make_net("wide_resnet", width, 10, (3, 32, 32), torch.Generator().manual_seed(0)).train()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(_Pictures(batch * (steps + 1)), batch, shuffle=True, num_workers=torch.get_num_threads())
    loss_of, running = nn.CrossEntropyLoss(), 0.0
    for step, (images, labels) in enumerate(loader):
        optimiser.zero_grad()
        loss = loss_of(net(images)[0], labels)
        loss.backward()
        optimiser.step()
        running += loss.item()
        if step in (0, steps):
            yield


class _Pictures:
    """A data set as a user writes it: an image becomes a normalised tensor when it is asked for."""

    def __init__(self, count: int) -> None:
        import torch

        self.images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return (self.images[index].float() / 255 - 0.5) / 0.29, index % 10
