"""The command line that every package shares: settings are frozen dataclasses, a YAML file and options fill them in.

`ufm/cli/manual.py` says what `--help` prints and what the exit codes mean.
"""

import dataclasses
import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ufm import errors, start
from ufm.cli import process, streams
from ufm.cli.command import Command
from ufm.cli.showing import forgiving_streams
from ufm.errors import RequestError, printable, reason_of

if TYPE_CHECKING:
    from ufm.cli.parser import Parser


INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def main(prog: str, description: str, commands: Mapping[str, Command], argv: Sequence[str] | None = None) -> int:
    """Parse a command line and run its command, even if standard output fails meanwhile; return the exit code."""
    with streams.plain_where_needed(), forgiving_streams(prog):
        code = _answered(_parser(prog, description, commands), sys.argv[1:] if argv is None else argv)
    if code == INTERRUPTED and argv is None:
        os._exit(code)  # threads at work on a chunk would be waited for otherwise
    return code


def _words(commands: Mapping[str, Command], argv: Sequence[str]) -> list[str]:
    """The words with the default command if none is named, and with the name of a positional option (many: a list)."""
    words = _normalised(argv)
    if words[:1] not in (["-h"], ["--help"], ["--version"]) and (not words or words[0].startswith("-")):
        words = [name for name, command in commands.items() if command.is_default] + words
    if words and (named := commands.get(words[0])) and named.positional and words[1:2] and not words[1].startswith("-"):
        given = [*takewhile(lambda word: not word.startswith("-"), words[1:])]
        value = json.dumps(given) if len(given) > 1 else given[0]
        words = [words[0], f"--{named.positional}", value, *words[1 + len(given) :]]
    return words


def _answered(parser: "Parser", argv: Sequence[str]) -> int:
    """Run the command, or print one sentence on why that is not possible; return the exit code."""
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
            return _run(request.command, command, setting)
    except RequestError as error:
        text = str(error).replace(f"`{error.argument}`", f"`{errors.as_given(error.argument, values)}`", 1)
        print(f"{prog}: {printable(' '.join(text.split()))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if lack := next((each for each in _with_causes(error) if _is_lack_of_memory(each)), None):
            print(f"{prog}: this needs more memory than there is ({printable(reason_of(lack))}).", file=sys.stderr)
        elif isinstance(error, OSError):
            print(f"{prog}: {printable(str(error))}", file=sys.stderr)
        else:
            traceback.print_exc()
        return 3
    except BaseException as error:  # of code that is not ours, such as a loss that ends the program with 0
        if command is None:
            raise  # the parser's own end, after --help or a complaint
        reason = f"{type(error).__name__}: {reason_of(error)}"
        print(f"{prog}: what the command called ended it ({reason}).", file=sys.stderr)
        return 3


def _run(name: str, command: Command, setting: Any) -> int:
    """Run a command; of the processes that torchrun started the first alone, unless they share its work."""
    number = int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0
    if number == 0 or command.is_shared:
        return command.run(setting)
    print(f"the first process runs {name}; process {number} ends.", file=sys.stderr)
    return 0


def _parser(prog: str, description: str, commands: Mapping[str, Command], asked: str = "") -> "Parser":
    from ufm.cli.parser import Parser

    return Parser(prog, description, commands)


_OUT_OF_MEMORY = re.compile("(can't|cannot) allocate memory|out of memory|failed to map segment", re.IGNORECASE)
"""The messages on a lack of memory of torch, on a CPU and on an accelerator, of the system and of its loader."""


def _is_lack_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those behind it: a library that did not fit may be called missing by the one that wanted it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _made(setting: type[Any], values: Mapping[str, Any]) -> Any:
    """Make the setting, and the settings that it consists of."""
    from ufm.cli.typed import kinds_of

    kinds = kinds_of(setting)
    return setting(**{n: _made(kinds[n], v) if dataclasses.is_dataclass(kinds[n]) else v for n, v in values.items()})


def _normalised(argv: Sequence[str]) -> list[str]:
    """`--per-class` is `--per_class`; `--loss focal` is `--loss.name focal`, so that `--loss.gamma 2` may follow.

    The same for `--model` and `--head`, and `--engine ray` is `--engine.name ray`.
    """
    names = [re.sub(r"^--[^=]+", lambda option: option[0][:2] + option[0][2:].replace("-", "_"), word) for word in argv]
    return [re.sub(r"^--(loss|model|engine|head)(?==|$)", r"--\1.name", word) for word in names]
