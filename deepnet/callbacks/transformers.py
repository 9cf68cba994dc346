"""Neural collapse in Hugging Face's Trainer: `Trainer(..., callbacks=[NeuralCollapseCallback()])`.

Needs the extra `transformers`: `pip install 'neural-collapse-laboratory[transformers]'`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepnet.callbacks.probe import collapse_of
from ufm.arguments import each, instance, integer, one_of, optional
from ufm.errors import check

try:
    from transformers import TrainerCallback
except ImportError as error:
    needed = "needs transformers: pip install 'neural-collapse-laboratory[transformers]'"
    raise ImportError(f"deepnet.callbacks.transformers {needed} ({error}).") from None

SPLITS = ("train", "eval")


class NeuralCollapseCallback(TrainerCallback):  # type: ignore[misc]  # of a package that may be absent
    """A callback that measures after epochs and logs to `state.log_history`, TensorBoard and Weights & Biases.

    The latter two only if the trainer's `report_to` lists them.

    A trainer does not let its callbacks log, so they are written beside what its own reporters write: an event file in
    TensorBoard's folder, a line of the run of Weights & Biases, by the trainer's step.

    Args:
        every_n_epochs: epochs between measurements.
        splits: of train and eval, those whose loaders are measured.
        layer: name of the last linear layer; default: found.
    """

    def __init__(self, every_n_epochs: int = 1, splits: Sequence[str] = ("train",), layer: str | None = None) -> None:
        integer(1).check("every_n_epochs", every_n_epochs)
        each(one_of(SPLITS), 1).check("splits", splits)
        optional(instance(str)).check("layer", layer)
        self.every, self.splits, self.layer = every_n_epochs, tuple(splits), layer
        self.writer: Any = None

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure, and log the numbers."""
        if round(state.epoch) % self.every:
            return
        values: dict[str, float] = {}
        for split in self.splits:
            loader: Any = given.get(f"{split}_dataloader")
            check(loader is not None, "splits", split, "of loaders that the trainer has by then")
            found = collapse_of(given["model"], loader, layer=self.layer)
            values |= {f"nc/{split}/{name}": value for name, value in found.items()}
        state.log_history.append({"epoch": state.epoch, "step": state.global_step, **values})
        if state.is_world_process_zero:
            self._report(args, state, values)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _report(self, args: Any, state: Any, values: dict[str, float]) -> None:
        if "tensorboard" in args.report_to:
            if self.writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self.writer = SummaryWriter(_folder_of_events(args))
            for name, value in values.items():
                self.writer.add_scalar(name, value, state.global_step)
            self.writer.flush()
        if "wandb" in args.report_to:
            import wandb

            if wandb.run is not None:
                wandb.run.log({**values, "train/global_step": state.global_step})


def _folder_of_events(args: Any) -> str:
    """The folder of the trainer's own reporter, which is named after the time when training began."""
    asked = os.environ.get("TENSORBOARD_LOGGING_DIR")
    runs = Path(args.output_dir) / "runs"
    begun = sorted(runs.glob("*/"), key=lambda path: path.stat().st_mtime)
    return os.path.expanduser(asked) if asked else str(begun[-1] if begun else runs)
