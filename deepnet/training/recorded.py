"""A training step as a CUDA graph: recorded once, then played back as a whole.

A step of a network launches its many kernels one by one, which can take the host longer than a narrow network takes the
device. As a step waits for nothing and its kernels do not depend on the data, the same launches serve every
batch of one size: only the inputs' contents change.
"""

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from deepnet import distributed
from deepnet.data.augmentation import Moves
from deepnet.nets.nets import Network
from deepnet.nets.own_net import OwnBody

Step = Callable[[Int[Tensor, " n"], int, Moves | None], tuple[Tensor, Tensor]]
"""Samples of a batch, the size of the whole batch, augmentation of the samples; loss and number of right answers."""
FIRST = 3
"""Steps before the recording, in which libraries choose their kernels and the optimiser makes its state."""


def can_record(net: Network, device: torch.device) -> bool:
    """Whether a run's step may be recorded: networks of your own may wait for the device, or branch on data."""
    return device.type == "cuda" and distributed.size() == 1 and not isinstance(net.body, OwnBody)


class RecordedStep:
    """A step for batches of one size; the first few are taken as they are, and so are batches of another size.

    Args:
        step: what is recorded; it must not wait for the device.
        size: of the batches.
    """

    def __init__(self, step: Step, size: int) -> None:
        self._step, self._size = step, size
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor] = []
        self._results: tuple[Tensor, Tensor] | None = None

    def __call__(self, own: Int[Tensor, " n"], size: int, moves: Moves | None) -> tuple[Tensor, Tensor]:
        """Take the step."""
        if size != self._size:
            return self._step(own, size, moves)
        if self._taken < FIRST:
            self._taken += 1
            return self._aside(own, size, moves)
        inputs = [own, *(moves or ())]
        if self._graph is None:
            self._inputs = [each.clone() for each in inputs]
            self._record(size, has_moves=moves is not None)
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        assert self._graph is not None
        assert self._results is not None
        self._graph.replay()
        loss, count = self._results
        return loss.clone(), count.clone()

    def _aside(self, own: Tensor, size: int, moves: Moves | None) -> tuple[Tensor, Tensor]:
        """A step on a stream of its own, as what comes before a recording must be."""
        stream = torch.cuda.Stream(own.device)  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream(own.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            found = self._step(own, size, moves)
        current.wait_stream(stream)
        return found

    def _record(self, size: int, has_moves: bool) -> None:
        own, *moves = self._inputs
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._results = self._step(own, size, Moves(*moves) if has_moves else None)
