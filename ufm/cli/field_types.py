"""The types that a setting declares, to which its values are held however it is made: from Python or a stored file."""

import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from ufm.cli.typed import arms, kinds_of
from ufm.errors import check, option


def check_types(setting: type[Any], values: Mapping[str, Any]) -> None:
    """Refuse a value that is not of the type of the setting's field of this name.

    Raises:
        ValueError: naming the option, the type and the value.
    """
    kinds = kinds_of(setting)
    for name, value in values.items():
        check(is_of(value, kinds[name]), option(name), repr(value), _allowed(arms(kinds[name])))


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value of Python or JSON is of the type that a setting or an entry of a record declares."""
    origin, inner = get_origin(kind), get_args(kind)
    if len(arms(kind)) > 1:
        return any(is_of(value, each) for each in arms(kind))
    if origin is Literal:
        return type(value) is str and value in inner
    if origin is dict:
        of_keys, of_values = inner
        is_dict = isinstance(value, dict)
        return is_dict and all(is_of(key, of_keys) and is_of(entry, of_values) for key, entry in value.items())
    if origin in (list, frozenset):
        return isinstance(value, origin) and all(is_of(each, inner[0]) for each in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return kind is Any or (isinstance(value, kind) and (kind is not int or not isinstance(value, bool)))


def _allowed(kinds: tuple[Any, ...]) -> str:
    if words := [word for each in kinds if get_origin(each) is Literal for word in get_args(each)]:
        return f"one of {', '.join(words)}{', or None' * (types.NoneType in kinds)}"
    return f"of type {' or '.join(map(_name, kinds))}"


def _name(kind: Any) -> str:
    if kind is types.NoneType:
        return "None"
    if kind is float:
        return "float (a finite number)"
    return str(kind).replace("pathlib.", "") if get_origin(kind) else kind.__name__
