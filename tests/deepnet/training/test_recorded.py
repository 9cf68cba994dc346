"""The bookkeeping of a recorded step, with a graph played on the CPU (`tests/test_accelerator.py` has the device)."""

import pytest
import torch

from deepnet.data.augmentation import random_moves
from deepnet.settings import TrainSetting
from deepnet.training.epoch import train_epoch
from deepnet.training.recorded import FIRST, Recorded, RecordedStep
from deepnet.training.training import begin


class Played:
    """Runs what was recorded again, into the results of the recording."""

    def __init__(self, recorded):
        self.function = recorded._function
        self.results = recorded._results = self.function()

    def replay(self) -> None:
        for result, again in zip(self.results, self.function(), strict=True):
            result.copy_(again)


@pytest.fixture
def taken(monkeypatch):
    """The calls that were made as they are, and the recordings."""
    calls, graphs = [], []

    def aside(recorded):
        calls.append(recorded)
        return recorded._function()

    def record(recorded):
        graphs.append(Played(recorded))
        return graphs[-1]

    monkeypatch.setattr(Recorded, "_aside", aside)
    monkeypatch.setattr(Recorded, "_record", record)
    return calls, graphs


@pytest.mark.parametrize("has_moves", [False, True])
def test_every_batch_is_taken_with_its_own_contents(taken, has_moves):
    calls, graphs = taken
    step = RecordedStep(
        lambda own, size, moves: (own.sum() / size, own.max() + (moves.shifts.sum() if moves else 0)), 4
    )
    found, expected = [], []
    for number in range(7):
        own = torch.arange(4) + 10 * number
        moves = random_moves(4, torch.Generator().manual_seed(number)) if has_moves else None
        found.append(step(own, 4, moves))
        expected.append((own.sum() / 4, own.max() + (moves.shifts.sum() if moves else 0)))
    assert found == expected  # none was overwritten by a later one
    assert len(calls) == FIRST
    assert len(graphs) == 1
    assert step(torch.arange(3), 3, None)[0] == 1
    assert len(graphs) == 1


def test_on_the_cpu_nothing_is_recorded():
    training = begin(TrainSetting(data="digits", net="mlp", width=0.125, per_class=6, batch_size=20))
    train_epoch(training, lambda _: None)
    assert training.recorded is None
