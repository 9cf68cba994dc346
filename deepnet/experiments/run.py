"""One finished training of an experiment, as its statements read it."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deepnet.measures.features import LastLayer, last_layer
from deepnet.training import checkpoint, own_code
from deepnet.training.training import Training, reopen

TERMINAL: dict[str, Any] = {"terminal": 6, "terminal_residual": 0.003}
"""What a run changes in the common setting if a statement is about its stationary point."""


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Attributes:
        failure: why it did not reach its last epoch; empty if it did.
    """

    folder: Path
    failure: str = ""

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the measured epochs, which include the last one."""
        return [line for line in checkpoint.read_metrics(self.folder) if "train" in line]

    @cached_property
    def training(self) -> Training:
        """The run as its checkpoint left it, on the CPU; its setting is what the command line asked for."""
        code = own_code.code_of(checkpoint.read_setting(self.folder))
        return reopen(self.folder, "cpu", code=",".join(code.values()))

    @property
    def epochs(self) -> int:
        """The number of epochs in its setting."""
        return int(self.lines[-1]["epoch"])

    def last(self, name: str, split: str = "train") -> float:
        """A measure after the last epoch; nan if it was not finite."""
        return _float(self.lines[-1][split][name])

    def curve(self, name: str, split: str = "train") -> list[tuple[int, float]]:
        """A measure at every measured epoch."""
        return [(line["epoch"], _float(line[split][name])) for line in self.lines]

    def first_epoch(self, name: str, below: float) -> float:
        """The first measured epoch at which a measure of the training split is at most `below`; inf without any."""
        return next((float(epoch) for epoch, value in self.curve(name) if value <= below), math.inf)

    def layer(self, split: str = "train") -> LastLayer:
        """The last layer and the features of a split, in float64."""
        training = self.training
        layer = last_layer(training.net, training.data, training.data.splits[split], training.setting.precision)
        return LastLayer(layer.H.double(), layer.labels, layer.W.double(), layer.b.double())


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)
