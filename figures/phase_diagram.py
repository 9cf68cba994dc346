"""`ufm scan`: in which state the starts of every cell end, and the predicted phase boundaries drawn over it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from figures.style import COLOURS, COLUMN, in_our_style, loss_name, outside_legend, save, subplots

RECORDS = {
    "scan": "python -m ufm scan --loss focal --grid.gamma 0:6:13 --grid.decay 0.032:0.046:57 --classes 30 --dim 30 "
    "--per-class 1 --starts 32 --json figures/data/scan.json"
}
JOB = "scan"

STATES = {"etf": "ETF", "zero": "zero", "partial": "some classes collapsed", "other": "other", "lost": "not converged"}
SHADES = (COLOURS[5], COLOURS[4], COLOURS[2], COLOURS[3], "#808080")
BOUNDARIES = {
    "c_zero_stable": ("zero becomes a local minimum", "--"),
    "c_zero_best": ("zero becomes the best", "-"),
    "c_etf_ends": ("the ETF ceases to exist", ":"),
}
ROUNDING = 1e-12
SAME = 1e-9
"""Boundaries as close as this everywhere are one."""
LEAST_ROWS = 4
"""From which on a curve is laid through the places of a boundary."""
POINTS = 400
"""Of a curve."""


def fits(record: dict[str, Any]) -> bool:
    """Whether a cell has its result."""
    return any(count is not None for count in record["result"]["cells"]["converged"])


@in_our_style
def draw(record: dict[str, Any], path: Path) -> Path:
    """Shares of the end states over the first two axes (the others at their first value), or along a single one."""
    every = {name: np.array(values) for name, values in record["result"]["axes"].items()}
    axes = {name: values for name, values in every.items() if len(values) > 1} or dict([*every.items()][:1])
    cells = {name: _grid(values, axes) for name, values in record["result"]["cells"].items()}
    shares = shares_of([cells[name].astype(float) for name in list(STATES)[:-1]])
    figure, area = subplots(figsize=(COLUMN, 4.2 if len(axes) > 1 else 3.2))
    if len(axes) == 1:
        _lines(area, *next(iter(axes.items())), shares, cells)
    else:
        _map(area, list(axes.items())[:2], shares, cells)
    if area.get_legend_handles_labels()[0]:
        outside_legend(figure, loc="outside lower center", ncols=3)
    area.set_title(title(record, list(axes)))
    return save(figure, path)


def shares_of(states: list[Any]) -> Any:
    """Shares of all states on the last axis, given those of all but the last, the starts that did not converge."""
    known = np.stack(states, -1)
    return np.concatenate([known, 1 - known.sum(-1, keepdims=True)], -1)


def _grid(values: list[Any], axes: dict[str, Any]) -> Any:
    """Over the first one or two axes, the others at their first value."""
    array = np.array(values, dtype=object).reshape([len(values) for values in axes.values()])
    while array.ndim > 2:
        array = array[..., 0]
    return array


def _lines(area: Any, name: str, values: Any, shares: Any, cells: dict[str, Any]) -> None:
    for share, label, colour in zip(shares.T, STATES.values(), SHADES, strict=True):
        if np.nanmax(share, initial=0) > ROUNDING:
            area.plot(values, share, marker="o", ms=3, color=colour, label=label)
    for column, (label, style) in BOUNDARIES.items():
        for i, place in enumerate(_crossings(values, _distance(cells, column))):
            area.axvline(place, color="black", linestyle=style, linewidth=1, label=None if i else label)
    area.set(xlabel=name, ylabel="share of starts", xscale=scale(values))


def _map(area: Any, axes: list[Any], shares: Any, cells: dict[str, Any]) -> None:
    """The colour of a cell is that of its states, mixed by their shares; white where there is no result."""
    from matplotlib.colors import to_rgb

    (name_y, y), (name_x, x) = axes
    colours = np.nan_to_num(shares @ np.array([to_rgb(shade) for shade in SHADES]), nan=1.0).clip(0, 1)
    area.pcolormesh(edges(x), edges(y), colours)
    for column, (label, style) in BOUNDARIES.items():
        distance = _distance(cells, column)
        if column != "c_zero_best" and np.nanmax(np.abs(distance - _distance(cells, "c_zero_best")), initial=0) < SAME:
            continue
        if np.nanmin(distance, initial=np.inf) < 0 < np.nanmax(distance, initial=-np.inf):
            boundary(area, x, y, distance, linestyle=style)
            area.plot([], [], color="black", linestyle=style, linewidth=1, label=label)
    benign = cells.get("landscape", np.array([])) == "proved benign"
    if benign.any() and not benign.all():
        area.contour(x, y, benign.astype(float), levels=[0.5], colors="white", linewidths=1.5)
        area.plot([], [], color="#c0c0c0", linewidth=1.5, label="edge of proved benign")
    for share, label, colour in zip(np.moveaxis(shares, -1, 0), STATES.values(), SHADES, strict=True):
        if np.nanmax(share, initial=0) > ROUNDING:
            area.plot([], [], "s", color=colour, label=label)
    area.set(xlabel=name_x, ylabel=name_y, xscale=scale(x), yscale=scale(y), xlim=edges(x)[[0, -1]])
    area.set_ylim(edges(y)[[0, -1]])
    area.grid(visible=False)


def boundary(area: Any, x: Any, y: Any, distance: Any, **look: Any) -> None:
    """Draw where log(c / threshold) is zero, as a smooth curve where each row or column has one such place.

    Thresholds are closed forms, evaluated in every cell. Where x is a decay, log c is linear in log x and the threshold
    a number of the row, so that its place in every row is exact; between the rows it is interpolated by monotone cubic
    pieces. The same with y for x. Other grids have the contour of the cells.
    """
    for along, across, values, is_turned in ((x, y, distance, False), (y, x, distance.T, True)):
        places = _places(along, values)
        if places is not None:
            t = np.linspace(across[0], across[-1], POINTS)
            curve = np.exp(_smooth(across, np.log(places), t))
            area.plot(*((t, curve) if is_turned else (curve, t)), color="black", linewidth=1, **look)
            return
    area.contour(x, y, distance, levels=[0.0], colors="black", linewidths=1, linestyles=look.get("linestyle", "-"))


def _places(along: Any, distance: Any) -> Any:
    """The value of the axis at which each row's distance is zero, if that is linear in its logarithm; else None."""
    if along.min() <= 0 or len(distance) < LEAST_ROWS or not np.isfinite(distance).all():
        return None
    logs = np.log(along)
    slopes = np.diff(distance) / np.diff(logs)
    if not (slopes > 0).all() or np.ptp(slopes) > SAME * slopes.max():
        return None
    return np.exp(logs[0] - distance[:, 0] / slopes[:, 0])


