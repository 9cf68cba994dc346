"""Parser of command lines and the files they name, to the values of a command's setting.

What is given comes in layers, each over the one before: options, a file, the options after it. Where a layer names
another loss (model, head, engine) than the layer below, what that one said of the former goes with it.
"""

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, get_origin

from ufm import __version__, errors
from ufm.cli import config_file, manual
from ufm.cli.command import Command
from ufm.cli.typed import default_of, kinds_of, typed
from ufm.cli.yaml_core import NULLS, Plain, Quoted, Raw, Word, dumped, parsed, shown
from ufm.errors import RequestError, check, complaint

_VALUE = re.compile(r"(?!-)|-$|-(\.?\d|inf|nan)|-.* ", re.DOTALL)
"""How a word begins that is no option: a negative number is a value."""
Layer = dict[str, Any]
"""What is written for options: raw values, or a mapping of them for what has options below its name."""


class Request(dict[str, dict[str, Any]]):
    """A command's name and the values of its setting."""

    @property
    def command(self) -> str:
        """The name of the command."""
        return next(iter(self))


@dataclasses.dataclass(frozen=True)
class Parser:
    """A parser of `COMMAND [--option VALUE ...]`."""

    prog: str
    description: str
    commands: Mapping[str, Command]

    def parse_args(self, words: Sequence[str]) -> Request:
        """The request; a manual page or a complaint is printed and ends the process.

        Raises:
            SystemExit: with 0 after what was asked to be shown, with 2 after a complaint.
        """
        try:
            return self._request(words)
        except RequestError as error:
            print(f"{self.prog}: {errors.printable(str(error))}", file=sys.stderr)
            sys.exit(2)

    def _request(self, words: Sequence[str]) -> Request:
        word, *options = words or [""]
        if word in ("-h", "--help"):
            _show(manual.of_package(self.prog, self.description, self.commands))
        if word == "--version":
            _show(f"{self.prog} {__version__}\n")
        if not word or word.startswith("-"):
            raise RequestError(f"`COMMAND` must be given, --help lists those there are, got {word or 'nothing'}.")
        if word not in self.commands:
            raise RequestError(errors.wrong_command(word, self.commands))
        command = self.commands[word]
        layers: list[Layer] = [{}]
        is_to_be_shown = False
        for name, value in _options(options):
            if name in ("-h", "--help"):
                _show(manual.of_command(f"{self.prog} {word}", command))
            elif name == "--print_config" and value is None:
                is_to_be_shown = True
            elif name == "--config":
                layers += [_layer_of_file(command.setting, _given(name, value)), {}]
            else:
                _put_word(command.setting, layers[-1], name, value)
        values = values_of(command.setting, _together(layers), "--", is_to_be_shown)
        if is_to_be_shown:
            _show(dumped(_plain({name: value for name, value in values.items() if name != "given"})))
        return Request({word: values})


def _show(text: str) -> NoReturn:
    sys.stdout.write(text)
    sys.exit(0)


