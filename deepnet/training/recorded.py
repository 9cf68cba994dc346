"""Work of a network as a CUDA graph: recorded once, then played back as a whole.

A step of a network launches its many kernels one by one, which can take the host longer than a narrow network takes the
device. As a step waits for nothing and its kernels do not depend on the data, the same launches serve every
batch of one size: only the inputs' contents change.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor

from deepnet import distributed
from deepnet.data.augmentation import Moves
from deepnet.nets.nets import Network
from deepnet.nets.own_net import OwnBody
from ufm.model.own_loss import is_own
from ufm.specs import LossSpec

Step = Callable[[Int[Tensor, " n"], int, Moves | None], tuple[Tensor, Tensor]]
"""Samples of a batch, the size of the whole batch, augmentation of the samples; loss and number of right answers."""
FIRST = 3
"""Calls before the recording, in which libraries choose their kernels and the optimiser makes its state."""


def can_record(net: Network, loss: LossSpec, device: torch.device) -> bool:
    """Whether a run's work may be recorded: networks and losses of your own may wait for the device, or branch on data.

    Args:
        net: the run's network.
        loss: the specification of its loss.
        device: where it runs.
    """
    is_ours = not isinstance(net.body, OwnBody) and not is_own(loss)
    return device.type == "cuda" and distributed.size() == 1 and is_ours


class Recorded:
    """A function without arguments, whose tensors stay where they are; the first few calls are made as they are.

    Args:
        function: what is recorded; it must not wait for the device.
    """

    def __init__(self, function: Callable[[], tuple[Tensor, ...]]) -> None:
        self._function = function
        self._called = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._results: tuple[Tensor, ...] = ()

    def __call__(self) -> tuple[Tensor, ...]:
        """Call it."""
        if self._called < FIRST:
            self._called += 1
            return self._aside()
        if self._graph is None:
            self._graph = self._record()
        self._graph.replay()
        return tuple(result.clone() for result in self._results)

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        """The stream of the recording, which the calls before it must use, too.

        Batches of another size and evaluations in between run on the usual one; autograd waits where it must, and need
        not say so.
        """
        silence = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
        if silence is not None:  # torch before 2.10 has no such warning
            silence(False)
        return torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            self._results = self._function()
        return graph

    def _aside(self) -> tuple[Tensor, ...]:
        """A call as it is, on that stream."""
        stream, current = self._stream, torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            found = self._function()
        current.wait_stream(stream)
        return found


class RecordedStep:
    """A step for batches of one size; batches of another size are taken as they are.

    Args:
        step: what is recorded; it must not wait for the device.
        size: of the batches.
    """

    def __init__(self, step: Step, size: int) -> None:
        self._step, self._size = step, size
        self._inputs: list[Tensor] = []
        self._recorded: Recorded | None = None

    def __call__(self, own: Int[Tensor, " n"], size: int, moves: Moves | None) -> tuple[Tensor, Tensor]:
        """Take the step."""
        if size != self._size:
            return self._step(own, size, moves)
        given = [own, *(moves or ())]
        if self._recorded is None:
            self._inputs = [each.clone() for each in given]
            self._recorded = Recorded(lambda: self._on_inputs(has_moves=moves is not None))
        for kept, each in zip(self._inputs, given, strict=True):
            kept.copy_(each)
        loss, count = self._recorded()
        return loss, count

    def _on_inputs(self, has_moves: bool) -> tuple[Tensor, Tensor]:
        own, *moves = self._inputs
        return self._step(own, self._size, Moves(*moves) if has_moves else None)
