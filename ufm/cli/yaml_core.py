"""YAML as commands read it, from a file or from a word of the command line: the scalars of YAML 1.2's core schema.

Every scalar stays the text that was written until the type of its option says what to make of it (`ufm/cli/typed.py`),
so that a folder may be called 001 and a time is never a number in base 60, as in YAML 1.1. Aliases can stand for
gigabytes and tags for Python objects; a setting needs neither.
"""

import math
import re
from typing import Any

from ufm.files import DEEPEST, DIGITS

NULLS = frozenset({"null", "Null", "NULL", "~"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL, _OCTAL, _HEXADECIMAL = "[-+]?[0-9]+", "0o[0-7]+", "0x[0-9a-fA-F]+"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"


class Plain(str):
    """A scalar without quotes; null, a truth or a number where its option takes one."""

    __slots__ = ()


class Quoted(str):
    """A scalar with quotes, or a block of text."""

    __slots__ = ()


class Word(str):
    """A word of the command line."""

    __slots__ = ()


Raw = Plain | Quoted | Word | None | list["Raw"] | dict[str, "Raw"]
"""A document before types: a mapping, a list, a scalar, or None if empty."""


def parsed(text: str) -> Raw:
    """Parse one document.

    Raises:
        ValueError: if it is no YAML or no Unicode, has an anchor, a tag or a key twice, or is nested too deep.
    """
    import yaml

    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise ValueError(f"anchors and tags are not allowed, line {event.start_mark.line + 1} has one")
            getattr(event, "value", "").encode()  # half a character, which no record can hold, is refused here
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(f"more than {DEEPEST} levels")
        return _raw(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _raw(node: Any) -> Raw:
    import yaml

    if node is None:
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_raw(each) for each in node.value]
    if isinstance(node, yaml.ScalarNode):
        return (Plain(node.value) if node.value else None) if node.style is None else Quoted(node.value)
    mapping: dict[str, Raw] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError("a key must be one word")
        if key.value in mapping:
            raise ValueError(f"{key.value} appears twice")
        mapping[key.value] = _raw(value)
    return mapping


def truth(text: str) -> bool | None:
    """True or false; None if it is neither."""
    return _TRUTH.get(text)


def integer(text: str) -> int | None:
    """An integer, in decimals (whatever zeros come first), 0o17 or 0x1F; None if it is none."""
    if len(text) > DIGITS:
        return None
    for pattern, base in ((_DECIMAL, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if re.fullmatch(pattern, text):
            return int(text, base)
    return None


def number(text: str) -> float | None:
    """A finite number; None if it is none."""
    whole = integer(text)
    if whole is None and not re.fullmatch(_FLOAT, text):
        return None
    try:
        value = float(text if whole is None else whole)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def shown(raw: Any) -> str:
    """On one line, as it may be written."""
    if isinstance(raw, list):
        return f"[{', '.join(map(shown, raw))}]"
    if isinstance(raw, dict):
        return "{" + ", ".join(f"{key}: {shown(value)}" for key, value in raw.items()) + "}"
    return "null" if raw is None else str(raw)


def dumped(values: dict[str, Any]) -> str:
    """The document of a value, such that `parsed` reads it back; ambiguous text is quoted."""
    import yaml

    dumper: Any = type("Dumper", (yaml.SafeDumper,), {"yaml_implicit_resolvers": {}})
    known = {
        "null": "null|Null|NULL|~|",
        "bool": "|".join(_TRUTH),
        "int": "|".join((_DECIMAL, _OCTAL, _HEXADECIMAL)),
        "float": rf"{_FLOAT}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    }
    for name, pattern in known.items():
        dumper.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$"), None)
    return yaml.dump(values, Dumper=dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
