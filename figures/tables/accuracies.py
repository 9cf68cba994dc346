"""A grid of trainings that differ in loss and seed: test accuracies with their intervals, and calibration."""

from collections import defaultdict
from statistics import mean
from typing import Any

from figures.tables.markdown import markdown

IMAGES = 10_000
"""Of CIFAR-10's test set, whole."""
QUANTILE = 1.96
"""Of the normal law: 95 % of it lie between minus and plus this."""


def table(record: dict[str, Any]) -> str:
    """Means over the seeds; the interval is that of one run's test set, differences to the first loss are by seed."""
    runs: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in record["result"]["rows"]:
        runs[row["loss"]][row["seed"]] = row
    first = next(iter(runs.values()))
    cells = [["loss (seeds)", "test accuracy", "95 % of a run", "less the first", "training", "NLL", "ECE", "NC1"]]
    for loss, own in runs.items():
        accuracy = mean(row["test_accuracy"] for row in own.values())
        less = [100 * (row["test_accuracy"] - first[seed]["test_accuracy"]) for seed, row in own.items()]
        cells.append([
            f"{loss} ({len(own)})",
            f"{100 * accuracy:.2f} %",
            f"+- {100 * QUANTILE * (accuracy * (1 - accuracy) / IMAGES) ** 0.5:.2f}",
            "-" if own is first else ", ".join(f"{each:+.2f}" for each in less),
            f"{100 * mean(row['train_accuracy'] for row in own.values()):.2f} %",
            f"{mean(row['test_nll'] for row in own.values()):.3f}",
            f"{mean(row['test_ece'] for row in own.values()):.3f}",
            f"{mean(row['train_nc1_trace'] for row in own.values()):.2f}",
        ])  # fmt: skip
    return f"{markdown(cells)}\n\nPercentage points; NLL and ECE on test images, before any temperature."
