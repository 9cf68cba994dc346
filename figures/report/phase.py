"""The phase diagram: end states of every cell of a scan over its first two axes, and the problem they share."""

from typing import Any

import numpy as np

from figures.phase_diagram import BOUNDARIES, SHADES, STATES, scale, title

KIND = ("ufm scan",)
COMMAND = "python -m ufm scan --grid.decay 1e-4:1e-1:20:log --json figures/data/scan.json"
MAIN = "scan"
"""The record that the view opens on, if there is one of this name."""
HIDDEN = ("etf", "zero", "partial", "other")
"""Columns that are shown as shares, not as numbers of the cell."""
CURVES = {
    "low": BOUNDARIES["c_zero_stable"],
    "best": BOUNDARIES["c_zero_best"],
    "high": BOUNDARIES["c_etf_ends"],
    "onset": ("c_x: a class at zero becomes a local minimum (shown for some K and gamma)", "-."),
}
"""Thresholds of `assets/theory.js` in words, and how their curve is dashed."""
SIZES = {"classes": "K", "dim": "d", "per_class": "n"}
AXES = {
    "gamma": "gamma of focal loss",
    "alpha": "alpha of label smoothing",
    "decay": "decay of W and of H",
    "decay_W": "decay of W",
    "decay_H": "decay of H",
    "decay_b": "decay of the bias",
    "classes": "K, classes",
    "dim": "d, dimensions of features",
    "per_class": "n, samples per class",
    "rescale": "scale of the squared error's target",
}
WORDS = {
    "converged": "starts that converged",
    "best_state": "state of the lowest end point",
    "best_active": "classes collapsed in it",
    "best_minus_predicted": "its objective minus the predicted",
    "smallest_eigenvalue": "its smallest Hessian eigenvalue",
    "condition_number": "its condition number across rotations",
    "duality_gap": "its duality gap",
    "steps_mean": "steps, mean of the starts",
    "nc1_trace": "its NC1 (trace)",
    "nc2_etf_distance": "its NC2 (distance to the ETF)",
    "nc3_self_duality": "its NC3 (self-duality)",
    "predicted_state": "predicted state",
    "predicted_value": "predicted objective",
    "is_proved_global": "the prediction is proved global",
    "c": "c = sqrt(n decay_W decay_H)",
    "c_zero_stable": "zero is a local minimum from c",
    "c_zero_best": "zero is the best from c",
    "c_etf_ends": "the ETF exists up to c",
    "landscape": "landscape",
}


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
            "x": _axis(x, axes[x]),
            "y": _axis(y, axes[y]) if y else {"name": "", "label": "", "values": [0], "type": "linear"},
            "problem": _problem(record["setting"], {key: axes[key][0].item() for key in axes if key not in shown}),
            "cells": cells,
            "words": {key: WORDS.get(key, key.replace("_", " ")) for key in cells},
            "states": STATES,
            "shades": SHADES,
            "curves": CURVES,
            "hidden": HIDDEN,
        }
    ]


def together(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The main scan first."""
    return sorted(entries, key=lambda entry: entry["record"] != MAIN)


def _axis(name: str, values: Any) -> dict[str, Any]:
    return {"name": name, "label": AXES.get(name, name), "values": values.tolist(), "type": scale(values)}


def _problem(setting: dict[str, Any], fixed: dict[str, Any]) -> dict[str, Any]:
    """The problem of all cells, as `assets/theory.js` has it, without the two axes shown."""
    loss = {key: value for key, value in setting["loss"].items() if key != "name"}
    decays = {key: setting[key] for key in ("decay_W", "decay_H", "decay_b")}
    sizes = {letter: setting[name] for name, letter in SIZES.items()}
    if "decay" in fixed:
        decays |= {"decay_W": fixed["decay"], "decay_H": fixed["decay"]}
    return {"loss": setting["loss"]["name"], **loss, **sizes, **decays} | {
        SIZES.get(name, name): value for name, value in fixed.items() if name != "decay"
    }
