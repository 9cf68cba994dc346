"""A grid of training runs through the engine of the scans: each run is a unit of work with a folder of its own.

A run that is interrupted goes on at its last epoch, one that is done is only read; so a grid can be asked for again at
any time, and whatever engine did a part of it.
"""

import json
import shlex
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from deepnet.data.load import loaded
from deepnet.grid.setting import GridSetting, Run
from deepnet.nets.heads import made_head
from deepnet.nets.nets import check_net
from deepnet.settings import TrainSetting
from deepnet.training import checkpoint, own_code
from deepnet.training.run import finish, opened
from deepnet.training.train import train
from deepnet.training.training import selection_of
from ufm.cli.common_setting import stored_setting
from ufm.cli.records import atomic_file, read_record
from ufm.cli.resume import check_kept
from ufm.device import torch_device
from ufm.engine.map_units import map_units
from ufm.errors import RequestError, check
from ufm.files import read_json, read_lines
from ufm.model.own_loss import loss_of

GRID, RECORD = "grid.json", "record.json"
Row = dict[str, Any]
_OF_THE_CALL = ("out", "json", "resume", "workers", "engine", "download", "explain")
_MAY_MOVE = ("device", "data_folder")


@dataclass(frozen=True)
class Work:
    """A unit of work: a run and its folder."""

    run: Run
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether the run has reached its last epoch and written its record."""
        return (self.folder / RECORD).exists()

    @property
    def epochs_done(self) -> int:
        """Epochs so far; of a run that is done all, though its terminal phase may have stopped sooner."""
        if self.is_done:
            return self.run.setting.lines
        path = self.folder / checkpoint.METRICS
        return sum(1 for _ in islice(read_lines(path), self.run.setting.lines)) if path.exists() else 0


def write_grid(folder: Path, setting: GridSetting) -> None:
    """Write the setting of the grid into its folder."""
    plain = {name: value for name, value in setting.as_dict().items() if name not in _OF_THE_CALL}
    plain |= {"data_folder": str(setting.data_folder)}
    with atomic_file(folder / GRID) as file:
        json.dump(plain | {"chosen": sorted(setting.given - set(_OF_THE_CALL))}, file, indent=1)


def resumed_grid(setting: GridSetting) -> GridSetting:
    """The grid of the folder `setting.resume`; new values on its axes may be given, nothing else that defines a run.

    Raises:
        ValueError: if the folder is not a grid's, or is a grid of something else than what this call asks for.
    """
    folder = setting.resume
    assert folder is not None
    check(setting.out is None, "--out", setting.out, "left out with --resume (the grid goes on in its folder)")
    try:
        stored = dict(read_json(folder / GRID))
        chosen = frozenset(stored.pop("chosen"))
        stored["data_folder"] = Path(stored["data_folder"])
        moved = {name: getattr(setting, name) for name in (*_OF_THE_CALL, *(setting.given & set(_MAY_MOVE)))}
        earlier = stored_setting(GridSetting, stored | moved | {"given": chosen})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RequestError(f"`--resume` must be the folder of a grid, got {folder} ({error}).") from None
    for name in sorted(setting.given & stored.keys() - {"grid", *_MAY_MOVE}):
        asked = getattr(setting, name)
        check_kept(asked == stored[name], name, asked, stored[name], f"in {folder}")
    _check_given_again(earlier, setting)
    others = sorted(setting.grid.keys() - earlier.all_axes.keys())
    check(not others, "--grid", ", ".join(others), f"over the axes of {folder}: {', '.join(earlier.all_axes)}")
    return replace(earlier, grid={**earlier.grid, **setting.grid})


def code_again(setting: GridSetting) -> str:
    """The options that must be given beside `--resume`, as they (or axes) name code of the user."""
    axes = {name: text for name, text in setting.all_axes.items() if _calls_code(setting, name)}
    plain = own_code.options_again(checkpoint.plain_setting(setting), set(own_code.OPTIONS) - axes.keys())
    return plain + "".join(f" --grid.{name} {shlex.quote(text)}" for name, text in axes.items())


def _calls_code(setting: GridSetting, axis: str) -> bool:
    """Whether a value on an axis is code of the user."""
    if axis not in own_code.OPTIONS:
        return False
    base = checkpoint.plain_setting(setting)
    return any(own_code.options_again(base | {axis: value}, [axis]) for value in setting.axes[axis])


def _check_given_again(earlier: GridSetting, asked: GridSetting) -> None:
    """Refuse a grid to be resumed that calls code of the user which the command line has not named."""
    words = code_again(earlier)
    missing = [
        option
        for option in own_code.OPTIONS
        if (f" --grid.{option} " in words and option not in asked.grid)
        or (f" --{option} " in words and option not in asked.given)
    ]
    allowed = f"given with --resume, too, as{words}: {own_code.WHY}"
    check(not missing, f"--{missing[0]}" if missing else "", "nothing", allowed)


def possible_runs(setting: GridSetting) -> list[Run]:
    """The runs of the grid in its order, refused here if one of them cannot be.

    Raises:
        ValueError: if a loss, a network, its head or the data are not available.
    """
    runs = setting.runs()
    for run in runs:
        loss_of(run.setting.loss)
        check_net(run.setting.net)
    if setting.engine.name == "local":
        torch_device(setting.device)
    data: dict[Any, TrainSetting] = {}
    for run in runs:
        data.setdefault((run.setting.data, replace(selection_of(run.setting), seed=0)), run.setting)
    for one in data.values():
        classes = loaded(one.data, one.data_folder, selection_of(one), one.download).classes
        made_head(one.head, 1, classes, torch.Generator())
    return runs


def train_all(
    todo: list[Work], setting: GridSetting, folder: Path, workers: int, on_end: Callable[[Work, str | None], None]
) -> dict[str, str]:
    """Train the runs that are left, the longest first; return why runs failed, by name."""
    longest_first = sorted(todo, key=lambda work: work.epochs_done - work.run.setting.lines)
    failures = {}
    with closing(map_units(train_run, longest_first, workers, setting.engine, folder)) as outcomes:
        for outcome in outcomes:
            failure = outcome.error or outcome.result
            if failure:
                failures[outcome.unit.run.name] = failure
            on_end(outcome.unit, failure)
    return failures


def train_run(work: Work) -> str:
    """Train a run to its last epoch from where it is; return why its loss stopped being finite, or an empty text."""
    folder, asked = work.folder, work.run.setting
    if work.is_done:
        return ""
    has_state = checkpoint.has_state(folder)
    if not has_state and folder.exists():
        shutil.rmtree(folder)  # killed before it had anything to lose
    given = frozenset(checkpoint.plain_setting(asked))
    setting = replace(asked, resume=folder, given=given) if has_state else replace(asked, out=folder)
    with opened(setting) as (training, _):
        failure = train(training, folder, lambda _: None, lambda _: None)
        if failure is None:
            finish(training, folder, None)
    return failure or ""


def row(work: Work, failure: str | None) -> Row:
    """The row of a run in the table; without measures if it failed or has not ended."""
    setting: TrainSetting = work.run.setting
    parameters = {f"loss_{key}": value for key, value in setting.loss.items() if key != "name"}
    named = {name: getattr(setting, name) for name in ("data", "net", "width", "epochs", "seed", "lr", "decay")}
    known = {"run": work.run.name, "loss": setting.loss["name"], **parameters, **named, "failure": failure}
    return known | (_measured(read_record(work.folder / RECORD)["result"]) if work.is_done else {})


def _measured(result: dict[str, Any]) -> Row:
    """Every measure of every split at the last epoch, and accuracies at the epoch of best validation."""
    last = {f"{split}_{name}": value for split, values in result["splits"].items() for name, value in values.items()}
    best = result["best"] or {}
    chosen = {f"best_{name}_accuracy": best[name]["accuracy"] for name in ("validation", "test") if name in best}
    return last | {"best_epoch": best.get("epoch"), **chosen, "minutes": result["minutes"]}
