"""Neural collapse in Lightning: `Trainer(callbacks=[NeuralCollapseCallback()])` logs `nc/train/nc1_pinv` and the rest.

Needs the extra `lightning`: `pip install 'neural-collapse-laboratory[lightning]'`.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from deepnet.callbacks.probe import Call, collapse_of
from deepnet.evaluation.watched import run_on
from ufm.arguments import each, instance, integer, one_of, optional
from ufm.errors import check

try:
    import lightning.pytorch as pl
except ImportError:
    try:
        import pytorch_lightning as pl
    except ImportError as error:
        needed = "needs lightning: pip install 'neural-collapse-laboratory[lightning]'"
        raise ImportError(f"deepnet.callbacks.lightning {needed} ({error}).") from None

SPLITS = ("train", "val")


class NeuralCollapseCallback(pl.Callback):  # type: ignore[misc]  # of a package that may be absent
    """A callback that measures after training epochs and logs by the module, so that loggers and `monitor` have it.

    A module without a `forward` is run by its `training_step`, whose logging is silent meanwhile; the linear layer that
    runs last is then taken for the last one. Of several loaders a split has `nc/val0` and so on, or `nc/val_NAME`.

    Args:
        every_n_epochs: epochs between measurements.
        splits: of train and val, those whose loaders are measured.
        layer: name of the last linear layer; default: found.
    """

    def __init__(self, every_n_epochs: int = 1, splits: Sequence[str] = ("train",), layer: str | None = None) -> None:
        super().__init__()
        integer(1).check("every_n_epochs", every_n_epochs)
        each(one_of(SPLITS), 1).check("splits", splits)
        optional(instance(str)).check("layer", layer)
        self.every, self.splits, self.layer = every_n_epochs, tuple(splits), layer

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Refuse a split that the trainer has no loader of."""
        self._loaders(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measure and log."""
        if (trainer.current_epoch + 1) % self.every or trainer.sanity_checking:
            return
        call = _call_of(trainer, pl_module)
        for prefix, loader in self._loaders(trainer).items():
            values = collapse_of(pl_module, loader, call, self.layer)
            pl_module.log_dict({f"nc/{prefix}/{name}": value for name, value in values.items()})

    def _loaders(self, trainer: Any) -> dict[str, Any]:
        """Those of the splits, by what their numbers are called."""
        found = {"train": trainer.train_dataloader, "val": trainer.val_dataloaders}
        named: dict[str, Any] = {}
        for split in self.splits:
            check(found[split] is not None, "splits", split, "of loaders that the trainer has")
            named |= _by_name(split, found[split])
        return named


def _by_name(split: str, loader: Any) -> dict[str, Any]:
    """Each of several loaders of a split, which may be a list or a dict."""
    if isinstance(loader, Mapping):
        return {f"{split}_{name}": each for name, each in loader.items()}
    if isinstance(loader, list | tuple) and len(loader) > 1:
        return {f"{split}{number}": each for number, each in enumerate(loader)}
    return {split: loader[0] if isinstance(loader, list | tuple) else loader}


def _call_of(trainer: Any, module: Any) -> Call:
    """The function that runs the module on a batch, in the precision and after the transfer hooks that training has."""

    def prepared(batch: Any) -> Any:
        return trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))

    if type(module).forward is not pl.LightningModule.forward:
        return lambda batch: run_on(module, prepared(batch), module.device)
    is_safe = module.automatic_optimization and type(module).training_step is not pl.LightningModule.training_step
    check(is_safe, "module", type(module).__name__, "one with a forward, or with a training_step that only computes")
    takes_index = len(inspect.signature(module.training_step).parameters) > 1

    def call(batch: Any) -> None:
        batch = prepared(batch)
        silent = {name: lambda *_, **__: None for name in ("log", "log_dict")}
        vars(module).update(silent)
        try:
            module.training_step(batch, 0) if takes_index else module.training_step(batch)
        finally:
            for name in silent:
                del vars(module)[name]

    return call
