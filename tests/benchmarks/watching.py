"""Target 8: what it costs to watch a net train: a measurement of all 5,000 training samples against an epoch on them.

Every adapter (a plain loop, Lightning, Hugging Face, ignite) calls this one function, as often as it is asked to.
"""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import tests.lacking_operators  # noqa: F401  # before torchmetrics
from deepnet.callbacks.probe import collapse_of
from tests.benchmarks.measure import Row, alternately, threads

K, BATCH = 10, 100
LEAST_BETWEEN = 10
"""Epochs between measurements for which the overhead is to stay below 5 %."""


def run(is_tiny: bool) -> list[Row]:
    """A net whose features cost little, and one whose forward pass is most of a measurement."""
    N, repetitions = (200, 1) if is_tiny else (5000, 5)
    with threads(1):
        return [_row(name, net, shape, N, repetitions) for name, (net, shape) in _nets().items()]


def _nets() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, K))
    body = [nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 64, 3, 1, 1)]
    convolutions = nn.Sequential(*body, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, K))
    return {"an MLP, d = 512": (mlp, (64,)), "three convolutions on 32 x 32, d = 64": (convolutions, (3, 32, 32))}


def _row(name: str, net: nn.Module, shape: tuple[int, ...], N: int, repetitions: int) -> Row:
    data = TensorDataset(torch.randn(N, *shape), torch.arange(N) % K)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(data, BATCH, shuffle=True)
    optimiser = torch.optim.SGD(net.parameters(), 0.01)

    def epoch() -> None:
        for x, y in loader:
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    found = alternately({"ours": (lambda: collapse_of(net, loader), 1), "epoch": (epoch, 1)}, repetitions)
    ratio = found["ours"].median / found["epoch"].median
    share = f"{ratio / LEAST_BETWEEN:.1%} of the time at every {LEAST_BETWEEN}th epoch"
    what = f"one measurement of {N} samples against an epoch of training, {name} ({share})"
    return Row("8", what, "epoch", found["ours"], found["epoch"], ratio, f"<= {0.05 * LEAST_BETWEEN}")
