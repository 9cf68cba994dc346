"""`deepnet grid`: test accuracy over width and epochs, difference to cross entropy, variance over losses."""

from pathlib import Path
from typing import Any

import numpy as np

from figures.style import COLUMN, LOSSES, in_our_style, save, subplots

RECORDS = {"grid_small": "python -m deepnet grid --preset small --json figures/data/grid_small.json"}
JOB = "grid"


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """One row of maps: accuracy by loss; a second: difference to cross entropy by loss, and the variance."""
    maps = record["result"]["maps"]
    accuracy = {f"{_words(loss)}, %": _percent(values) for loss, values in maps["mean"].items()}
    difference = {
        f"{_words(loss)}\nless cross entropy, %": _percent(values) for loss, values in maps["difference"].items()
    }
    variance = 100 * _percent(maps["variance"])  # in squares of a percent
    columns = max(len(accuracy), len(difference) + 1)
    figure, areas = subplots(2, columns, figsize=(COLUMN * max(1, columns / 2.8), 4.6), squeeze=False)
    for area in areas.flat:
        area.set_axis_off()
    low, high = _range(accuracy.values())
    for area, (title, values) in zip(areas[0], accuracy.items(), strict=False):
        _map(area, maps, values, title, cmap="viridis", vmin=low, vmax=high)
    _, most = _range(abs(values) for values in difference.values())
    for area, (title, values) in zip(areas[1], difference.items(), strict=False):
        _map(area, maps, values, title, cmap="RdBu", vmin=-most, vmax=most)
    _map(
        areas[1][len(difference)],
        maps,
        variance,
        "variance over losses, %²",
        cmap="magma_r",
        vmin=0,
        vmax=_range([variance])[1],
    )
    return save(figure, path)


def _percent(values: list[list[float | None]]) -> Any:
    return 100 * np.array(values, dtype=float)


def _range(maps: Any) -> tuple[float, float]:
    """Smallest and largest value; 0 and 1 where no run has ended."""
    values = [value for each in maps for value in each[np.isfinite(each)]]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return low, high if high > low else low + 1


def _words(loss: str) -> str:
    """The name of a loss in print, its parameters in a line of their own."""
    name, bracket, rest = loss.partition(" (")
    return LOSSES.get(name, name) + (f"\n({rest}" if bracket else "")


def _map(area: Any, maps: dict[str, Any], values: Any, title: str, **look: Any) -> None:
    area.set_axis_on()
    image = area.imshow(values, aspect="auto", origin="lower", **look)
    for (i, j), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        is_dark = np.isfinite(value) and 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        text = "-" if np.isnan(value) else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
        area.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if is_dark else "black")
    area.set_xticks(range(len(maps["epochs"])), [str(value) for value in maps["epochs"]])
    area.set_yticks(range(len(maps["width"])), [f"{value:g}" for value in maps["width"]])
    area.set_xlabel("epochs")
    area.set_ylabel("width")
    area.set_title(title)
    area.grid(visible=False)
