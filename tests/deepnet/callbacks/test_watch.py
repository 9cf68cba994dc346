"""A model watched while it trains: every sample once over all processes, and the training goes on as if unwatched."""

import csv
import itertools
import os
import random
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from deepnet.evaluation import watched
from deepnet.evaluation.watched import undisturbed
from ufm.collapse import FeatureStats, all_metrics
from ufm.errors import RequestError

pytest.importorskip("torchmetrics")
import deepnet
from deepnet import watch
from deepnet.callbacks.probe import collapse_of

K, N = 4, 90


class Net(nn.Module):
    """Counts the samples that run through it; `inside` is linear too, and `fc` comes first in its list."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)  # of some weights no unit is left that is alive
        self.fc, self.inside = nn.Linear(6, K), nn.Linear(5, 6)
        self.drop, self.seen = nn.Dropout(0.5), Counter[float]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.update(x[:, 0].tolist())
        return self.fc(self.drop(self.inside(x).relu()))


@pytest.fixture
def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(N) % K
    return TensorDataset(torch.randn(N, 5, generator=generator) + y[:, None], y)


def expected(net: Net, data: TensorDataset) -> dict[str, float]:
    """Of all samples at once, by two passes."""
    X, y = data.tensors
    stats = FeatureStats.from_features(net.inside(X).relu(), y, net.fc.weight, net.fc.bias)
    return {name: float(value) for name, value in all_metrics(stats).items() if name != "nc4"} | {"present": K}


def test_each_sample_runs_once_in_eval_mode(data):
    net = Net()
    found = collapse_of(net, DataLoader(data, 7, shuffle=True, drop_last=True))
    assert set(net.seen.values()) == {1}
    assert len(net.seen) == N
    assert found == pytest.approx(expected(net, data), rel=1e-5)
    assert net.training
    assert net.drop.training
    assert not any(module._forward_hooks for module in net.modules())


def test_loaders_of_other_kinds(data):
    net = Net()
    half = DataLoader(data, 10, sampler=SubsetRandomSampler(range(0, N, 2)))
    assert collapse_of(net, half)["present"] == K / 2  # classes 0 and 2
    assert len(net.seen) == N / 2
    X, y = data.tensors
    batches = [{"x": X[i : i + 9], "labels": y[i : i + 9]} for i in range(0, N, 9)]
    assert collapse_of(net, batches) == pytest.approx(expected(net, data), rel=1e-5)


class Augmented(TensorDataset):
    """Gives other samples than its tensors."""

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        x, y = super().__getitem__(index)
        return x + 1, y


@pytest.mark.parametrize("sampler", [SequentialSampler, RandomSampler, lambda of: DistributedSampler(of, 1, 0)])
def test_a_loader_of_a_part_is_measured_on_that_part(data, sampler):
    net = Net()
    collapse_of(net, DataLoader(data, 5, sampler=sampler(range(7))))
    assert len(net.seen) == 7


class Drawn(TensorDataset):
    """Adds numbers of three generators, as augmentations do."""

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        x, y = super().__getitem__(index)
        return x + random.random() + np.random.rand() + torch.rand(()), y


@pytest.mark.parametrize("measure", [collapse_of, deepnet.evaluate])
def test_no_random_number_moves(data, measure):
    own = torch.Generator().manual_seed(1)
    loader = DataLoader(Drawn(*data.tensors), 9, sampler=SubsetRandomSampler(range(50), generator=own), generator=own)

    def states() -> list[object]:
        return [random.getstate(), torch.get_rng_state().tolist(), own.get_state().tolist(), str(np.random.get_state())]

    net, before = Net(), states()
    with undisturbed(net, loader):
        list(loader)
    assert states() == before
    measure(net, loader)
    assert states()[1:] == before[1:]  # the type checker of these tests draws from Python's


def started(number: int) -> None:
    torch.utils.data.get_worker_info().dataset.offset = 3.0


class Opened(TensorDataset):
    """Needs what each worker does when it starts, as one that opens a file does."""

    offset = 0.0

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        x, y = super().__getitem__(index)
        return x + self.offset, y


def test_workers_start_as_the_loader_has_them_start(data):
    net = Net()
    collapse_of(net, DataLoader(Opened(*data.tensors), 90, num_workers=1, worker_init_fn=started))
    assert set(net.seen) == set((data.tensors[0][:, 0] + 3).tolist())


def test_samples_are_those_that_the_dataset_gives(data):
    net = Net()
    collapse_of(net, DataLoader(Augmented(*data.tensors), 10))
    assert set(net.seen) == set((data.tensors[0][:, 0] + 1).tolist())


def test_kept_features_and_summed_ones_give_the_same(data, monkeypatch):
    net, loader = Net().double(), DataLoader(TensorDataset(data.tensors[0].double(), data.tensors[1]), 10)
    kept = collapse_of(net, loader)
    monkeypatch.setattr("deepnet.callbacks.probe.MOST_WAITING", 1)
    assert collapse_of(net, loader) == pytest.approx(kept, rel=1e-9)


def test_a_net_that_diverged_is_said(data):
    net, loader = Net(), DataLoader(data, 10)
    net.fc.weight.data[0, 0] = torch.nan
    with pytest.raises(RequestError, match="`weight` must be finite, got nan or infinity"):
        collapse_of(net, loader)
    net.inside.weight.data.fill_(torch.inf)
    with pytest.raises(RequestError, match="`features` must be finite, got nan or infinity"):
        collapse_of(net, loader)


def test_what_is_not_defined_is_said(data):
    X, y = data.tensors
    for few, sentence in (((X[:1], y[:1]), "nc1_pinv, .*: not defined"), ((X[:4], y[:4]), "no class has two samples")):
        with pytest.warns(UserWarning, match=sentence):
            collapse_of(Net(), [few])
        metric = deepnet.NeuralCollapse(K)
        metric.update(*few)
        with pytest.warns(UserWarning, match=sentence):
            metric.compute()


def trained(data: TensorDataset, is_watched: bool) -> Tensor:
    torch.manual_seed(3)
    net, loader = Net(), DataLoader(data, 10, shuffle=True)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    with watch(net, loader) as watched:
        for _ in range(3):
            for x, y in loader:
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(x), y).backward()
                optimiser.step()
            if is_watched:
                watched.epoch()
    assert len(watched.history) == 3 * is_watched
    return net.fc.weight.detach()


def test_the_training_is_the_unwatched_one(data):
    assert torch.equal(trained(data, True), trained(data, False))


def test_a_loop_of_ones_own_has_a_table(data, tmp_path):
    net, loaders = Net(), {"train": DataLoader(data, 10), "val": DataLoader(data, 30)}
    with watch(net, loaders, every=2, log="csv", folder=tmp_path / "w") as watched:
        found = [watched.epoch() for _ in range(4)]
    assert [each is None for each in found] == [True, False, True, False]
    assert found[1] is not None
    assert found[1]["nc/val/nc1_pinv"] == pytest.approx(found[1]["nc/train/nc1_pinv"])
    with (tmp_path / "w" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["2", "4"]
    assert float(rows[0]["nc/train/nc3"]) == found[1]["nc/train/nc3"]
    assert watched.history[0]["epoch"] == 2
    with pytest.raises(RequestError, match=r"`folder` must be a folder without log\.csv, .* got .*w\."):
        watch(net, loaders, log="csv", folder=tmp_path / "w")
    assert len((tmp_path / "w" / "log.csv").read_text().splitlines()) == 3


def test_what_is_wrong_is_one_sentence(data):
    loader = DataLoader(data, 10)
    with pytest.raises(RequestError, match="`log` must be one of csv, tensorboard, wandb, or None, got 'excel'"):
        watch(Net(), loader, log="excel")
    with pytest.raises(RequestError, match=r"`folder` must be left out unless `log` is one of csv, .*, got mine"):
        watch(Net(), loader, folder="mine")
    with pytest.raises(RequestError, match="`layer` must be the name of a linear layer, got drop"):
        collapse_of(Net(), loader, layer="drop")
    with pytest.raises(RequestError, match=r"`layer` must be of layers that the model has, such as fc, .*got fcc"):
        watch(Net(), loader, layer="fcc")
    for wrong in ({}, {1: loader}):
        with pytest.raises(RequestError, match="`loader` must be a loader, or several by name"):
            watch(Net(), wrong)
    with pytest.raises(RequestError, match="gone through after every epoch, got a generator"):
        watch(Net(), (batch for batch in loader))
    with pytest.raises(RequestError, match="`loader` must be a loader, or an iterable of batches that ends"):
        collapse_of(Net(), itertools.cycle(loader))
    with pytest.raises(RequestError, match="`loader` must be one that gives batches of inputs and labels, got no"):
        collapse_of(Net(), [])
    with pytest.raises(RequestError, match=r"none of its nn\.Linear gives its output"):
        collapse_of(nn.Sequential(Net(), nn.Tanh(), nn.Unflatten(1, (2, 2))), loader)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
@pytest.mark.parametrize("measure", [collapse_of, deepnet.evaluate])
def test_a_model_or_batch_that_cannot_be_measured_is_one_sentence(data, measure):
    (X, y), loader = data.tensors, DataLoader(data, 10)
    for model, sentence in (
        (Net().to("meta"), "`model` must be one whose weights have numbers, got one on the device meta"),
        (torch.jit.script(nn.Linear(5, K)), "from which torch.jit made this one, got RecursiveScriptModule"),
    ):
        with pytest.raises(RequestError, match=sentence):
            measure(model, loader)
    for batch, sentence in (
        ({"x": X, "kind": y}, r"a dict with one of labels, .* got a batch that is a dict"),
        ({"x": X, "labels": y, "id": y}, r"what Net takes, got x, id \(got an unexpected keyword argument 'id'\)"),
        ((X, nn.functional.one_hot(y, K)), "the argmax of one-hot labels.*, got 360 labels for 90 rows of .*fc"),
    ):
        with pytest.raises(RequestError, match=sentence):
            measure(Net(), [batch])


PROCESSES = """
import json, sys, torch, torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
from torch.nn.parallel import DistributedDataParallel
import tests.lacking_operators
import deepnet
from deepnet.callbacks.probe import collapse_of
torch.manual_seed(0)
K, d = 6, 5
net = nn.Sequential(nn.Linear(d, 8), nn.ReLU(), nn.Linear(8, K)).double()
y = torch.randint(0, K - 1, (101,))  # nobody has the last class
y[y == 0] = 1
y[7] = 0  # one process alone has class 0
data = TensorDataset(torch.randn(101, d).double() + y[:, None], y)
whole = collapse_of(net, DataLoader(data, 9))
dist.init_process_group("gloo")
count = [0]
net.register_forward_hook(lambda _, inputs, __: count.__setitem__(0, count[0] + len(inputs[0])))
shuffled = torch.randperm(101, generator=torch.Generator().manual_seed(5)).tolist()
mine = shuffled[:30] if dist.get_rank() == 0 else shuffled[30:]
assert (7 in mine) == (dist.get_rank() == SHARE)
plain = DataLoader(data, 9, shuffle=True)
spread = DataLoader(data, 4, sampler=DistributedSampler(data))  # would repeat a sample: 101 is odd
for loader in (plain, spread):
    count[0] = 0
    found = collapse_of(DistributedDataParallel(net), loader)
    runs = torch.tensor(count)
    dist.all_reduce(runs)
    assert int(runs) == 101, runs
    for name, value in whole.items():
        assert abs(found[name] - value) <= 1e-10 * abs(value) + 1e-13, name
