"""The output of `--help`: a manual page made from a setting's docstring and attributes.

The docstring's first line says what the command does. Paragraphs `Examples:` (one command a line, indented) and
`Writes:` (where files go) come after the options, as they stand; the exit codes follow.
"""

import ast
import dataclasses
import inspect
import re
import textwrap
from argparse import ArgumentParser, HelpFormatter, _ArgumentGroup
from collections.abc import Mapping
from itertools import pairwise
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from ufm.cli.command import Command
from ufm.cli.typed import arms, default_of, kinds_of
from ufm.cli.yaml_core import shown
from ufm.errors import option
from ufm.specs import IN_WORDS

EXIT_CODES = (
    "Exit codes: 0 done, and what was claimed holds; 1 a claim failed; 2 the request was wrong; 3 the program or the "
    "machine failed (a bug, a full disk); 130 interrupted."
)
_OWN_PARAGRAPHS = re.compile(r"^(Examples|Writes):", re.MULTILINE)


def of_package(prog: str, about: str, commands: Mapping[str, Command]) -> str:
    """The page of all commands."""
    page = _page(prog, f"{prog} COMMAND ...", about, EXIT_CODES)
    page.add_argument("--version", action="store_true", help="Show it and exit.")
    place = page.add_subparsers(title="commands, each with a --help of its own", metavar="COMMAND")
    for name, command in commands.items():
        first = _parts(command)[0].split("\n\n")[0]
        place.add_parser(name, help=" ".join(first.split()).replace("%", "%%"))
    return page.format_help()


def of_command(prog: str, command: Command) -> str:
    """The page of one command."""
    before, after = _parts(command)
    epilog = "\n\n".join(part for part in (after, EXIT_CODES) if part)
    page = _page(prog, f"{prog} [--option VALUE ...]", before, epilog)
    page.add_argument("--config", help="YAML file with the same keys; options after it override it.")
    page.add_argument(
        "--print-config", action="store_true", help="Show what these options and the file amount to, as such a file."
    )
    _add_options(page, page, command.setting, "--")
    return page.format_help()


def _page(prog: str, usage: str, before: str, after: str) -> ArgumentParser:
    page = ArgumentParser(prog, usage, before, after, formatter_class=ManualPage, add_help=False)
    page.add_argument("-h", "--help", action="store_true", help="Show this help message and exit.")
    return page


def _parts(command: Command) -> tuple[str, str]:
    """What stands before the options and after them."""
    first, _, rest = (command.setting.__doc__ or "").strip().partition("\n")
    text = f"{first}\n{textwrap.dedent(rest)}"
    place = _OWN_PARAGRAPHS.search(text)
    cut = place.start() if place else len(text)
    return command.about or text[:cut].strip(), text[cut:].strip()


def _add_options(page: ArgumentParser, group: ArgumentParser | _ArgumentGroup, setting: type[Any], prefix: str) -> None:
    """A line per field, those of a setting within it under a heading of their own."""
    kinds, words = kinds_of(setting), _explanations(setting)
    for field in dataclasses.fields(setting):
        kind, name = kinds[field.name], field.name
        if name == "given":
            continue
        if dataclasses.is_dataclass(kind):
            _add_options(page, page.add_argument_group(words[name].rstrip(".")), kind, f"{prefix}{name}.")  # type: ignore[arg-type]
            continue
        choices = [str(word) for arm in arms(kind) if get_origin(arm) is Literal for word in get_args(arm)]
        metavar = f"{{{','.join(choices)}}}" if choices else name.upper()
        text = f"{words[name]} ({_facts(field, kind)})".replace("%", "%%")
        group.add_argument(f"{prefix}{option(name)[2:]}", metavar=metavar, help=text)


def _explanations(setting: type[Any]) -> dict[str, str]:
    """The docstring of every field, those of the classes it extends included."""
    found: dict[str, str] = {}
    for each in filter(dataclasses.is_dataclass, reversed(setting.__mro__)):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in pairwise(definition.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                words = " ".join(str(ast.literal_eval(text.value)).split())
                for place, meant in IN_WORDS.items():
                    words = words.replace(place, meant)
                found[field.target.id] = words
    return found


def _facts(field: "dataclasses.Field[Any]", kind: Any) -> str:
    """The type of an option and its default."""
    names = [arm for arm in arms(kind) if get_origin(arm) is not Literal]
    words = [f"type: {' | '.join(map(_type_name, names))}"] if names == [*arms(kind)] else []
    has_default, default = default_of(field)
    if get_origin(kind) is dict:
        words = ["type: name" if default else "type: key and value"]
        default = default["name"] if default else "none"
    return ", ".join([*words, f"default: {_written(default)}"] if has_default else ["required", *words])


def _type_name(kind: Any) -> str:
    if kind is NoneType:
        return "null"
    items = f"[{', '.join(' | '.join(map(_type_name, arms(item))) for item in get_args(kind))}]"
    return (get_origin(kind) or kind).__name__ + (items if get_args(kind) else "")


def _written(value: Any) -> str:
    """A value as a user would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return shown({key: _written(each) for key, each in value.items()})
    return "null" if value is None else str(value)


class ManualPage(HelpFormatter):
    """A formatter that wraps paragraphs and keeps indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = re.split(r"\n\s*\n|\n(?=    )|(?<=:)\n", text)
        return "\n".join(self._block(block, width, indent) for block in blocks).lstrip("\n")

    def _block(self, block: str, width: int, indent: str) -> str:
        if block.startswith("    "):
            return block.rstrip()
        return "\n" + super()._fill_text(block, width, indent)
