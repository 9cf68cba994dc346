"""Neural collapse in a training loop of your own.

with deepnet.watch(model, loader, log="csv", folder="runs/mine") as watched:
    for epoch in range(100):
        train_one_epoch(model, loader)
        watched.epoch()          # {"nc/train/nc1_pinv": ..., ...}
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from torch import nn

from deepnet import distributed
from deepnet.callbacks.probe import check_layer, collapse_of
from deepnet.callbacks.share import by_split
from deepnet.trackers import CSV, LOGS, Tracker, tracker
from ufm.arguments import instance, integer, one_of, optional, path
from ufm.errors import check
from ufm.plot import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "runs/watched"


class Watch:
    """A model that is measured after its epochs; with several processes, the first one writes the log.

    Attributes:
        history: of every measured epoch, its number and the metrics.
    """

    def __init__(
        self, model: nn.Module, loaders: Mapping[str, Iterable[Any]], every: int, layer: str | None, log: Tracker | None
    ) -> None:
        self.model, self.loaders, self.every, self.layer, self.log = model, loaders, every, layer, log
        self.count = 0
        self.history: list[dict[str, float]] = []

    def epoch(self) -> dict[str, float] | None:
        """Count an epoch; return its metrics by name, or None if this epoch is not measured."""
        self.count += 1
        if self.count % self.every:
            return None
        values = {
            f"nc/{split}/{name}": value
            for split, loader in self.loaders.items()
            for name, value in collapse_of(self.model, loader, layer=self.layer).items()
        }
        self.history.append({"epoch": self.count, **values})
        if self.log is not None:
            self.log.log(values, self.count)
        return values

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Draw what is 0 at collapse over the epochs measured so far, on a logarithmic axis.

        Raises:
            ValueError: before the first measurement.
        """
        return curves(self.history, ax=ax)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.log is not None:
            self.log.close()


def watch(
    model: nn.Module,
    loader: Any,
    *,
    every: int = 1,
    layer: str | None = None,
    log: str | None = None,
    folder: str | Path | None = None,
) -> Watch:
    """Watch a model while it trains; the loop calls `epoch()` after each epoch. Needs the extra `metrics`.

    Every sample is run through the model once over all processes, in eval mode, and neither its random numbers nor
    those of the loader move: the training is the one that was not watched.

    Args:
        model: the network that is trained.
        loader: a loader of the training samples, which must end, or several by name, {"train": ..., "val": ...}.
        every: epochs between measurements.
        layer: name of the last linear layer; default: the one that gives the model's output.
        log: csv, tensorboard or wandb, into `folder` (default: runs/watched); default: nowhere but `history`.
        folder: where the log goes.

    Raises:
        ValueError: if an argument is out of these bounds, a folder is given and no log, or it has a `log.csv` already.
    """
    instance(nn.Module).check("model", model)
    integer(1).check("every", every)
    optional(one_of(LOGS)).check("log", log)
    check_layer(model, layer)
    optional(path).check("folder", folder)
    check(folder is None or log is not None, "folder", folder, f"left out unless `log` is one of {', '.join(LOGS)}")
    writes = log is not None and distributed.rank() == 0
    place, loaders = Path(folder or FOLDER), by_split(loader)
    if writes:
        check(not (place / CSV).exists(), "folder", place, f"a folder without {CSV}, which is of another training")
    made = tracker(str(log), place, {}) if writes else None
    return Watch(model, loaders, every, layer, made)
