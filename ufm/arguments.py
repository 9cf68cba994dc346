"""Rules for the arguments of public functions and constructors, one per argument, checked at the call.

    @takes(starts=tensor(None, None), tolerance=positive)         a function: the rules' names are its arguments'
    check_fields(self, K=integer(2), decay=positive)               a dataclass, in `__post_init__`

A word in a tensor's shape is one length in all arguments: `logits=tensor("N", "K"), labels=tensor("N", ...)`.

An argument that breaks its rule is refused with one sentence: its name, what is allowed, what was given. Rules look at
type, shape and range, never at every number of a tensor; they stand where a caller enters, not in loops.
"""

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any, TypeVar

import torch
from torch import Tensor

from ufm.errors import check

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rule:
    """A test of a value, and a description of the values that pass; for tensors also the lengths of the last axes."""

    holds: Callable[[Any], bool]
    allowed: str
    lengths: tuple[int | str | None, ...] = ()

    def check(self, argument: str, value: Any) -> None:
        """Refuse a value that is not allowed.

        Raises:
            ValueError: naming the argument, what is allowed, and the value.
        """
        if not self.holds(value):
            check(False, argument, shown(value), self.allowed)


def takes(**rules: Rule) -> Callable[[Function], Function]:
    """Decorator: check these arguments before the function is called; a wrong number of them is left to Python."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        unknown = [name for name in rules if name not in signature.parameters]
        assert not unknown, f"{function.__name__} has no arguments {unknown}"

        @functools.wraps(function)
        def checked(*arguments: Any, **named: Any) -> Any:
            given = signature.bind(*arguments, **named).arguments
            for name, value in given.items():
                if name in rules:
                    rules[name].check(name, value)
            _check_lengths(rules, given, "{}")
            return function(*arguments, **named)

        vars(checked)["rules"] = rules
        return checked  # type: ignore[return-value]

    return decorate


def _check_lengths(rules: Mapping[str, Rule], given: Mapping[str, Any], written: str) -> None:
    """Refuse tensors in which axes of one name differ in length; an argument's name is written so."""
    known: dict[str, tuple[int, str]] = {}
    for name, rule in rules.items():
        value = given.get(name)
        if not isinstance(value, Tensor) or not rule.lengths:
            continue
        for axis, length in zip(rule.lengths, value.shape[-len(rule.lengths) :], strict=True):
            if isinstance(axis, str):
                expected, other = known.setdefault(axis, (length, name))
                allowed = f"{rule.allowed} with {axis} = {expected}, as in `{other}`"
                if length != expected:
                    check(False, written.format(name), shown(value), allowed)


def check_fields(settings: Any, **rules: Rule) -> None:
    """Check the fields of a dataclass.

    Raises:
        ValueError: as `Rule.check`, the argument written `Problem(K=...)`.
    """
    written, given = f"{type(settings).__name__}({{}}=...)", {name: getattr(settings, name) for name in rules}
    for name, rule in rules.items():
        rule.check(written.format(name), given[name])
    _check_lengths(rules, given, written)


def shown(value: Any) -> str:
    """A value as text for an error message: type and shape of a tensor, and never more than a line."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)} on {value.device}"
    if inspect.isclass(value):
        return f"the class {value.__name__} (not one of its instances)"
    if isinstance(value, int) and not _fits(value):
        return f"an integer of {value.bit_length()} bits"
    text = " ".join((str(value) if isinstance(value, int | float) else repr(value)).split())
    return text if len(text) <= 80 else f"{text[:80]}..."


def _fits(value: int) -> bool:
    """Whether torch and numpy have a type of integers that holds it."""
    return -(2**63) <= value < 2**63


def is_number(value: Any) -> bool:
    """Whether a value is an int that a float can hold, or a float (numpy's float64 is one), and not a bool."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= sys.float_info.max)


def integer(least: int, most: int | None = None) -> Rule:
    """The rule: an integer of 64 bits in these bounds."""
    bounds = f">= {least}" if most is None else f"in [{least}, {most}]"

    def holds(value: Any) -> bool:
        return any_integer.holds(value) and least <= value and (most is None or value <= most)

    return Rule(holds, f"an integer {bounds}")


def number(least: float, most: float, allowed: str) -> Rule:
    """The rule: a number in the closed interval."""
    return Rule(lambda v: is_number(v) and least <= v <= most, allowed)


def instance(*kinds: type[Any]) -> Rule:
    """The rule: an instance of one of these classes."""
    return Rule(lambda v: isinstance(v, kinds), f"a {' or '.join(kind.__name__ for kind in kinds)}")


def one_of(names: Sequence[str]) -> Rule:
    """The rule: one of these words."""
    return Rule(lambda v: isinstance(v, str) and v in names, f"one of {', '.join(names)}")


def optional(rule: Rule, meaning: str = "") -> Rule:
    """The rule: None, or a value that `rule` allows."""
    note = f" ({meaning})" if meaning else ""
    return Rule(lambda v: v is None or rule.holds(v), f"{rule.allowed}, or None{note}", rule.lengths)


def each(rule: Rule, least: int = 0) -> Rule:
    """A tuple or list whose entries the rule allows."""
    count = f"{least} or more entries" if least else "entries"
    return Rule(
        lambda v: isinstance(v, tuple | list) and len(v) >= least and all(map(rule.holds, v)),
        f"a tuple of {count}, each {rule.allowed}",
    )


@functools.cache
def tensor(*shape: int | str | EllipsisType | None, dtypes: tuple[torch.dtype, ...] = (torch.float64,)) -> Rule:
    """A tensor of this shape: None is any length, a word one that others share, a leading `...` any number of axes."""
    words = ", ".join("..." if length is ... else "any" if length is None else str(length) for length in shape)
    names = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
    is_open = bool(shape) and shape[0] is ...
    lengths: Any = shape[1:] if is_open else shape

    def holds(value: Any) -> bool:
        if not isinstance(value, Tensor) or value.dtype not in dtypes or value.dim() < len(lengths):
            return False
        found = value.shape[value.dim() - len(lengths) :] if is_open else value.shape
        return len(found) == len(lengths) and all(
            not isinstance(a, int) or a == b for a, b in zip(lengths, found, strict=True)
        )

    return Rule(holds, f"a {names} tensor ({words})", lengths)


any_number = Rule(is_number, "a number")
any_integer = Rule(lambda v: isinstance(v, int) and not isinstance(v, bool) and _fits(v), "an integer of 64 bits")
positive = Rule(lambda v: is_number(v) and 0 < v < math.inf, "finite and > 0")
not_negative = Rule(lambda v: is_number(v) and 0 <= v < math.inf, "finite and >= 0")
finite = Rule(lambda v: is_number(v) and math.isfinite(v), "a finite number")
bias_decay = optional(Rule(not_negative.holds, "finite and >= 0 (0: free bias)"), "no bias")
boolean = instance(bool)
function = Rule(callable, "a function")
path = instance(str, Path)
seed = integer(0, 2**63 - 1)
class_labels = tensor("N", dtypes=(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8))
floats = (torch.float32, torch.float64)
progress = optional(function)


def _is_device(value: Any) -> bool:
    try:
        return isinstance(value, str | torch.device) and bool(torch.device(value))
    except RuntimeError:
        return False


device = Rule(_is_device, "a torch device or its name")
