"""What the commands print, and the summary of a run that their records carry."""

import platform
import statistics
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from deepnet.training import checkpoint
from deepnet.training.training import Training


def summary(training: Training, run: Path) -> dict[str, Any]:
    """What a reader of a result wants to know of its run."""
    metrics = checkpoint.read_metrics(run)
    return {
        "run": str(run),
        "run_setting": checkpoint.plain_setting(training.setting),
        "epoch": training.epoch,
        "images": {name: len(split.labels) for name, split in training.data.splits.items()},
        "parameters": sum(parameter.numel() for parameter in training.net.parameters()),
        "device": _device_name(training.data.mean.device),
        "minutes": sum(line["seconds"] for line in metrics) / 60,
        "images_per_s": statistics.median(line["images_per_s"] for line in metrics) if metrics else None,
        "collapse": [{"epoch": line["epoch"], **line["train"]} for line in metrics if "train" in line],
    }


def print_measures(title: str, splits: dict[str, dict[str, float]]) -> None:
    """One column a split, one row a measure."""
    table = Table("", *splits, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in splits["train"]:
        table.add_row(name, *(_number(measures[name]) for measures in splits.values()))
    Console().print(table)


def print_measured(title: str, splits: dict[str, dict[str, float]], calibration: dict[str, Any]) -> None:
    """What `measure` found."""
    print_measures(title, splits)
    print_calibration(calibration)


def print_best(best: dict[str, Any] | None) -> None:
    """The epoch that validation would choose, and what it is worth on the test images."""
    if best is not None:
        validation, test = (f"{best[name]['accuracy']:.2%}" for name in ("validation", "test"))
        print(f"best on validation: epoch {best['epoch']}, accuracy {validation}; test accuracy there {test}")


def print_calibration(found: dict[str, Any]) -> None:
    """Errors of the test images, and what one temperature, fitted on the validation images, makes of them."""
    trained = found["as_trained"]
    text = f"test images: NLL {trained['nll']:.4g}, ECE {trained['ece']:.3g} in {found['bins']} bins"
    if "temperature" in found:
        scaled = found["scaled"]
        text += f"; at temperature {found['temperature']:.3g} (fitted on validation) NLL {scaled['nll']:.4g}, "
        text += f"ECE {scaled['ece']:.3g}"
    print(text)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
