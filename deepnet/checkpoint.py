"""A run folder's memory: what it was asked (`setting.json`), one line an epoch (`metrics.jsonl`), the last good state.

A run that is killed loses at most one epoch: a line is written before the checkpoint of its epoch, and resuming cuts
lines off that the checkpoint does not know.
"""

import json
import math
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from deepnet.settings import TrainSetting
from ufm.command_line import RequestError
from ufm.records import atomic_file

SETTING, METRICS, CHECKPOINT = "setting.json", "metrics.jsonl", "checkpoint.pt"
_OF_THE_PROCESS = ("out", "json", "resume")
_MAY_MOVE = ("device", "data_folder")


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint atomically. `state` holds tensors, numbers, strings, lists and dicts only."""
    with atomic_file(folder / CHECKPOINT, "wb") as file:
        torch.save(state, file)


def load(folder: Path) -> dict[str, Any]:
    """Read the checkpoint into the CPU's memory; nothing in it can run code.

    Raises:
        ValueError: if the file is missing or damaged, or belongs to another setting than the folder's.
    """
    path = folder / CHECKPOINT
    try:
        _check_sums(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        setting = state["setting"]
    except pickle.UnpicklingError:  # torch's own words advise to let it run
        raise RequestError(f"{path} must hold tensors and plain values, got code or other objects.") from None
    except Exception as error:  # torch raises a dozen types for a damaged file; each means the same to the user.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RequestError(f"{path} must be a checkpoint of `deepnet train` that can be read ({reason}).") from None
    asked = read_setting(folder)
    for name, value in asked.items():
        if setting.get(name) != value:
            raise RequestError(
                f"{path} must be of the setting in {SETTING}: {name} is {value} there, {setting.get(name)} here."
            )
    return dict(state)


def _check_sums(path: Path) -> None:
    """Compare the file's content with its checksums, which `torch.load` does not look at."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise RequestError(f"its part {damaged} is damaged")


def plain_setting(setting: TrainSetting) -> dict[str, Any]:
    """What defines a run, as plain values: all of the setting but where the process puts its results."""
    values = {name: value for name, value in setting.as_dict().items() if name not in _OF_THE_PROCESS}
    return values | {"data_folder": str(setting.data_folder)}


def write_setting(folder: Path, setting: TrainSetting) -> None:
    """Write `setting.json`."""
    with atomic_file(folder / SETTING) as file:
        json.dump(plain_setting(setting), file, indent=1)


def read_setting(folder: Path) -> dict[str, Any]:
    """Read `setting.json`.

    Raises:
        ValueError: if the folder is not a run's.
    """
    try:
        setting = dict(json.loads((folder / SETTING).read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RequestError(
            f"{folder} must be the folder of a run, but its {SETTING} cannot be read ({error})."
        ) from None
    differing = sorted(setting.keys() ^ plain_setting(TrainSetting()).keys())
    if differing:
        raise RequestError(
            f"{folder / SETTING} must have the fields of this version; differing: {', '.join(differing)}."
        )
    try:
        TrainSetting(**setting | {"data_folder": Path(setting["data_folder"])})
        has_right_types = isinstance(setting["loss"], dict) and isinstance(setting["data"], str)
    except (TypeError, ValueError):
        has_right_types = False
    if not has_right_types:
        raise RequestError(f"{folder / SETTING} must hold a setting of `deepnet train`, got {setting}.")
    return setting


def resumed_setting(setting: TrainSetting) -> TrainSetting:
    """The setting of the run in `setting.resume`, with this call's device, record path and (if given) data folder.

    Raises:
        ValueError: if another field was given and differs; a run has one setting from its first epoch to its last.
    """
    assert setting.resume is not None
    if setting.out is not None:
        raise RequestError(
            f"`--out` must be left out with --resume (the run goes on in its folder), got {setting.out}."
        )
    stored = read_setting(setting.resume)
    given, default = plain_setting(setting), plain_setting(TrainSetting())
    for name, value in given.items():
        if value != default[name] and value != stored[name]:
            if name not in _MAY_MOVE:
                raise RequestError(
                    f"`--{name.replace('_', '-')}` must be {stored[name]}, as the run has it, got {value}."
                )
            stored[name] = value
    stored |= {"data_folder": Path(stored["data_folder"]), "device": setting.device}
    return TrainSetting(**stored, json=setting.json, resume=setting.resume)


def append_metrics(folder: Path, line: dict[str, Any]) -> None:
    """Add one epoch to `metrics.jsonl` (nan and infinities become null)."""
    with (folder / METRICS).open("a") as file:
        file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All epochs so far.

    Raises:
        ValueError: if a line is damaged.
    """
    return _parsed(folder / METRICS, _lines(folder / METRICS))


def cut_metrics(folder: Path, epochs: int) -> None:
    """Keep the first `epochs` lines of `metrics.jsonl`; what follows, possibly half a line, is of a lost epoch.

    Raises:
        ValueError: if there are fewer lines, or one of them is damaged.
    """
    path = folder / METRICS
    lines = _lines(path)[:epochs]
    if len(_parsed(path, lines)) < epochs:
        raise RequestError(f"{path} must hold the checkpoint's {epochs} epochs, got {len(lines)} lines.")
    with atomic_file(path) as file:
        file.writelines(f"{line}\n" for line in lines)


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def _parsed(path: Path, lines: list[str]) -> list[dict[str, Any]]:
    try:
        return [dict(json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise RequestError(f"{path} must hold one JSON object a line ({error}).") from None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
