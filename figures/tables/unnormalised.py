"""Trained nets that do not normalise their features: the balance that every stationary point has, and how they end."""

import json
from typing import Any

from figures.tables.markdown import escaped, markdown


def table(record: dict[str, Any]) -> str:
    """Means over the seeds for each net and loss."""
    result = record["result"]
    rows = [
        ["mean of the seeds", escaped("|W|^2 / |what writes the features|^2"), "dimensions", "NC1 trace", "residual"]
    ]
    for network in result["networks"]:
        net = json.loads(network["network"])["net"]
        for condition in network["conditions"]:
            dimensions = next(row for row in condition["rows"] if row["name"] == "dimensions of class means")
            balance, residual = condition["classifier_over_writers"], condition["stationarity"]["running"]
            rows.append([
                f"{net}: {condition['condition']} ({len(condition['seeds'])})",
                f"{balance['mean']:.5f}",
                f"{dimensions['measured']['mean']:.2f}",
                f"{condition['nc1_trace']['mean']:.2g}",
                f"{residual['mean']:.4f}",
            ])  # fmt: skip
    return f"{markdown(rows)}\n\n`{record['command']}`, {record['machine']}; in brackets how many runs (seeds)."
