"""Conversion of the text of an option to its type, or an error with the option, what it takes, and what it got.

The types are those of settings: bool, int, float, str, Path, Literal, list, dict with text as keys, unions, None.
"""

import dataclasses
import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ufm.cli.yaml_core import NULLS, Plain, Quoted, Raw, Word, integer, number, parsed, shown, truth
from ufm.errors import RequestError, check, complaint

LONGEST_NAME, LONGEST_PATH = 255, 3500
"""Bytes: what file systems take, with room for what is written below."""
_ORDER: tuple[Any, ...] = (list, dict, Literal, bool, int, float, Path, str)
"""The order in which the types of a union are tried."""
_COLONS = re.compile(r"[-+]?[0-9.]+(:[-+0-9.eE]+)+(:log)?")
_NUMBERS: dict[Any, Callable[[str], Any]] = {bool: truth, int: integer, float: number}


kinds_of: Callable[[type[Any]], dict[str, Any]] = functools.cache(get_type_hints)  # type: ignore[assignment]
"""The type of every field of a setting, read once."""


def arms(kind: Any) -> tuple[Any, ...]:
    """The types of a union; a type that is none alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def default_of(field: "dataclasses.Field[Any]") -> tuple[bool, Any]:
    """Whether an option has a default, and the default."""
    if field.default_factory is not dataclasses.MISSING:
        return True, field.default_factory()
    return field.default is not dataclasses.MISSING, field.default


def typed(kind: Any, raw: Raw, argument: str) -> Any:
    """The value.

    On the command line a word is a path or a text as it stands, be it `null` or 001; in a file null is nothing unless
    it has quotes.

    Raises:
        RequestError: if it is not of the type.
    """
    kinds = arms(kind)
    if isinstance(raw, Word) and raw.startswith(("[", "{")) and {list, dict} & {get_origin(each) for each in kinds}:
        raw = _structure(raw, argument)
    is_word_for_a_path = isinstance(raw, Word) and Path in kinds
    if NoneType in kinds and _is_null(raw) and not is_word_for_a_path:
        return None
    is_literal = isinstance(raw, Word) and bool({str, Path, Literal} & {get_origin(each) or each for each in kinds})
    check(not _is_null(raw) or is_literal, argument, "null", "given or left out")
    for each in sorted(set(kinds) - {NoneType}, key=lambda each: _ORDER.index(get_origin(each) or each)):
        value = _made(each, raw, argument, is_quoted=isinstance(raw, Quoted) and str in kinds)
        if value is not None:
            return value
    raise complaint(argument, shown(raw), _allowed(kinds, argument))


def _is_null(raw: Raw) -> bool:
    return raw is None or (isinstance(raw, Plain | Word) and raw in NULLS)


def _structure(word: Word, argument: str) -> Raw:
    try:
        return parsed(word)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise RequestError(f"`{argument}` must be a list or mapping in YAML, got {word} ({reason}).") from None


def _made(kind: Any, raw: Raw, argument: str, is_quoted: bool) -> Any:
    """The value as one type of a union; None if it is not of it."""
    origin = get_origin(kind)
    if origin is list and isinstance(raw, list):
        (item,) = get_args(kind)
        return [_item(item, each, argument) for each in raw]
    if origin is dict and isinstance(raw, dict):
        entries = {"name": str}  # what it is about; its parameters have the mapping's type
        return {key: typed(entries.get(key, get_args(kind)[1]), each, f"{argument}.{key}") for key, each in raw.items()}
    return _of_scalar(kind, raw, argument, is_quoted) if isinstance(raw, str) else None


def _of_scalar(kind: Any, raw: str, argument: str, is_quoted: bool) -> Any:
    if kind is float:
        check(not _COLONS.fullmatch(raw), argument, raw, "one number (those of a grid are --grid.NAME FROM:TO:COUNT)")
    if kind in _NUMBERS:
        return None if is_quoted else _NUMBERS[kind](raw)
    if kind is Path:
        return _path(raw, argument)
    return str(raw) if kind is str or (get_origin(kind) is Literal and raw in get_args(kind)) else None


def _item(kind: Any, raw: Raw, argument: str) -> Any:
    """An entry of a list; where folders are listed each is a name, even `null`."""
    is_mapping = get_origin(kind) is dict
    check(not is_mapping or isinstance(raw, dict), argument, shown(raw), "a list of mappings such as {name: VALUE}")
    return typed(kind, Word(raw) if kind is Path and isinstance(raw, str) else raw, argument)


def _path(text: str, argument: str) -> Path:
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise RequestError(f"`{argument}` must be a path in the encoding of this system, got {text}.") from None
    is_allowed = b"\0" not in encoded and max(map(len, encoded.split(b"/"))) <= LONGEST_NAME
    allowed = f"a path of names of at most {LONGEST_NAME} bytes, {LONGEST_PATH} in all"
    check(is_allowed and len(encoded) <= LONGEST_PATH, argument, text, allowed)
    return Path(text)


def _allowed(kinds: tuple[Any, ...], argument: str) -> str:
    """A description of the values that an option takes."""
    if any(get_origin(each) is dict for each in kinds):
        return f"given by name, {argument}.NAME VALUE"
    if choices := [repr(choice) for each in kinds if get_origin(each) is Literal for choice in get_args(each)]:
        return f"one of {', '.join(choices)}"
    return f"of type {', '.join(map(_name, kinds))}{' (a finite number)' * (kinds == (float,))}"


def _name(kind: Any) -> str:
    return "null" if kind is NoneType else (get_origin(kind) or kind).__name__
