"""A grid of runs as rows, as heat maps over width and epochs, and as a table."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pyarrow
from pyarrow import parquet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from deepnet.grid.trainings import Row, Work
from ufm.cli.records import atomic_file

ROWS = "runs.parquet"
SECONDS_BETWEEN_LOOKS = 1.0
MEMORY_OF_SPEED = 3600.0
"""Seconds over which the speed is averaged for the time that is left."""


def as_result(rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """The record's result: the rows, and what the heat maps show."""
    failures = [{"run": row["run"], "failure": row["failure"]} for row in rows if row["failure"]]
    return {"rows": list(rows), "maps": maps(rows), "failures": failures, "seconds": seconds}


def maps(rows: Sequence[Row]) -> dict[str, Any]:
    """Test accuracy at the epoch that validation chose (at the last one where there is no validation split).

    `mean`: over the seeds, by loss; `difference`: to cross entropy, of the means; `variance`: over all runs of a cell,
    losses and seeds (of the population); `runs`: how many those are. Rows are widths, columns epochs; null where no run
    has ended.
    """
    cells = [(width, epochs) for width in _sorted(rows, "width") for epochs in _sorted(rows, "epochs")]
    losses = list(dict.fromkeys(_label(row) for row in rows))
    found = {cell: {loss: _accuracies(rows, cell, loss) for loss in losses} for cell in cells}

    def grid(value: Callable[[dict[str, list[float]]], float | int | None]) -> list[list[float | int | None]]:
        count = len(_sorted(rows, "epochs"))
        flat = [value(found[cell]) for cell in cells]
        return [flat[first : first + count] for first in range(0, len(flat), count)]

    means = {loss: grid(lambda cell, loss=loss: _mean(cell[loss])) for loss in losses}  # type: ignore[misc]
    others = [loss for loss in losses if loss != "ce" and "ce" in losses]
    return {
        "width": _sorted(rows, "width"),
        "epochs": _sorted(rows, "epochs"),
        "mean": means,
        "difference": {loss: grid(lambda cell, loss=loss: _minus(cell[loss], cell["ce"])) for loss in others},  # type: ignore[misc]
        "variance": grid(lambda cell: _variance([value for each in cell.values() for value in each])),
        "runs": grid(lambda cell: sum(map(len, cell.values()))),
    }


def show(rows: Sequence[Row], result: dict[str, Any]) -> None:
    """One line per width and length, one column a loss; then what failed."""
    found = result["maps"]
    table = Table(
        "width", "epochs", *found["mean"], "std. deviation", "runs", title="test accuracy", title_justify="left"
    )
    for column in table.columns:
        column.justify = "right"
    for i, width in enumerate(found["width"]):
        for j, epochs in enumerate(found["epochs"]):
            means = [_percent(mean[i][j]) for mean in found["mean"].values()]
            variance = found["variance"][i][j]
            spread = _percent(None if variance is None else variance**0.5)
            table.add_row(f"{width:g}", str(epochs), *means, spread, str(found["runs"][i][j]))
    console = Console()
    if not console.is_terminal:
        console.width = 150
    console.print(table)
    for failure in result["failures"]:
        line = f"{failure['run']} failed: {failure['failure']}"
        console.print(line, style="bold red", soft_wrap=True, highlight=False)


def write_rows(folder: Path, rows: Sequence[Row]) -> Path:
    """All rows as one Parquet file, which this replaces: what it says is in the runs' own folders."""
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows])
    with atomic_file(folder / ROWS, "wb") as file:
        parquet.write_table(table, file)
    return folder / ROWS


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


def _label(row: Row) -> str:
    """The loss; with its parameters where the row has some."""
    given = {name.removeprefix("loss_"): value for name, value in row.items() if name.startswith("loss_")}
    numbers = [f"{name}={value:g}" if isinstance(value, float) else str(value) for name, value in given.items()]
    return f"{row['loss']} ({', '.join(numbers)})" if numbers else str(row["loss"])


def _sorted(rows: Sequence[Row], name: str) -> list[Any]:
    return sorted({row[name] for row in rows})


def _accuracies(rows: Sequence[Row], cell: tuple[float, int], loss: str) -> list[float]:
    here = [row for row in rows if (row["width"], row["epochs"]) == cell and _label(row) == loss]
    values = [row.get("best_test_accuracy", row.get("test_accuracy")) for row in here]
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _minus(values: Sequence[float], others: Sequence[float]) -> float | None:
    return statistics.fmean(values) - statistics.fmean(others) if values and others else None


def _variance(values: Sequence[float]) -> float | None:
    return statistics.pvariance(values) if len(values) > 1 else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
