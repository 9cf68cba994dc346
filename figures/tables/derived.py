"""Trained nets against what is derived for them, with nothing fitted: one row a loss, means over seeds."""

import json
from typing import Any

from figures.tables.markdown import escaped, markdown

QUANTITIES = ("margin", "p_y", "|w|", "|h|", "training loss")


def table(record: dict[str, Any]) -> str:
    """The largest deviation over the seeds of every quantity, the objective over its bound, collapse, residual.

    Of dimensions, what was searched for stands in brackets where it is not K - 1 by derivation.
    """
    result = record["result"]
    head = ["worst of the seeds", *map(escaped, QUANTITIES), "objective / bound", "NC1 trace", "dimensions", "residual"]
    rows = [head]
    for network in result["networks"]:
        net = json.loads(network["network"])["net"]
        own = [run for run in result["runs"] if run["run_setting"]["net"] == net]
        for condition in network["conditions"]:
            runs = [run for run in own if run["condition"] == condition["condition"]]
            name = condition["condition"] if len(own) == len(result["runs"]) else f"{net}: {condition['condition']}"
            rows.append([f"{name} ({len(runs)})", *_cells(runs)])
    return f"{markdown(rows)}\n\n`{record['command']}`, {record['machine']}; in brackets how many runs (seeds)."


def _cells(runs: list[dict[str, Any]]) -> list[str]:
    by_run = [{row["name"]: row["deviation"] for row in run["derived"]["rows"]} for run in runs]
    deviations = [max((each[name] for each in by_run if name in each), key=abs, default=None) for name in QUANTITIES]
    over = [run["derived"]["objective_over_bound"] for run in runs]
    return [
        *("-" if value is None else f"{100 * value:+.2f} %" for value in deviations),
        "no bound" if None in over else f"{max(over):.5f}",
        f"{max(run['measures']['nc1_trace'] for run in runs):.1e}",
        f"{min(run['measures']['dimensions'] for run in runs):.4f}{_least_dimensions(runs[0])}",
        f"{max(run['stationarity'] for run in runs):.4f}",
    ]


def _least_dimensions(run: dict[str, Any]) -> str:
    found = [row["derived"] for row in run["derived"]["rows"] if row["name"] == "dimensions"]
    return f" ({found[0]:.2f})" if found else ""
