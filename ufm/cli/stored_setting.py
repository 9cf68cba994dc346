"""Settings stored in a folder, which may come from elsewhere: values are checked against the fields' types."""

import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from ufm.cli.common_setting import OutputSetting
from ufm.cli.typed import kinds_of
from ufm.errors import check, option

Setting = TypeVar("Setting", bound=OutputSetting)


def stored_setting(kind: type[Setting], values: Mapping[str, Any]) -> Setting:
    """The setting with these values, and defaults for missing ones.

    Raises:
        ValueError: if a field does not exist, or a value is not of its type or refused by the setting.
    """
    hints = kinds_of(kind)
    for name, value in values.items():
        check(name in hints, option(name), value, "left out: there is no such option")
        check(is_of(value, hints[name]), option(name), value, f"of type {_shown(hints[name])}")
    return kind(**values)


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value of JSON, or a path, is of the type that a setting or an entry of a record declares."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(is_of(value, each) for each in inner)
    if origin is Literal:
        return type(value) is str and value in inner
    if origin is dict:
        of_keys, of_values = inner
        is_dict = isinstance(value, dict)
        return is_dict and all(is_of(key, of_keys) and is_of(entry, of_values) for key, entry in value.items())
    if origin in (list, frozenset):
        return isinstance(value, origin) and all(is_of(each, inner[0]) for each in value)
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return hint is Any or (isinstance(value, hint) and (hint is not int or type(value) is int))


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint).replace("typing.", "")