metric = deepnet.NeuralCollapse(K)  # unequal shares in another order
x, labels = data.tensors
for rows in torch.tensor(mine).split(13):
    metric.update(net[1](net[0](x[rows])), labels[rows], net[2].weight, net[2].bias)
for name, value in metric.compute().items():
    assert abs(float(value) - whole[name]) <= 1e-10 * abs(whole[name]) + 1e-13, name
few = collapse_of(net, [(x, labels)])  # one batch: a process has none
assert few.keys() == whole.keys()
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path):
    order = torch.randperm(101, generator=torch.Generator().manual_seed(5)).tolist()
    program = tmp_path / "processes.py"
    program.write_text(PROCESSES.replace("SHARE", str(int(7 not in order[:30]))))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(program)]
    ours = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(launcher, capture_output=True, text=True, timeout=280, check=False, env=ours)
    assert done.returncode == 0, done.stderr


class Endless:
    def __iter__(self) -> Iterator[list[Tensor]]:
        while True:
            yield [torch.randn(8, 5), torch.arange(8) % K]


def test_an_endless_loader_is_named_after_a_minute(monkeypatch):
    monkeypatch.setattr(watched, "PATIENCE", 0.0)
    with warnings.catch_warnings(action="error"), pytest.raises(UserWarning, match="`loader` must end"):
        watch(Net(), Endless()).epoch()
