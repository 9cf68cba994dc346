"""Neural collapse in ignite: `NeuralCollapseHandler(model, loader).attach(trainer)`, beside the engine's own metrics.

Needs the extra `ignite`: `pip install 'neural-collapse-laboratory[ignite]'`.
"""

from typing import Any

from torch import nn

from deepnet.callbacks.probe import check_layer, collapse_of
from deepnet.callbacks.share import by_split
from ufm.arguments import integer

try:
    from ignite.engine import Engine, Events
except ImportError as error:
    needed = "needs ignite: pip install 'neural-collapse-laboratory[ignite]'"
    raise ImportError(f"deepnet.callbacks.ignite {needed} ({error}).") from None


class NeuralCollapseHandler:
    """A handler that measures after epochs and puts the numbers into `engine.state.metrics`, for ignite's loggers.

    Args:
        model: the network that is trained.
        loader: batches of the training samples, or several loaders by name, {"train": ..., "val": ...}.
        every: epochs between measurements.
        layer: name of the last linear layer; default: found.
    """

    def __init__(self, model: nn.Module, loader: Any, every: int = 1, layer: str | None = None) -> None:
        integer(1).check("every", every)
        check_layer(model, layer)
        self.model, self.loaders, self.every, self.layer = model, by_split(loader), every, layer

    def attach(self, engine: Engine) -> None:
        """Measure after epochs of this engine."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.every), self)

    def __call__(self, engine: Engine) -> None:
        """Measure and store `nc/SPLIT/METRIC` in the engine's metrics."""
        for split, loader in self.loaders.items():
            found = collapse_of(self.model, loader, layer=self.layer)
            engine.state.metrics |= {f"nc/{split}/{name}": value for name, value in found.items()}
