"""Error messages of one form: each names the argument, what is allowed, and what was given."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from ufm.specs import LOSS_PARAMETERS

FEW_COMMANDS = 12
"""The most commands that a message on a wrong command lists in full."""
LOSS_PARAMETER = re.compile(rf"--({'|'.join(LOSS_PARAMETERS)})\b")
LONGEST_SHOWN = 1000
"""The most characters of a value in a message."""
_OPTION = re.compile(r"--(?P<key>[a-z][a-z-]*)(?:\.(?P<entry>\w+))?(?P<is_true> true)?")
_OF_A_CALL = re.compile(r"\w+\((\w+)=\.\.\.\)")
_SYMBOLS = {"K": "classes", "d": "dim", "n": "per_class"}
"""Arguments of the models, and the options that set them."""


class RequestError(ValueError):
    """A request that cannot be met: the message names the argument, the value and what is allowed."""

    argument = ""
    """The argument, where `complaint` wrote the message."""


def check(is_allowed: bool, argument: str, value: object, allowed: str) -> None:
    """Raise an error that names the argument, what is allowed and the value, unless the value is allowed.

    Raises:
        RequestError: unless `is_allowed`.
    """
    if not is_allowed:
        raise complaint(argument, value, allowed)


def complaint(argument: str, value: object, allowed: str) -> RequestError:
    """The error that `check` raises, with a long value shortened."""
    text = printable(str(value))
    shown = text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN // 2]}... ({len(text)} characters)"
    error = RequestError(f"`{argument}` must be {allowed}, got {shown if shown.strip() else 'nothing'}.")
    error.argument = argument
    return error


def option(key: str) -> str:
    """The option of a field: `decay_W` is `--decay-W`."""
    return f"--{key.replace('_', '-')}"


def reason_of(error: BaseException) -> str:
    """The first line of an error's message, or its type if the message is empty (as for a lack of memory)."""
    return printable(next(iter(str(error).splitlines()), "")) or type(error).__name__


def printable(text: str) -> str:
    """A text on one line, without characters that command a terminal: they are written as in a string of Python."""
    return "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)


@contextmanager
def in_python(**names: str) -> Iterator[None]:
    """Let sentences name the arguments of a call where a command has options: `--per-class` is `per_class`.

    `names` are those that differ, and `--head.dim` is an entry of one, `head['dim']`.
    """

    def argument(found: re.Match[str]) -> str:
        key = found["key"].replace("-", "_")
        entry = f"[{found['entry']!r}]" if found["entry"] else ""
        return f"{names.get(key, key)}{entry}{'=True' if found['is_true'] else ''}"

    try:
        yield
    except RequestError as error:
        allowed, got, value = str(error).partition(", got ")
        raise RequestError(f"{_OPTION.sub(argument, allowed)}{got}{value}") from None


def wrong_command(word: str, names: Collection[str]) -> str:
    """The message on an unknown command: it lists all names if they are few, else those that resemble the word."""
    near = [name for name in names if word in name] or get_close_matches(word, names)
    allowed = f"one of {', '.join(names)}" if len(names) <= FEW_COMMANDS else "one of those that --help lists"
    if near and len(names) > FEW_COMMANDS:
        allowed += f", such as {', '.join(near)}"
    return f"`COMMAND` must be {allowed}, got {word or 'nothing'}."


def unknown_option(words: str) -> str:
    """The message on an unknown option, with a hint if it is a parameter of a loss, or no option at all."""
    found = LOSS_PARAMETER.match(words)
    hint = f" (a loss's parameter is --loss.{found[1]}, an axis of a scan --grid.{found[1]})" if found else ""
    if not words.startswith("-"):
        hint = " (several values of an option that takes them are one word, '[a, b]')"
    return f"`{words}` must be left out: there is no such option, --help lists those there are{hint}."


def as_given(argument: str, values: Mapping[str, Any]) -> str:
    """The user's option for an argument of a call, such as `Focal(gamma=...)`, or for an option that an axis sets."""
    call = _OF_A_CALL.fullmatch(argument)
    name = call[1] if call else argument.removeprefix("--").replace("-", "_")
    name = _SYMBOLS.get(name, name) if call else name
    names = (name, "decay") if name in ("decay_W", "decay_H") else (name,)  # `decay` sets both
    grid = values.get("grid") or {}
    if axes := [each for each in names if each in grid]:
        return f"--grid.{axes[0]}"
    if options := [each for each in names if call and each in values]:
        return option(options[0])
    if (call or name.startswith("loss.")) and "loss" in values:
        key = name.removeprefix("loss.")
        if key in grid:
            return f"--grid.{key}"
        return f"--grid.loss NAME:{key}" if "loss" in grid else f"--loss.{key}"
    return argument
