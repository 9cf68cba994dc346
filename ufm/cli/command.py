"""A command of a package: its setting and the function that runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Command:
    """One subcommand: its setting and the function that runs it, which imports what is heavy itself.

    `about` is its help, the setting's docstring if empty; the default command is the one that runs when none is named;
    `positional` is the field that may be given without its option's name, as the first words after the command. With
    `is_shared` the processes that torchrun starts share its work; else the first does it all.
    """

    setting: type[Any]
    run: Callable[[Any], int]
    about: str = ""
    is_default: bool = False
    positional: str | None = None
    is_shared: bool = False


def job(path: str, *arguments: Any) -> Callable[[Any], int]:
    """A function that makes the job `module:Class` from these arguments and a setting, and runs it; imported then."""
    return partial(_run, path, arguments)


def _run(path: str, arguments: tuple[Any, ...], setting: Any) -> int:
    from ufm.cli.records import check_new_file  # a fifth of the time that --help takes

    check_new_file(setting.json, "--json")
    module, _, name = path.partition(":")
    code: int = getattr(import_module(module), name)(*arguments, setting).run()
    return code
