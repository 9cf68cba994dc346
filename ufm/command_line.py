"""The command line that every package shares: settings are frozen dataclasses, a YAML file and options fill them in.

`ufm/manual.py` says what `--help` prints and what the exit codes mean.
"""

import dataclasses
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from ufm import complaints, process, start, streams
from ufm.command import Command
from ufm.complaints import RequestError, check, reason_of
from ufm.showing import forgiving_streams

__all__ = [
    "Command",
    "CommonSetting",
    "HeadSpec",
    "LossSpec",
    "ModelSpec",
    "OutputSetting",
    "RequestError",
    "ResumableSetting",
    "check",
    "main",
    "reason_of",
    "torch_device",
]

if TYPE_CHECKING:
    import torch

    from ufm.parser import Parser

LossSpec = dict[str, int | float | str]
"""A loss by name with its parameters, `{"name": "focal", "gamma": 2}`; as options `--loss focal --loss.gamma 2`."""

HeadSpec = dict[str, bool | int | float | str]
"""The last layers of a network by name with their parameters, as options `--head normalised --head.temperature 5`."""

ModelSpec = dict[str, bool | int | float | str | list[int]]
"""A model by name with its options; as options of the command `--model spheres --model.temperature 5`."""

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
LOSS_NAMES = ("ce", "ls", "focal", "mse")
"""The names `--loss` takes; `ufm.losses.LOSSES` maps them to classes (here so that `--help` need not import torch)."""


@dataclass(frozen=True, kw_only=True)
class OutputSetting:
    """Where a command writes."""

    out: Path | None = None
    """Folder for what the command writes; must not exist or be empty. Default: results/<command>-<time>."""
    json: Path | None = None
    """File for the machine-readable record; must not exist. Default: record.json in the output folder."""

    def __post_init__(self) -> None:
        if self.json is None:
            return
        resumed = getattr(self, "resume", None)
        for folder in filter(None, (self.out, resumed)):
            allowed = f"a file that is not in the folder {folder}, nor that folder"
            check(not _is_within(self.json, folder), "--json", self.json, allowed)
        folder = self.out or resumed or Path("results")
        check(not _is_within(folder, self.json), "--json", self.json, f"no folder of the results, {folder}")

    def as_dict(self) -> dict[str, Any]:
        """The setting as plain values for a record."""
        return dataclasses.asdict(self)


def _is_within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder's own or lies in it, links followed."""
    place = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), place]) == place


@dataclass(frozen=True, kw_only=True)
class CommonSetting(OutputSetting):
    """What a command takes that has something random and computes with torch."""

    seed: int = 0
    """Seed of everything random, >= 0."""
    device: str = "cpu"
    """Torch device to compute on: cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
        reason = reason_of(error).split(". ")[0][:160]
        raise RequestError(
            f"`--device` must be a torch device with float64 on this machine, got {name or 'nothing'} ({reason})."
        ) from None
    return device


def main(prog: str, description: str, commands: Mapping[str, Command], argv: Sequence[str] | None = None) -> int:
    """Parse and run, whatever becomes of standard output and error meanwhile; the exit code."""
    with streams.plain_where_needed(), forgiving_streams(prog):
        code = _answered(_parser(prog, description, commands), sys.argv[1:] if argv is None else argv)
    if code == INTERRUPTED and argv is None:
        os._exit(code)  # threads at work on a chunk would be waited for otherwise
    return code


def _words(commands: Mapping[str, Command], argv: Sequence[str]) -> list[str]:
    """The default command added where none is named, and the option's name to a value that may do without."""
    words = _normalised(argv)
    if words[:1] not in (["-h"], ["--help"], ["--version"]) and (not words or words[0].startswith("-")):
        words = [name for name, command in commands.items() if command.is_default] + words
    if words and (named := commands.get(words[0])) and named.positional and words[1:2] and not words[1].startswith("-"):
        words = [words[0], f"--{named.positional}", *words[1:]]
    return words


def _answered(parser: "Parser", argv: Sequence[str]) -> int:
    """The exit code, after the work or one sentence on why there is none."""
    prog, values = parser.prog, dict[str, Any]()
    command = None
    try:
        with process.interruptible():
            request = parser.parse_args(_words(parser.commands, argv))
            if file := start.stranger():
                raise RequestError(f"`{file}` must have another name: it stands in for a package of this project.")
            process.prepare()
            command = parser.commands[request.command]
            setting = _made(command.setting, request[request.command])
            values = request[request.command]  # from here on it may be an axis that sets an option
            return command.run(setting)
    except RequestError as error:
        text = str(error).replace(f"`{error.argument}`", f"`{complaints.as_given(error.argument, values)}`", 1)
        print(f"{prog}: {' '.join(text.split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 3
    except Exception as error:
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            print(f"{prog}: this needs more memory than there is ({reason_of(error)}).", file=sys.stderr)
        else:
            traceback.print_exc()
        return 3
    except BaseException as error:  # of code that is not ours, such as a loss that ends the program with 0
        if command is None:
            raise  # the parser's own end, after --help or a complaint
        reason = f"{type(error).__name__}: {reason_of(error)}"
        print(f"{prog}: what the command called ended it ({reason}).", file=sys.stderr)
        return 3


def _parser(prog: str, description: str, commands: Mapping[str, Command], asked: str = "") -> "Parser":
    from ufm.parser import Parser

    return Parser(prog, description, commands)


_OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)
"""What torch says on a CPU and on an accelerator."""


def _made(setting: type[Any], values: Mapping[str, Any]) -> Any:
    """The setting, and those it consists of."""
    kinds = get_type_hints(setting)
    return setting(**{n: _made(kinds[n], v) if dataclasses.is_dataclass(kinds[n]) else v for n, v in values.items()})


def _normalised(argv: Sequence[str]) -> list[str]:
    """`--per-class` is `--per_class`; `--loss focal` is `--loss.name focal`, so that `--loss.gamma 2` may follow.

    The same for `--model` and `--head`, and `--engine ray` is `--engine.name ray`.
    """
    names = [re.sub(r"^--[^=]+", lambda option: option[0][:2] + option[0][2:].replace("-", "_"), word) for word in argv]
    return [re.sub(r"^--(loss|model|engine|head)(?==|$)", r"--\1.name", word) for word in names]
