"""The phase diagram: end states of every cell of a scan over its first two axes, and the predicted boundaries."""

from typing import Any

import numpy as np

from figures.phase_diagram import BOUNDARIES, SHADES, STATES, scale, title

KIND = ("ufm scan",)
COMMAND = "python -m ufm scan --grid.decay 1e-4:1e-1:20:log --json figures/data/scan.json"
HIDDEN = ("etf", "zero", "partial", "other")
"""Columns that are shown as shares, not as numbers of the cell."""


def view(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Axes and cells; a scan with one axis has a second of one value, other axes stand at their first value."""
    axes = {key: np.array(values) for key, values in record["result"]["axes"].items()}
    shown = [key for key, values in axes.items() if len(values) > 1][:2] or list(axes)[:1]
    place = tuple(slice(None) if key in shown else 0 for key in axes)
    shape = [len(values) for values in axes.values()]
    cells = {
        key: np.array(values, dtype=object).reshape(shape)[place].ravel().tolist()
        for key, values in record["result"]["cells"].items()
    }
    x, y = shown[-1], shown[0] if len(shown) > 1 else None
    return [
        {
            "record": name,
            "title": title(record, [*shown, *(key for key in axes if key not in shown)]),
            "starts": record["setting"]["starts"],
            "x": {"name": x, "values": axes[x].tolist(), "type": scale(axes[x])},
            "y": {"name": y, "values": axes[y].tolist(), "type": scale(axes[y])} if y else {"name": "", "values": [0]},
            "cells": cells,
            "states": STATES,
            "shades": SHADES,
            "boundaries": BOUNDARIES,
            "hidden": HIDDEN,
        }
    ]