def _smooth(nodes: Any, values: Any, t: Any) -> Any:
    from scipy.interpolate import PchipInterpolator

    return PchipInterpolator(nodes, values)(t)


def edges(centres: Any) -> Any:
    """Cell edges halfway between the values on their own scale."""
    to, back = (np.log, np.exp) if scale(centres) == "log" else (np.positive, np.positive)
    t = to(centres)
    middle = (t[1:] + t[:-1]) / 2
    step = t[1:] - t[:-1] if len(t) > 1 else np.ones(1)
    return back(np.concatenate([[t[0] - step[0] / 2], middle, [t[-1] + step[-1] / 2]]))


def _distance(cells: dict[str, Any], column: str) -> Any:
    """log(c / boundary); zero on the boundary. One that underflows, as for a gamma of 10^9, is the least float."""
    c, threshold = (np.maximum(cells[name].astype(float), np.finfo(float).tiny) for name in ("c", column))
    return np.log(c) - np.log(threshold)


def _crossings(values: Any, distance: Any) -> list[float]:
    """Where the distance changes sign, between the cells by a straight line."""
    return [
        float(np.interp(0.0, sorted(pair), values[i : i + 2][np.argsort(pair)]))
        for i, pair in enumerate(itertools.pairwise(distance))
        if min(pair) < 0 <= max(pair)
    ]


def scale(values: Any) -> str:
    """Logarithmic where the ratios of the values are even and their differences are not."""
    if len(values) < 3 or values.min() <= 0 or np.allclose(np.diff(values, 2), 0, atol=1e-6 * np.ptp(values)):
        return "linear"
    return "log" if np.allclose(np.diff(np.log(values), 2), 0, atol=1e-6) else "linear"


def title(record: dict[str, Any], axes: list[str]) -> str:
    """Loss, sizes and starts; `axes` are shown in this order, those after the second at their first value."""
    setting = record["setting"]
    sizes = {"classes": "K", "dim": "d", "per_class": "n"}
    fixed = [f"{letter} = {setting[name]}" for name, letter in sizes.items() if name not in axes]
    rest = [f"{name} at its first value" for name in axes[2:]]
    return ", ".join([loss_name(setting["loss"]), *fixed, f"{setting['starts']} starts a cell", *rest])
