"""The command line that every package shares: settings are frozen dataclasses, a YAML file and options fill them in.

`ufm/manual.py` says what `--help` prints and what the exit codes mean.
"""

import dataclasses
import os
import re
import sys
import traceback
from argparse import HelpFormatter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args, get_type_hints

from jsonargparse import ArgumentParser, set_parsing_settings

from ufm import __version__, complaints, manual, process
from ufm.config_file import ConfigFile
from ufm.showing import forgiving_streams

if TYPE_CHECKING:
    import torch

set_parsing_settings(docstring_parse_attribute_docstrings=True)

LossSpec = dict[str, int | float | str]
"""A loss by name with its parameters, `{"name": "focal", "gamma": 2}`; as options `--loss focal --loss.gamma 2`."""

HeadSpec = dict[str, bool | int | float | str]
"""The last layers of a network by name with their parameters, as options `--head normalised --head.temperature 5`."""

ModelSpec = dict[str, bool | int | float | str | list[int]]
"""A model by name with its options; as options of the command `--model spheres --model.temperature 5`."""

LOSS_NAMES = ("ce", "ls", "focal", "mse")
"""The names `--loss` takes; `ufm.losses.LOSSES` maps them to classes (here so that `--help` need not import torch)."""


@dataclass(frozen=True, kw_only=True)
class OutputSetting:
    """Where a command writes."""

    out: Path | None = None
    """Folder for what the command writes; must not exist or be empty. Default: results/<command>-<time>."""
    json: Path | None = None
    """File for the machine-readable record; must not exist. Default: record.json in the output folder."""

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain values for a record."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class CommonSetting(OutputSetting):
    """What a command takes that has something random and computes with torch."""

    seed: int = 0
    """Seed of everything random, >= 0."""
    device: str = "cpu"
    """Torch device to compute on: cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        check(0 <= self.seed < 2**63, "--seed", self.seed, "an integer in [0, 2^63)")


@dataclass(frozen=True, kw_only=True)
class ResumableSetting(CommonSetting):
    """What a command takes that can go on with earlier work, whose setting then counts.

    Attributes:
        given: the fields that the command line or its YAML file named, defaults left out; no option itself.
    """

    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain values for a record."""
        return {name: value for name, value in super().as_dict().items() if name != "given"}


@dataclass(frozen=True)
class Command:
    """One subcommand: its setting and the function that runs it, which imports what is heavy itself.

    `about` is its help, the setting's docstring if empty; the default command is the one that runs when none is named;
    `positional` is the field that may be given without its option's name, as the first word after the command.
    """

    setting: type[OutputSetting]
    run: Callable[[Any], int]
    about: str = ""
    is_default: bool = False
    positional: str | None = None

    @property
    def description(self) -> str:
        """What `--help` says before the options."""
        return self.about or manual.description(self.setting.__doc__ or "")

    @property
    def epilog(self) -> str:
        """What `--help` says after them."""
        return manual.epilog(self.setting.__doc__ or "")


class RequestError(ValueError):
    """A request that cannot be met: the message names the argument, the value and what is allowed."""


def check(is_allowed: bool, argument: str, value: object, allowed: str) -> None:
    """Raise the project's one kind of complaint: the argument, what is allowed, the value.

    Raises:
        RequestError: unless `is_allowed`.
    """
    if not is_allowed:
        shown = value if str(value).strip() else "nothing"
        raise RequestError(f"`{argument}` must be {allowed}, got {shown}.")


