"""Neural collapse in Hugging Face's Trainer: `Trainer(..., callbacks=[NeuralCollapseCallback()])`.

Needs the extra `transformers`: `pip install 'neural-collapse-laboratory[transformers]'`.
"""

import math
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

    The latter two only if the trainer's `report_to` lists them. Eval data are measured when the trainer evaluates them,
    as it hands out their loader then; of several sets each has `nc/eval_NAME`.

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

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Refuse eval data that the trainer never evaluates."""
        is_evaluated = args.eval_strategy != "no" or args.eval_on_start
        allowed = "without eval where eval_strategy is no"
        check("eval" not in self.splits or is_evaluated, "splits", ", ".join(self.splits), allowed)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure training data, and log the numbers."""
        if "train" in self.splits:
            self._measure(args, state, "train", given["model"], given["train_dataloader"])

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure the eval data that were evaluated, and log the numbers."""
        if "eval" in self.splits:
            names = (name.removesuffix("_runtime") for name in given["metrics"] if name.endswith("_runtime"))
            self._measure(args, state, next(names, "eval"), given["model"], given["eval_dataloader"])

    def _measure(self, args: Any, state: Any, name: str, model: Any, loader: Any) -> None:
        if math.ceil(state.epoch or 0) % self.every:  # an epoch that ends early, or of unknown length, is a fraction
            return
        found = collapse_of(model, loader, layer=self.layer)
        values = {f"nc/{name}/{metric}": value for metric, value in found.items()}
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
