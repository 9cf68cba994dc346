"""The inner loop reads nothing from the device, whatever is trained."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deepnet.settings import TrainSetting
from deepnet.training.epoch import batches, steps_of, train_epoch
from deepnet.training.training import begin

READS = {torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.masked_select}
INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}


class HostReads(TorchDispatchMode):
    """Lists what makes a host wait for its device: values that are read, and shapes that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        chosen = args[1] if func.overloadpacket in INDEXING else ()
        by_mask = any(index is not None and index.dtype == torch.bool for index in chosen)
        if func.overloadpacket in READS or by_mask:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": True, "clip": 1.0, "net": "resnet18", "width": 0.0625},
        {"optimiser": "adam", "loss": {"name": "ls"}, "head": {"name": "normalised"}},
        {"nesterov": True, "loss": {"name": "focal"}, "head": {"name": "layers"}},
        {"loss": {"name": "mse"}, "head": {"name": "etf"}},
        {"multilabel": 2},
    ],
    ids="-".join,
)
def test_no_step_waits_for_the_device(changes):
    setting = TrainSetting(
        **{"data": "digits", "net": "mlp", "width": 0.125, "per_class": 6, "batch_size": 20, **changes}
    )
    training, until_then, drawn = begin(setting), [], []

    def on_step(_):
        until_then.append(list(reads.found))
        drawn.append(training.generator.get_state())

    with HostReads() as reads:
        train_epoch(training, on_step)
    assert len(until_then) >= 3
    assert until_then[-1] == []
    assert all(torch.equal(state, drawn[0]) for state in drawn)  # nothing is drawn on the host between the steps
    assert reads.found  # the epoch's end reads its sums


@pytest.mark.parametrize(("count", "size"), [(1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (40, 100), (101, 100), (102, 100)])
def test_steps_are_counted_as_they_are_taken(count, size):
    taken = batches(count, size, torch.Generator(), torch.device("cpu"))
    assert steps_of(count, size) == len(taken)
