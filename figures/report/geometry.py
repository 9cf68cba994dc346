"""The geometry view: class means and rows of W of trained networks, and of the lowest point of an atlas."""

from typing import Any

import numpy as np

from figures.report import atlas
from figures.style import loss_name

KIND = ("deepnet compare", "ufm atlas")
COMMAND = "python -m deepnet compare --runs '[runs/digits-ce, runs/digits-mse]' --json figures/data/compare_digits.json"
MOST_CLASSES = 10


def view(name: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry an atlas or kind of network, of several seeds the first, of at most ten classes."""
    if "runs" in record["result"]:
        drawable = [run for run in record["result"]["runs"] if _is_drawable(run)]
        return [_network(name, run) for run in {_what(run): run for run in reversed(drawable)}.values()][::-1]
    setting = record["setting"]
    if setting["classes"] > MOST_CLASSES:
        return []
    found = atlas.geometry(record["result"]["rows"][0], setting["classes"], setting["per_class"])
    title = f"model's minimiser: {loss_name(setting['loss'])}, K = {setting['classes']}"
    return [{"record": name, "title": title, **found}]


def _is_drawable(run: dict[str, Any]) -> bool:
    """Records of earlier versions have no geometry."""
    return run["K"] <= MOST_CLASSES and "geometry" in run


def _what(run: dict[str, Any]) -> tuple[str, ...]:
    """All but the seed."""
    setting = run["run_setting"]
    return run["condition"], setting.get("net", "wide_resnet"), setting["data"]


def _network(name: str, run: dict[str, Any]) -> dict[str, Any]:
    setting, found = run["run_setting"], run["geometry"]
    if not np.isfinite(np.array([found["class_means"], found["W"]], dtype=float)).all():
        raise ValueError(f"the geometry of {run['run']} is not finite")
    net = f"{setting.get('net', 'wide_resnet')}, seed {setting['seed']}"
    title = f"network: {loss_name(setting['loss'])}, {setting['data']}, {net}, epoch {run['epoch']}"
    return {"record": name, "title": title, "means": found["class_means"], "W": found["W"]}
