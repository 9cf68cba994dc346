"""The files of a run: its setting (`setting.json`), one line per epoch (`metrics.jsonl`), and the last states.

A run that is killed loses at most one epoch. The order of writing makes every moment safe: an epoch's line first, then
its checkpoint, of which the one before is kept too (`previous.pt`), then, if its validation accuracy is the best so
far, its network (`best.pt`). Resuming cuts lines off that the checkpoint does not know.
"""

import io
import itertools
import json
import math
import os
import pickle
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from deepnet.settings import TrainSetting
from deepnet.training import own_code
from ufm.cli.common_setting import stored_setting
from ufm.cli.records import atomic_file, named_in_errors
from ufm.cli.resume import check_kept
from ufm.errors import RequestError, check, reason_of
from ufm.files import load_tensors, opened, parse_json, read_json, read_lines

SOURCES = "sources"
"""Where the setting's file has the hashes of code of the user."""
SETTING, METRICS = "setting.json", "metrics.jsonl"
CHECKPOINT, PREVIOUS, BEST = "checkpoint.pt", "previous.pt", "best.pt"
LARGEST = 2**36
"""The most bytes of a checkpoint."""
IN_EVERY_LINE = ("epoch", "lr", "loss", "accuracy", "images_per_s", "seconds")
"""The numbers in every line of metrics; measures of the splits are in some lines only."""
_OF_THE_PROCESS = ("out", "json", "resume", "download", "log")
_MAY_MOVE = ("device", "data_folder")
_MAY_GROW = ("epochs", "terminal")


def has_state(folder: Path) -> bool:
    """Whether the folder holds a state of a run; after a kill that may be `previous.pt` only."""
    return any((folder / name).exists() for name in (CHECKPOINT, PREVIOUS))


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint and keep the last one as `previous.pt`; one of them survives an error or a kill.

    `state` holds tensors, numbers, strings, lists and dicts only.
    """
    new, last = folder / f".{CHECKPOINT}.part", folder / CHECKPOINT
    _write(new, state)
    if last.exists():
        os.replace(last, folder / PREVIOUS)
    os.replace(new, last)


def save_best(folder: Path, state: dict[str, Any]) -> None:
    """Replace `best.pt` by the network in `state`."""
    _write(folder / BEST, {name: state[name] for name in ("setting", "epoch", "net")})


def load(folder: Path) -> dict[str, Any]:
    """Read the checkpoint into the CPU's memory; if it is damaged, the one before, with a warning.

    Nothing in the file can run code.

    Raises:
        ValueError: if both are missing or damaged, or one belongs to another setting than the folder's.
    """
    if not has_state(folder):
        raise RequestError(
            f"{folder / CHECKPOINT} must be a checkpoint of `deepnet train` that can be read, but there is none (a run "
            f"that was stopped before its first one begins anew with `--out {folder}`)."
        )
    try:
        state = _read(folder / CHECKPOINT)
    except RequestError as error:
        if not (folder / PREVIOUS).exists():
            raise
        state = _read(folder / PREVIOUS)
        print(f"{error} Taken instead: {folder / PREVIOUS}, epoch {state.get('epoch')}.", file=sys.stderr)
    return _of_the_folder(folder, state)


def load_best(folder: Path) -> dict[str, Any]:
    """Read `best.pt`.

    Raises:
        ValueError: if it is missing or damaged, or belongs to another setting than the folder's.
    """
    return _of_the_folder(folder, _read(folder / BEST))


def _write(path: Path, state: dict[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(state, content)
    with atomic_file(path, "wb") as file:
        file.write(content.getbuffer())


def _read(path: Path) -> dict[str, Any]:
    try:
        with opened(path, LARGEST) as file:
            return dict(load_tensors(file))
    except pickle.UnpicklingError:  # torch's own words advise to let it run
        raise RequestError(f"{path} must hold tensors and plain values, got code or other objects.") from None
    except Exception as error:  # torch raises a dozen types for a damaged file; each means the same to the user.
        reason = reason_of(error)
        raise RequestError(f"{path} must be a checkpoint of `deepnet train` that can be read ({reason}).") from None


def _of_the_folder(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    setting = state.get("setting")
    if not isinstance(setting, dict):
        raise RequestError(f"the checkpoint in {folder} must be of the setting in {SETTING}, got none.")
    epoch = state.get("epoch")
    is_one = type(epoch) is int and epoch >= 0
    check(is_one, f"the checkpoint in {folder}", f"epoch = {epoch!r}", "a state after a number of epochs")
    for name, value in read_setting(folder).items():
        may_differ = name in (*_MAY_MOVE, *_MAY_GROW)  # given anew when it was resumed
        if not may_differ and setting.get(name) != value:
            raise RequestError(
                f"the checkpoint in {folder} must be of the setting in {SETTING}: {name} is {value} there, "
                f"{setting.get(name)} here."
            )
    return state


def plain_setting(setting: TrainSetting) -> dict[str, Any]:
    """The fields of the setting that define a run, as plain values: all but those that say where results go."""
    values = {name: value for name, value in setting.as_dict().items() if name not in _OF_THE_PROCESS}
    return values | {"data_folder": str(setting.data_folder)}


def write_setting(folder: Path, setting: TrainSetting, sources: dict[str, str] | None = None) -> None:
    """Write `setting.json`, with hashes of the user's sources at the start of the run; None: of the present ones."""
    plain = plain_setting(setting)
    kept = own_code.sources(plain) if sources is None else sources
    with atomic_file(folder / SETTING) as file:
        json.dump(plain | {SOURCES: kept}, file, indent=1)


