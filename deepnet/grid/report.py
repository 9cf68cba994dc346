"""The output of `grid`: a table of the runs, and a bar while they are trained."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from deepnet.grid.trainings import Work
from ufm.cli.table import console, table

SECONDS_BETWEEN_LOOKS = 1.0
MEMORY_OF_SPEED = 3600.0
"""Seconds over which the speed is averaged for the time that is left."""


def show(found: Mapping[str, Any], failures: Sequence[Mapping[str, str]]) -> None:
    """Print a line per width and length with a column per loss, then failed runs."""
    shown = table("test accuracy", "width", "epochs", *found["mean"], "std. deviation", "runs", own=[*found["mean"]])
    for i, width in enumerate(found["width"]):
        for j, epochs in enumerate(found["epochs"]):
            means = [_percent(mean[i][j]) for mean in found["mean"].values()]
            variance = found["variance"][i][j]
            spread = _percent(None if variance is None else variance**0.5)
            shown.add_row(f"{width:g}", str(epochs), *means, spread, str(found["runs"][i][j]))
    out = console()
    out.print(shown)
    for failure in failures:
        line = f"{failure['run']} failed: {failure['failure']}"
        out.print(line, style="bold red", soft_wrap=True, highlight=False)


@contextmanager
def progress(works: Sequence[Work]) -> Iterator[Callable[[Work, str | None], None]]:
    """A bar over the epochs of all runs, wherever they are trained: read off their folders.

    Yields:
        What to call when a run has ended; it prints a line.
    """
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeElapsedColumn(), TimeRemainingColumn())
    total, began = sum(work.run.setting.lines for work in works), time.monotonic()
    before, ended = sum(work.epochs_done for work in works), 0
    bar = Progress(*columns, transient=True, speed_estimate_period=MEMORY_OF_SPEED)
    task, is_over = bar.add_task("", total=total, completed=before), Event()

    def watch() -> None:
        while not is_over.wait(SECONDS_BETWEEN_LOOKS):
            bar.update(task, completed=sum(work.epochs_done for work in works))

    def on_end(work: Work, failure: str | None) -> None:
        nonlocal ended
        ended += 1
        done = sum(work.epochs_done for work in works)
        left = (time.monotonic() - began) * (total - done) / max(1, done - before)
        news = f"failed: {failure}" if failure else "done"
        line = f"{ended}/{len(works)} {work.run.name}: {news}; {done}/{total} epochs, about {_duration(left)} left"
        bar.console.print(line, soft_wrap=True, highlight=False)

    watcher = Thread(target=watch, daemon=True)
    with bar:
        watcher.start()
        try:
            yield on_end
        finally:
            is_over.set()
            watcher.join()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
