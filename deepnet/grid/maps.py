"""A grid of runs as heat maps over width and epochs."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from deepnet.grid.trainings import Row

Map = list[list[float | int | None]]
"""A map: rows are widths, columns are epochs; null where no run has ended."""


class Maps(TypedDict):
    """Maps of test accuracy at the epoch of best validation accuracy (without validation, at the last epoch).

    Attributes:
        width, epochs: the axes.
        mean: over the seeds, by loss.
        difference: of those means to that of cross entropy, by loss.
        variance: over all runs of a cell, losses and seeds (of the population).
        runs: how many those are.
    """

    width: list[float]
    epochs: list[int]
    mean: dict[str, Map]
    difference: dict[str, Map]
    variance: Map
    runs: Map


def maps(rows: Sequence[Row]) -> Maps:
    """The maps of a grid's rows."""
    cells = [(width, epochs) for width in _sorted(rows, "width") for epochs in _sorted(rows, "epochs")]
    losses = list(dict.fromkeys(_label(row) for row in rows))
    found = {cell: {loss: _accuracies(rows, cell, loss) for loss in losses} for cell in cells}

    def grid(value: Callable[[dict[str, list[float]]], float | int | None]) -> Map:
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


def _label(row: Row) -> str:
    """The loss of a row as text, with its parameters if it has any."""
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