def read_sources(folder: Path) -> dict[str, str]:
    """The hashes in `setting.json` of code of the user, by import path.

    Raises:
        ValueError: as `read_setting`.
    """
    named = own_code.code_of(read_setting(folder)).values()
    hashes = read_json(folder / SETTING).get(SOURCES, {})
    return {path: found for path, found in hashes.items() if path in named}


def read_setting(folder: Path) -> dict[str, Any]:
    """Read `setting.json`, without the hashes.

    Raises:
        ValueError: if the folder is not a run's.
    """
    try:
        setting = dict(read_json(folder / SETTING))
        hashes = setting.pop(SOURCES, {})
        if not isinstance(hashes, dict) or not all(type(value) is str for value in hashes.values()):
            raise ValueError(f"{SOURCES} that are no texts by name")
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(
            f"{folder} must be the folder of a run, but its {SETTING} cannot be read ({error})."
        ) from None
    differing = sorted(setting.keys() ^ plain_setting(TrainSetting()).keys())
    if differing:
        raise RequestError(
            f"{folder / SETTING} must have the fields of this version; differing: {', '.join(differing)}."
        )
    try:
        stored_setting(TrainSetting, setting | {"data_folder": Path(setting["data_folder"])})
    except (TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise RequestError(
            f"{folder / SETTING} must hold a setting of `deepnet train`, undamaged ({reason})."
        ) from None
    return setting


def resumed_setting(setting: TrainSetting) -> TrainSetting:
    """The setting of the run in `setting.resume`, computed on the device and with the data folder given, if any.

    More epochs or terminal blocks may be given too (`deepnet.training.run` says when).

    Raises:
        ValueError: if another field was given and differs; a run has one setting from its first epoch to its last.
    """
    assert setting.resume is not None
    check(setting.out is None, "--out", setting.out, "left out with --resume (the run goes on in its folder)")
    stored, asked = read_setting(setting.resume), plain_setting(setting)
    own_code.check_given_again(stored, setting.given)
    for name in sorted(setting.given & asked.keys()):
        may_differ = (
            name in _MAY_MOVE or asked[name] == stored[name] or (name in _MAY_GROW and asked[name] > stored[name])
        )
        check_kept(may_differ, name, asked[name], stored[name], "the run has it")
        stored[name] = asked[name]
    of_the_process = {name: getattr(setting, name) for name in _OF_THE_PROCESS}
    return TrainSetting(**stored | {"data_folder": Path(stored["data_folder"])}, **of_the_process)


def append_metrics(folder: Path, line: dict[str, Any]) -> None:
    """Add one epoch to `metrics.jsonl` (nan and infinities become null)."""
    with named_in_errors(folder / METRICS), (folder / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(_finite(line), allow_nan=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_metrics(folder: Path, epochs: int = 0) -> list[dict[str, Any]]:
    """The lines of all epochs so far.

    Raises:
        ValueError: if there are fewer than `epochs`, or one of them is damaged.
    """
    lines = _lines(folder / METRICS, None)
    _check_enough(folder / METRICS, len(lines), epochs)
    return [line for line, _ in lines]


def cut_metrics(folder: Path, epochs: int) -> None:
    """Keep the first `epochs` lines of `metrics.jsonl` and remove the rest, which belongs to a lost epoch.

    Raises:
        ValueError: if there are fewer lines, or one of them is damaged.
    """
    path = folder / METRICS
    lines = [text for _, text in _lines(path, epochs)]
    _check_enough(path, len(lines), epochs)
    with atomic_file(path, "wb") as file:
        file.writelines(text + b"\n" for text in lines)


def _check_enough(path: Path, lines: int, epochs: int) -> None:
    if lines < epochs:
        raise RequestError(f"{path} must hold the checkpoint's {epochs} epochs, got {lines} lines.")


def _lines(path: Path, epochs: int | None) -> list[tuple[dict[str, Any], bytes]]:
    """All lines, or the first `epochs`, parsed and as text."""
    if not path.exists():
        return []
    try:
        with closing(read_lines(path)) as lines:  # also where a line is refused
            found = itertools.islice(lines, epochs)
            return [(_epoch(text, number), text) for number, text in enumerate(found, 1)]
    except (OSError, ValueError, TypeError) as error:
        raise RequestError(f"{path} must hold one JSON object a line, an epoch's ({error}).") from None


def _epoch(text: bytes, number: int) -> dict[str, Any]:
    """The values in one line.

    Raises:
        ValueError, TypeError: if it is not that epoch's, lacks a number, or has something else than numbers.
    """
    line = dict(parse_json(text))
    lacking = [name for name in IN_EVERY_LINE if type(line.get(name)) not in (int, float)]
    if lacking or line["epoch"] != number:
        raise ValueError(f"line {number} has no {lacking[0]}" if lacking else f"line {number} is epoch {line['epoch']}")
    for name, value in line.items():
        numbers = value.values() if isinstance(value, dict) else [value]
        if not all(each is None or type(each) in (int, float) for each in numbers):
            raise ValueError(f"line {number} has a {name} that is no number")
    return line


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
