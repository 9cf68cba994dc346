"""The output of `train` and `measure`."""

from typing import Any

from deepnet.settings import TrainSetting
from ufm.cli.table import console, table


def print_measures(title: str, splits: dict[str, dict[str, float]]) -> None:
    """Print a table of measures, with one column per split and one row per measure."""
    found = table(title, "", *splits, left=[""], named=[""], section="measures")
    for name in splits["train"]:
        found.add_row(name, *(_number(measures[name]) for measures in splits.values()))
    console().print(found)


def print_measured(title: str, splits: dict[str, dict[str, float]], calibration: dict[str, Any]) -> None:
    """Print the result of `measure`."""
    print_measures(title, splits)
    if calibration:
        print_calibration(calibration)
    else:
        print("calibration is not measured of images with several labels")


def print_best(best: dict[str, Any] | None) -> None:
    """Print the epoch of the best validation accuracy, and its test accuracy."""
    if best is not None:
        validation, test = (f"{best[name]['accuracy']:.2%}" for name in ("validation", "test"))
        print(f"best on validation: epoch {best['epoch']}, accuracy {validation}; test accuracy there {test}")


def print_end(epoch: int, setting: TrainSetting, residual: float) -> None:
    """Print why a run ended before its last terminal block, if it did."""
    if epoch < setting.lines:
        block, wanted = epoch - setting.epochs, f"--terminal-residual {setting.terminal_residual:g}"
        print(f"ended after terminal block {block} of {setting.terminal}: residual {residual:.2g} < {wanted}")


def print_calibration(found: dict[str, Any]) -> None:
    """Print the calibration errors on test images, also at the temperature fitted on validation images."""
    trained = found["as_trained"]
    text = f"test images: NLL {trained['nll']:.4g}, ECE {trained['ece']:.3g} in {found['bins']} bins"
    if "temperature" in found:
        scaled = found["scaled"]
        text += f"; at temperature {found['temperature']:.3g} (fitted on validation) NLL {scaled['nll']:.4g}, "
        text += f"ECE {scaled['ece']:.3g}"
    print(text)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
