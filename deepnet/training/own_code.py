"""Code of the user that a run calls: found in its setting, run only if the command line names it, checked for changes.

`setting.json` holds its import paths and a hash of each source. It may come from elsewhere, so whoever goes on with a
run, or measures it, names the code again; what the file says is only held against that.
"""

import shlex
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from deepnet.data import own_data
from deepnet.nets import own_net
from ufm.errors import check
from ufm.import_string import is_ours, source_hash
from ufm.model import own_loss

NOT_CODE = {"net": tuple(own_net.LIBRARIES), "data": tuple(own_data.READERS)}
"""What may stand before a colon and names no module of yours."""
OPTIONS = ("loss", *NOT_CODE)
WHY = "a folder does not decide which code of yours runs"


def code_of(setting: Mapping[str, Any]) -> dict[str, str]:
    """The import paths of the user's code in a setting, by option."""
    found = {"loss": str(setting["loss"]["name"])} if own_loss.is_own(setting["loss"]) else {}
    for option, others in NOT_CODE.items():
        kind, colon, _ = str(setting[option]).partition(":")
        found |= {option: setting[option]} if colon and kind not in others else {}
    return found


def sources(setting: Mapping[str, Any]) -> dict[str, str]:
    """A hash of the file that each import path leads to."""
    return {path: source_hash(path.replace(":", ".")) for path in code_of(setting).values()}


def options_again(setting: Mapping[str, Any], options: Iterable[str] = OPTIONS) -> str:
    """What must stand beside `--resume`, of these options: those that name code of the user."""
    words = []
    for option in _of_user(setting).keys() & {*options}:
        spec = setting["loss"] if option == "loss" else {"name": setting[option]}
        words += [(option if key == "name" else f"{option}.{key}", value) for key, value in spec.items()]
    return "".join(f" --{key} {shlex.quote(str(value))}" for key, value in sorted(words))


def check_given_again(setting: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse a run to be resumed that calls code of the user which the command line has not named.

    Raises:
        ValueError: naming the options.
    """
    missing = [option for option in _of_user(setting) if option not in given]
    allowed = f"given with --resume, too, as{options_again(setting, missing)}: {WHY}"
    check(not missing, f"--{missing[0]}" if missing else "", "nothing", allowed)


def check_named(folder: Path, setting: Mapping[str, Any], named: str) -> None:
    """Refuse a run to be looked at that calls code of the user which is not among these paths, commas between them.

    Raises:
        ValueError: naming them.
    """
    paths = [*_of_user(setting).values()]
    allowed = f"{','.join(paths)} for the run in {folder}: {WHY}"
    check({*paths} <= {*named.split(",")}, "--code", named, allowed)


def say_if_changed(folder: Path, stored: Mapping[str, str]) -> None:
    """Print a warning if the source of the user's code has changed since the run began."""
    now = {path: source_hash(path.replace(":", ".")) for path in stored}
    changed = [path for path, found in stored.items() if now[path] not in ("", found)]
    if changed:
        print(f"warning: the source of {', '.join(changed)} is not that of the run in {folder}", file=sys.stderr)


def _of_user(setting: Mapping[str, Any]) -> dict[str, str]:
    return {option: path for option, path in code_of(setting).items() if not is_ours(path)}
