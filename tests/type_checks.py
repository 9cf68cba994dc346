"""The tests' run-time type checks: jaxtyping's, which are made once for what has the same types and shapes.

pytest's option `--jaxtyping-packages` has all our functions checked by `jaxtyping.jaxtyped`; with the small tensors of
tests that takes longer than what most of them do. Here a function's arguments are checked when they have types, dtypes
or shapes with which it has not been called before, and its result when it is new in the same sense; lists and
dictionaries are known by what they hold. Other collections, and functions whose annotations name values (`Literal`),
are checked at every call. Of a function in an inner loop, which is called often, one call in `EVERY` is looked at.
"""

import dataclasses
import functools
import inspect
import threading
import types
from collections.abc import Callable, Collection, Hashable
from typing import Any

import jaxtyping
import numpy as np
import torch

_jaxtyped = jaxtyping.jaxtyped


class _Undecided(Exception):
    """Whether the value fits an annotation is not decided by what is looked at here."""


OFTEN, EVERY = 1000, 32
"""Calls of a function until not every one is looked at, and how many then make one that is."""
MOST = 50
"""Entries of a list or dictionary that are looked at; longer ones are checked at every call."""


def _undecided(value: object) -> Hashable:
    raise _Undecided


def _of_array(value: Any) -> Hashable:
    return type(value), value.dtype, value.shape


def _of_tuple(value: tuple[object, ...]) -> Hashable:
    return type(value), *map(_kind, value)


def _inside(value: object) -> Hashable:
    """The kind of an entry; lists within lists are checked at every call."""
    if isinstance(value, list | dict | set | frozenset):
        raise _Undecided
    return _kind(value)


def _of_several(value: Any) -> Hashable:
    if len(value) > MOST:
        raise _Undecided
    return type(value), frozenset(map(_inside, value))


def _of_dictionary(value: dict[object, object]) -> Hashable:
    if len(value) > MOST:
        raise _Undecided
    return type(value), frozenset((_kind(key), _inside(each)) for key, each in value.items())


def _itself(value: Any) -> Hashable:
    return value


_HOW: dict[type, Callable[[Any], Hashable]] = {}
"""How a value of a type tells its kind."""


def _how(cls: type) -> Callable[[Any], Hashable]:
    if issubclass(cls, torch.Tensor | np.ndarray):
        return _of_array
    if issubclass(cls, tuple):
        return _of_tuple
    if issubclass(cls, type):  # annotations may say `type[...]`
        return _itself
    if issubclass(cls, dict):
        return _of_dictionary
    if issubclass(cls, list | set | frozenset):
        return _of_several
    is_told_by_type = issubclass(cls, str | range) or not issubclass(cls, Collection)  # as an iterator is
    return type if is_told_by_type else _undecided


def _kind(value: object) -> Hashable:
    """What decides whether a value fits an annotation."""
    cls = type(value)
    how = _HOW.get(cls)
    if how is None:
        how = _HOW[cls] = _how(cls)
    return how(value)


def _kinds(args: tuple[object, ...], kwargs: dict[str, object]) -> Hashable:
    kinds = tuple(map(_kind, args))
    return (kinds, tuple(kwargs), *map(_kind, kwargs.values())) if kwargs else kinds


class _Checker:
    """Checks a function, or every function that the same lines define; made ready at the first call."""

    def __init__(self, function: Callable[..., Any], typechecker: Any) -> None:
        self.annotations = function.__annotations__
        self.calls = 0
        self.fitting: dict[Hashable, set[Hashable]] = {}
        """Kinds of arguments that fit, and of the results that fitted with them."""
        self._called = threading.local()
        self._typechecker = typechecker
        self._model = self._like(function)

    def _like(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the same signature, which does what the one about to be called does."""
        called = self._called

        def stand_in(*args: object, **kwargs: object) -> object:
            __tracebackhide__ = True
            return called.function(*args, **kwargs)

        code, names = stand_in.__code__, function.__globals__
        model = types.FunctionType(code, names, function.__name__, closure=stand_in.__closure__)
        functools.update_wrapper(model, function)
        del model.__wrapped__  # it may hold tensors
        model.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return model

    @functools.cached_property
    def _checked(self) -> Callable[..., Any]:
        return _jaxtyped(self._model, typechecker=self._typechecker)

    def call(self, function: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """What the function returns; arguments are checked before it is called, its result after."""
        __tracebackhide__ = True
        self._called.function = function
        return self._checked(*args, **kwargs)

    def check_result(self, result: object, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Check what the function has returned."""
        self.call(lambda *_, **__: result, args, kwargs)


_CHECKERS: dict[tuple[object, ...], _Checker] = {}


def _checker(function: Callable[..., Any], typechecker: Any) -> _Checker:
    """The checker of these lines; a new one where their annotations depend on more."""
    lines = function.__module__, function.__qualname__, function.__code__
    found = _CHECKERS.get(lines)
    if found is None or found.annotations != function.__annotations__:
        found = _CHECKERS[lines] = _Checker(function, typechecker)
    return found


def _remembering(function: Callable[..., Any], typechecker: Any) -> Callable[..., Any]:
    checker = _checker(function, typechecker)
    fitting = checker.fitting
    names_values = "Literal" in repr(function.__annotations__)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        checker.calls += 1
        if checker.calls > OFTEN and checker.calls % EVERY:
            return function(*args, **kwargs)
        if names_values:
            return checker.call(function, args, kwargs)
        try:
            kinds = _kinds(args, kwargs)
            results = fitting.get(kinds)
        except (_Undecided, TypeError):  # TypeError: sizes that are symbols cannot be looked up
            return checker.call(function, args, kwargs)
        if results is None:
            result = checker.call(function, args, kwargs)
            fitting[kinds] = set()
            return result
        result = function(*args, **kwargs)
        try:
            kind = _kind(result)
            is_new = kind not in results
        except (_Undecided, TypeError):
            checker.check_result(result, args, kwargs)
            return result
        if is_new:
            checker.check_result(result, args, kwargs)
            results.add(kind)
        return result

    return checked


def jaxtyped(function: Any = None, *, typechecker: Any = None) -> Any:
    """As `jaxtyping.jaxtyped`, of functions and classes, but it remembers."""
    if function is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if dataclasses.is_dataclass(function) and isinstance(vars(function).get("__init__"), types.FunctionType):
        if not hasattr(function.__init__, "__wrapped__"):
            function.__init__ = _remembering(function.__init__, typechecker)
        return function
    if isinstance(function, types.FunctionType) and not inspect.isgeneratorfunction(function):
        return _remembering(function, typechecker)
    return _jaxtyped(function, typechecker=typechecker)


def install() -> None:
    """Have the modules that are imported from now on checked so."""
    jaxtyping.jaxtyped = jaxtyped  # type: ignore[assignment]
