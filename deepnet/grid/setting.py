"""The setting of `deepnet grid`: the options of a run, and axes over some of them; without torch."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from deepnet.settings import TrainSetting
from ufm.cli.grid import axis
from ufm.cli.typed import kinds_of
from ufm.cli.yaml_core import number
from ufm.engine.setting import EngineSetting
from ufm.errors import RequestError, check
from ufm.specs import LossSpec

LOSSES = "ce,ls:alpha=0.05,focal:gamma=3,mse:rescale=15:convention=mean"
PAPER = {"loss": LOSSES, "width": "0.25,0.5,1,2", "epochs": "100,200,400,800", "seed": "0,1,2"}
SMALL = {"loss": LOSSES, "width": "0.0625,0.5", "epochs": "20,60", "seed": "0"}
PRESETS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "paper-cifar10": ({"data": "cifar10", "augment": True}, PAPER),
    "paper-cifar100": ({"data": "cifar100", "augment": True}, PAPER),
    "small": ({"data": "digits", "net": "mlp", "lr": 0.05}, SMALL),
}
"""Options that differ from those of `deepnet train`, and the axes."""
MOST_RUNS = 10_000
LONGEST_NAME = 255
"""The most bytes of a folder's name."""
_NO_AXES = ("given", "out", "json", "explain", "resume", "device", "data_folder", "download", "head")


@dataclass(frozen=True, kw_only=True)
class GridSetting(TrainSetting):
    """Train a grid of networks and draw their test accuracies, the differences between losses and the spread.

    Every run has a folder of its own, as `deepnet train` leaves it; `--resume` goes on with each at its last epoch.
    The presets paper-cifar10 and paper-cifar100 are the 192 runs of Zhou et al. 2022 (all losses are created equal):
    four losses, widths, lengths and three seeds; small is 16 runs on digits that need no download.

    Examples:
        python -m deepnet grid --preset small
        python -m deepnet grid --preset paper-cifar10 --data-folder data --engine slurm --engine.gpus 1 --device cuda
        python -m deepnet grid --data digits --net mlp --grid.loss ce,ls --grid.seed 0:4:5 --out results/seeds
        python -m deepnet grid --resume results/seeds

    Writes: a folder per run, grid.json, runs.parquet, record.json and accuracy_heat_map.png into --out.
    """

    preset: Literal["paper-cifar10", "paper-cifar100", "small"] | None = None
    """Axes and options to begin with; --grid and the options given beside it override them."""
    grid: dict[str, str] = field(default_factory=dict)
    """An axis per option of `deepnet train`: --grid.width 0.25,1, --grid.seed 0:2:3 (from:to:count), --grid.loss
    ce,focal:gamma=2,mse:rescale=15:convention=mean."""
    workers: int | None = None
    """Local engine: processes; default: one per CPU core, none (train in this process) on an accelerator."""
    engine: EngineSetting = field(default_factory=EngineSetting)
    """Where the runs are done."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.workers is None or self.workers >= 0, "--workers", self.workers, ">= 0")
        asks = bool(self.grid) or self.preset is not None or self.resume is not None
        check(asks, "--grid", "none", "given, or a --preset, e.g. --grid.loss ce,ls --grid.seed 0:2:3")
        count = math.prod(map(len, self.axes.values()))
        check(count <= MOST_RUNS, "--grid", f"{count} runs", f"of at most {MOST_RUNS} runs")

    @property
    def axes(self) -> dict[str, Sequence[Any]]:
        """The values of every axis, those of the preset first."""
        return {name: _values(name, text) for name, text in self.all_axes.items()}

    @property
    def all_axes(self) -> dict[str, str]:
        """The axes as they were asked for, the preset's included."""
        return {**(PRESETS[self.preset][1] if self.preset else {}), **self.grid}

    def runs(self) -> list["Run"]:
        """Every run of the grid, the last axis running fastest.

        Raises:
            ValueError: if a run refuses a value, or two would have one name.
        """
        preset = PRESETS[self.preset][0] if self.preset else {}
        kept = {each.name: getattr(self, each.name) for each in dataclasses.fields(TrainSetting)}
        base = kept | {name: value for name, value in preset.items() if name not in self.given}
        base |= {"out": None, "json": None, "resume": None, "explain": False, "given": frozenset()}
        axes = self.axes
        points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        runs = [Run(_name(point), TrainSetting(**base | point)) for point in points]
        names = [run.name for run in runs]
        check(len(set(names)) == len(names), "--grid", self.all_axes, "made of different values")
        longest = max(names, key=lambda name: len(name.encode()))
        allowed = f"such that the name of a run's folder has at most {LONGEST_NAME} bytes"
        check(len(longest.encode()) <= LONGEST_NAME, "--grid", longest, allowed)
        return runs


@dataclass(frozen=True)
class Run:
    """One run of a grid: the name of its folder and its setting."""

    name: str
    setting: TrainSetting


def _values(name: str, text: str) -> list[Any]:
    """The values of an axis in the type of its option."""
    options = {each.name: each for each in dataclasses.fields(TrainSetting) if each.name not in _NO_AXES}
    check(name in options, f"--grid.{name}", text, f"left out: the fields are {', '.join(options)}")
    if name == "loss":
        return [_loss(value) for value in text.split(",")]
    kind, default = kinds_of(TrainSetting)[name], options[name].default
    if get_origin(kind) is Literal:
        words = text.split(",")
        check(set(words) <= set(get_args(kind)), f"--grid.{name}", text, f"among {', '.join(get_args(kind))}")
        return words
    if isinstance(default, str):
        return text.split(",")
    if isinstance(default, bool):
        words = text.split(",")
        check(set(words) <= {"true", "false"}, f"--grid.{name}", text, "true, false or both")
        return [word == "true" for word in words]
    values = axis(name, text)
    if not isinstance(default, float) and name != "clip":
        check(all(value == int(value) for value in values), f"--grid.{name}", text, "made of integers")
        return [int(value) for value in values]
    return list(values)


def _loss(text: str) -> LossSpec:
    """`mse:rescale=15:convention=mean` as a loss."""
    name, *parameters = text.split(":")
    pairs = [parameter.partition("=") for parameter in parameters]
    if not all(key and value for key, _, value in pairs):
        raise RequestError(f"`--grid.loss` must be losses as ce or focal:gamma=2, with commas between, got {text}.")
    keys = ["name", *(key for key, _, _ in pairs)]
    check(len({*keys}) == len(keys), "--grid.loss", text, "made of losses that have each parameter once")
    return {"name": name, **{key: _number(value) for key, _, value in pairs}}


def _number(text: str) -> float | str:
    """The number where it is one, as in --loss.gamma; else the text, which the loss refuses by its parameter's name."""
    value = number(text)
    return text if value is None else value


def _name(point: dict[str, Any]) -> str:
    """`focal-gamma3_width0.25_seed0`."""
    parts = []
    for field_name, value in point.items():
        if isinstance(value, dict):
            words = [f"{key}{entry:g}" if isinstance(entry, float) else str(entry) for key, entry in value.items()]
            parts.append("-".join([str(value["name"]), *words[1:]]))
        else:
            parts.append(f"{field_name}{value:g}" if isinstance(value, float) else f"{field_name}{value}")
    return "_".join(parts).replace("/", "-")
