"""A command of a package: what it takes and what runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """One subcommand: its setting and the function that runs it, which imports what is heavy itself.

    `about` is its help, the setting's docstring if empty; the default command is the one that runs when none is named;
    `positional` is the field that may be given without its option's name, as the first word after the command.
    """

    setting: type[Any]
    run: Callable[[Any], int]
    about: str = ""
    is_default: bool = False
    positional: str | None = None