def _options(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Every option with its value, or None for an option without value.

    Raises:
        RequestError: at a word that belongs to no option.
    """
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if name in ("-h", "--help"):
            yield name, None
        elif not word.startswith("--") or word == "--":
            raise RequestError(errors.unknown_option(word))
        elif equals:
            yield name, value
        elif name == "--print_config":
            yield name, None
        else:
            yield name, left.pop(0) if left and _VALUE.match(left[0]) else None


def _given(name: str, value: str | None) -> str:
    if value is None:
        raise complaint(errors.option(name[2:]), "", "followed by a value")
    check(_is_unicode(value), errors.option(name[2:]), value, "text in UTF-8, as records are")
    return value


def _is_unicode(text: str) -> bool:
    """Whether it has no byte of another encoding, which Python represents by half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _put_word(setting: type[Any], layer: Layer, name: str, value: str | None) -> None:
    """Note one option of the command line."""
    if not _is_option(setting, name[2:]):
        said = errors.option(name[2:])
        raise RequestError(errors.unknown_option(said if value is None else f"{said} {value}"))
    word = "true" if value is None and _is_flag(setting, name[2:]) else _given(name, value)
    _put(setting, layer, name[2:], Word(word), "--")


def _layer_of_file(setting: type[Any], path: str) -> Layer:
    """The values in a file."""
    layer: Layer = {}
    for key, raw in config_file.read(path, _names(setting)).items():
        if not _is_option(setting, key):
            raise RequestError(errors.unknown_option(f"--{key} {shown(raw)}"))
        _put(setting, layer, key, raw, "--")
    return layer


def _names(setting: type[Any]) -> list[str]:
    """The fields that are options."""
    return [each.name for each in dataclasses.fields(setting) if each.name != "given"]


def _is_option(setting: type[Any], key: str) -> bool:
    name, _, rest = key.partition(".")
    if name not in _names(setting):
        return False
    kind = kinds_of(setting)[name]
    if dataclasses.is_dataclass(kind):
        return not rest or _is_option(kind, rest)  # type: ignore[arg-type]
    return not rest or get_origin(kind) is dict


def _is_flag(setting: type[Any], key: str) -> bool:
    """Whether an option is true or false, so that its name alone says true."""
    return kinds_of(setting).get(key) is bool


def _put(setting: type[Any], layer: Layer, key: str, raw: Raw, prefix: str) -> None:
    """Note what is written for an option, or for one below its name.

    Raises:
        RequestError: if one that has others below its name is given neither a name nor a mapping.
    """
    name, _, rest = key.partition(".")
    kind = kinds_of(setting)[name]
    is_setting = dataclasses.is_dataclass(kind)
    if not is_setting and get_origin(kind) is not dict:
        layer[name] = raw
        return
    inner = layer.setdefault(name, {})
    if rest in ("", "name"):
        entries = _entries(raw, rest or _has_name(setting, name), f"{prefix}{name}")
    else:
        entries = {rest: raw}
    for entry, value in entries.items():
        if is_setting:
            if not _is_option(kind, entry):
                raise RequestError(errors.unknown_option(f"{prefix}{name}.{entry} {shown(value)}"))
            _put(kind, inner, entry, value, f"{prefix}{name}.")
        else:
            inner[entry] = value


def _has_name(setting: type[Any], name: str) -> str:
    """`name` if what has that name in the setting goes by one, as a loss does; else nothing."""
    _, default = default_of(next(each for each in dataclasses.fields(setting) if each.name == name))
    return "name" if dataclasses.is_dataclass(default) or "name" in default else ""


def _entries(raw: Raw, name: str, argument: str) -> dict[str, Raw]:
    """A mapping, or a name alone where what is asked for goes by one."""
    if isinstance(raw, Word) and raw.startswith(("{", "[")):
        with suppress(ValueError):  # else the word itself is what is wrong
            raw = parsed(raw)
    if isinstance(raw, dict):
        return raw
    is_name = isinstance(raw, Word | Quoted) or (isinstance(raw, Plain) and raw not in NULLS)
    if name and is_name:
        return {name: raw}
    allowed = f"a name, its parameters as {argument}.NAME VALUE" if name else f"given by name, {argument}.NAME VALUE"
    raise complaint(argument, shown(raw), allowed)


def _together(layers: Sequence[Layer]) -> Layer:
    """All layers merged into one."""
    whole: Layer = {}
    for layer in layers:
        for key, later in layer.items():
            former = whole.get(key)
            whole[key] = _over(former, later) if isinstance(former, dict) and isinstance(later, dict) else later
    return whole


def _over(former: Layer, later: Layer) -> Layer:
    """The later mapping over the former one, which goes if the later one names something else."""
    if "name" in former and "name" in later and former["name"] != later["name"]:
        return later
    return _together([former, later])


def values_of(setting: type[Any], layer: Layer, prefix: str, is_partial: bool = False) -> dict[str, Any]:
    """The value of every field, its default where nothing is written; what was given too, where the setting asks.

    Raises:
        RequestError: if a value is not of its type, or one without default is missing.
    """
    kinds, values = kinds_of(setting), dict[str, Any]()
    for each in dataclasses.fields(setting):
        name, kind, argument = each.name, kinds[each.name], f"{prefix}{each.name.replace('_', '-')}"
        has_default, default = default_of(each)
        if name == "given":
            values[name] = frozenset(layer)
        elif dataclasses.is_dataclass(kind):
            values[name] = values_of(kind, layer.get(name, {}), f"{argument}.", is_partial)  # type: ignore[arg-type]
        elif name in layer:
            value = typed(kind, layer[name], argument)
            values[name] = default | value if get_origin(kind) is dict else value
        elif has_default:
            values[name] = default
        elif not is_partial:
            raise complaint(argument, "", "given")
    return values


def _plain(value: Any) -> Any:
    """For a file: paths as text."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
