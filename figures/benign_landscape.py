"""`ufm scan`: where focal loss's landscape is proved benign, proved not to be, or open, over the decays and gamma."""

from pathlib import Path
from typing import Any

import numpy as np

from figures.phase_diagram import boundary, edges
from figures.style import COLOURS, COLUMN, in_our_style, outside_legend, save, subplots

SCAN = "python -m ufm scan --loss focal --grid.gamma 0.4:10:25 --per-class 1 --decay-b 0 --starts 4"
RECORDS = {
    "scan_benign_10": f"{SCAN} --grid.decay 0.08:0.16:33 --classes 10 --dim 9 --json figures/data/scan_benign_10.json",
    "scan_benign_30": f"{SCAN} --grid.decay 0.03:0.054:33 --classes 30 --dim 29 "
    "--json figures/data/scan_benign_30.json",
}
STATUSES = {"proved benign": COLOURS[5], "proved not": COLOURS[3], "open": "#d0d0d0"}


@in_our_style
def draw(few: dict[str, Any], many: dict[str, Any], path: Path) -> Path:
    """One panel for each number of classes; dots where some start does not end in the predicted state."""
    figure, areas = subplots(1, 2, figsize=(1.5 * COLUMN, 3.8), sharey=True)
    for area, record in zip(areas, (few, many), strict=True):
        _map(area, record)
    areas[0].set_ylabel("gamma")
    for name, colour in STATUSES.items():
        areas[0].plot([], [], "s", color=colour, label=name)
    areas[0].plot([], [], color="black", linewidth=1, label="c_low: zero becomes a local minimum")
    areas[0].plot([], [], ".", color="black", label="some start ends elsewhere")
    outside_legend(figure, loc="outside lower center", ncols=3)
    return save(figure, path)


def _map(area: Any, record: dict[str, Any]) -> None:
    from matplotlib.colors import to_rgb

    axes, setting = record["result"]["axes"], record["setting"]
    gamma, decay = np.array(axes["gamma"]), np.array(axes["decay"])
    cells = {name: np.array(values, dtype=object).reshape(len(gamma), len(decay)) for name, values in _cells(record)}
    colours = [[to_rgb(STATUSES[status]) for status in row] for row in cells["landscape"]]
    area.pcolormesh(edges(decay), edges(gamma), np.array(colours))
    threshold = np.log(cells["c"].astype(float)) - np.log(cells["c_zero_stable"].astype(float))
    boundary(area, decay, gamma, threshold)
    as_predicted = cells["predicted_state"] == "etf", cells["predicted_state"] == "zero"
    share = np.where(as_predicted[0], cells["etf"], np.where(as_predicted[1], cells["zero"], np.nan)).astype(float)
    rows, columns = np.nonzero(share < 1)
    area.plot(decay[columns], gamma[rows], ".", color="black", markersize=2)
    area.set(xlim=edges(decay)[[0, -1]], ylim=edges(gamma)[[0, -1]])
    area.set(xlabel="c = sqrt(n decay_W decay_H)", title=f"K = {setting['classes']}, free bias")
    area.grid(visible=False)


def _cells(record: dict[str, Any]) -> Any:
    return record["result"]["cells"].items()
