"""Training curves of networks, epoch by epoch, with what the model predicts for their last layer."""

import json
from typing import Any

import numpy as np

from figures.style import loss_name

KIND = ("deepnet train", "deepnet compare")
COMMAND = "python -m deepnet compare --runs '[runs/ce]' --json figures/data/compare.json"
PREDICTED = {"loss": "training loss", "margin": "margin", "p_y": "p_y", "norm_w": "|w|", "norm_h": "|h|"}
"""A measure of the last layer -> the row of the comparison that predicts it."""


def together(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A run that was both recorded and compared becomes one entry; those with a prediction come first."""
    compared = {_identity(entry): entry for entry in entries if entry["rows"]}
    recorded = {_identity(entry): entry for entry in entries if not entry["rows"]}
    for key, entry in recorded.items():
        other = compared.pop(key, entry)
        entry |= {key: other[key] for key in ("rows", "predicted", "residual", "group")}
    found = sorted([*recorded.values(), *compared.values()], key=lambda entry: (not entry["rows"], entry["group"]))
    return [{key: value for key, value in entry.items() if key != "setting"} for entry in found]


def _identity(entry: dict[str, Any]) -> str:
    return json.dumps([entry["run"], entry["setting"]], sort_keys=True)


def view(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a run: measures by split and epoch, and the rows of its comparison if it has one."""
    result = record["result"]
    if "runs" in result:
        return [_entry(name, run, _lines(run)) for run in result["runs"]]
    return [_entry(name, result, result["metrics"])]


def _lines(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Collapse by epoch, and what the comparison measured beside its predictions."""
    measured = {entry["epoch"]: entry["rows"] for entry in run.get("trajectory", []) if entry["rows"]}
    return [
        {"epoch": line["epoch"], "train": line | _measured(measured.get(line["epoch"], {}))} for line in run["collapse"]
    ]


def _measured(rows: dict[str, Any]) -> dict[str, float]:
    return {key: rows[name]["measured"] for key, name in PREDICTED.items() if key != "loss" and name in rows}


def _entry(name: str, run: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    setting = run["run_setting"]
    splits = {}
    for split in ("train", "validation", "test"):
        here = [(line["epoch"], line[split]) for line in lines if split in line]
        if here:
            keys = [key for key in here[-1][1] if key != "epoch"]
            splits[split] = {key: [values.get(key) for _, values in here] for key in keys}
            splits[split]["epoch"] = [epoch for epoch, _ in here]
    return {
        "record": name,
        "run": run["run"],
        "setting": setting,
        "group": name,
        "tells": {
            "loss": loss_name(setting["loss"]),
            "width": f"{setting['width']:g}",
            "seed": str(setting["seed"]),
            "net": setting.get("net", "wide_resnet"),
            "data": setting["data"],
        },
        "splits": splits,
        "rows": run.get("rows", []),
        "predicted": _predicted(run),
        "residual": _residual(run),
        "shapes": _shapes(run),
    }


def _shapes(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Class means, rows of W and spreads by epoch; none for runs of earlier versions.

    Raises:
        ValueError: if a number is missing, or epochs have not the same classes in the same space.
    """
    found: list[dict[str, Any]] = run.get("geometry_over_epochs", [])
    for shape in found:
        rows = np.array([shape["class_means"], shape["W"]], dtype=float)
        rest = np.array([*shape["spread"], shape["seen"], shape["epoch"]], dtype=float)
        is_like = rows.shape == (2, len(shape["spread"]), *np.shape(found[0]["W"])[1:])
        is_like = is_like and len(shape["spread"]) == len(found[0]["W"]) and 1 <= rows.shape[2] <= 3
        if not (is_like and np.isfinite(rows).all() and np.isfinite(rest).all()):
            raise ValueError(f"the geometry of {run['run']} at epoch {shape['epoch']} is not whole")
    return found


def _residual(run: dict[str, Any]) -> dict[str, list[float]] | None:
    """How far the last layer is from stationary, along the run or at its end; nothing where it was not compared."""
    if "stationarity" not in run:
        return None
    known = run.get("trajectory") or [{"epoch": run["epoch"], "stationarity": run["stationarity"]}]
    return {"epoch": [entry["epoch"] for entry in known], "value": [entry["stationarity"] for entry in known]}


def _predicted(run: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Epochs and predictions per measure: along the run if it was compared there, else that of its end throughout."""
    at_end = {row["name"]: row["predicted"] for row in run.get("rows", []) if row["predicted"] is not None}
    epochs = [run["collapse"][0]["epoch"], run["epoch"]] if at_end else []
    found = {key: (epochs, [at_end[row]] * 2) for key, row in PREDICTED.items() if row in at_end}
    known = [entry for entry in run.get("trajectory", []) if entry["rows"]]
    for key in found if known else ():
        here = [(entry["epoch"], entry["rows"][PREDICTED[key]]["predicted"]) for entry in known]
        found[key] = [epoch for epoch, _ in here], [value for _, value in here]
    return {key: {"epoch": epoch, "value": value} for key, (epoch, value) in found.items()}