def torch_device(name: str) -> "torch.device":
    """The torch device of that name.

    Raises:
        ValueError: if there is no such device here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, dtype=torch.float64, device=device).cpu()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = complaints.reason_of(error).split(". ")[0][:160]
        raise RequestError(
            f"`--device` must be a torch device with float64 on this machine, got {name or 'nothing'} ({reason})."
        ) from None
    return device


def main(prog: str, description: str, commands: Mapping[str, Command], argv: Sequence[str] | None = None) -> int:
    """Parse and run, whatever becomes of standard output and error meanwhile; the exit code."""
    with forgiving_streams(prog):
        return _main(prog, description, commands, argv)


def _main(prog: str, description: str, commands: Mapping[str, Command], argv: Sequence[str] | None) -> int:
    """Parse, run, and turn a wrong request into one sentence and exit code 2."""
    words = _normalised(sys.argv[1:] if argv is None else argv)
    if words[:1] not in (["-h"], ["--help"], ["--version"]) and (not words or words[0].startswith("-")):
        words = [name for name, command in commands.items() if command.is_default] + words
    if words and (named := commands.get(words[0])) and named.positional and words[1:2] and not words[1].startswith("-"):
        words = [words[0], f"--{named.positional}", *words[1:]]
    parser = _parser(prog, description, commands, words[0] if words else "")
    command = None
    try:
        parsed = parser.parse_args(words)
        command = commands[parsed.command]
        process.prepare()
        values = _values(command.setting, parsed[parsed.command])
        _check_null(command.setting, values)
        if issubclass(command.setting, ResumableSetting):
            given = parser.parse_args(words, defaults=False)[parsed.command]
            values["given"] = frozenset(name for name in values if name in given)
        with process.interruptible():
            return command.run(command.setting(**values))
    except RequestError as error:
        print(f"{prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted.", file=sys.stderr)
        sys.stdout.flush()
        os._exit(130)  # threads at work on a chunk would be waited for otherwise
    except OSError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 3
    except Exception as error:
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            print(f"{prog}: this needs more memory than there is ({complaints.reason_of(error)}).", file=sys.stderr)
        else:
            traceback.print_exc()
        return 3
    except BaseException as error:  # of code that is not ours, such as a loss that ends the program with 0
        if command is None:
            raise  # the parser's own end, after --help or a complaint
        reason = f"{type(error).__name__}: {complaints.reason_of(error)}"
        print(f"{prog}: what the command called ended it ({reason}).", file=sys.stderr)
        return 3


def _parser(prog: str, description: str, commands: Mapping[str, Command], asked: str) -> "_Parser":
    """The parser of all commands; only the one that was asked for gets its options, which take the time."""
    parser = _Parser(prog=prog, description=description, epilog=manual.EXIT_CODES, exit_on_error=True)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="Show it and exit.")
    subcommands = parser.add_subcommands(required=True, dest="command", metavar="COMMAND")
    for name, command in commands.items():
        usage = f"{prog} {name} [--option VALUE ...]"
        sub = _Parser(usage=usage, description=command.description, epilog=command.epilog)
        if name == asked:
            about = "YAML file with the same keys; options after it override it."
            sub.add_argument("--config", action=ConfigFile, help=about)
            sub.add_class_arguments(command.setting, as_group=False, skip={"given"})
        subcommands.add_subcommand(name, sub, help=" ".join(command.description.split("\n\n")[0].split()))
    return parser


_OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)
"""What torch says on a CPU and on an accelerator."""


def _values(setting: type[Any], parsed: Any) -> dict[str, Any]:
    """The value of every field that is an option, or a setting of its own with options below its name."""
    values = {each.name: (each.type, parsed[each.name]) for each in dataclasses.fields(setting) if each.name != "given"}
    return {
        name: kind(**_values(kind, value)) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else value
        for name, (kind, value) in values.items()
    }


def _check_null(setting: type[OutputSetting], values: Mapping[str, Any]) -> None:
    """Refuse null where it means nothing; the parser lets a file say it of any option."""
    types = get_type_hints(setting)
    for name, value in values.items():
        check(
            value is not None or type(None) in get_args(types[name]),
            complaints.option(name),
            "null",
            "given or left out",
        )


class _Parser(ArgumentParser):
    """Dashes in option names, no abbreviated options, negative numbers as values, one-sentence errors."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=manual.ManualPage, **keywords)
        self._negative_number_matcher = re.compile(r"^-(\.?\d|inf|nan)")

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        return re.sub(r"--[\w.]+", lambda option: option[0].replace("_", "-"), super().format_help(formatter))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        self.exit(2, f"{self.prog.replace(' [options]', '')}: {complaints.in_our_words(str(ex or message))}\n")


def _normalised(argv: Sequence[str]) -> list[str]:
    """`--per-class` is `--per_class`; `--loss focal` is `--loss.name focal`, so that `--loss.gamma 2` may follow.

    The same for `--model` and `--head`, and `--engine ray` is `--engine.name ray`.
    """
    names = [re.sub(r"^--[^=]+", lambda option: option[0][:2] + option[0][2:].replace("-", "_"), word) for word in argv]
    return [re.sub(r"^--(loss|model|engine|head)(?==|$)", r"--\1.name", word) for word in names]
