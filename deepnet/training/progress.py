"""The display of a training's progress: a bar that moves with every step, or one line per epoch if piped."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A context manager around `train`, which takes its methods `step` and `epoch`.

    Args:
        epochs: Of the whole run.
        images: Of one epoch.
        done: Epochs an earlier process has done.
    """

    def __init__(self, epochs: int, images: int, done: int) -> None:
        self._console = Console()
        columns = (BarColumn(bar_width=None), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console, expand=True, disable=not self._console.is_terminal)
        self._task = self._bar.add_task(f"epoch {done}/{epochs}", total=epochs * images, completed=done * images)
        self._epochs = epochs

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, images: int) -> None:
        """Advance the bar by a batch, which is done or under way on the device."""
        self._bar.advance(self._task, images)

    def epoch(self, line: dict[str, Any]) -> None:
        """Show the line of metrics of a finished epoch."""
        text = describe(line, self._epochs)
        self._bar.update(self._task, description=text)
        if not self._console.is_terminal:
            print(text, flush=True)


def describe(line: dict[str, Any], epochs: int) -> str:
    """A line of metrics in words: epoch, loss, accuracies and NC1 if they were measured, images per second."""
    parts = [f"epoch {line['epoch']}/{epochs}", f"loss {line['loss']:.4f}", f"accuracy {line['accuracy']:.2%}"]
    if "train" in line:
        parts += [f"NC1 {line['train']['nc1_quotient']:.3g}", f"test {line['test']['accuracy']:.2%}"]
    return "  ".join([*parts, f"{line['images_per_s']:.0f} images/s"])
