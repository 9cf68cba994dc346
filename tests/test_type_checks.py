"""What the tests' type checks remember never lets through what jaxtyping and beartype refuse."""

from dataclasses import dataclass
from typing import Literal

import jaxtyping
import numpy as np
import pytest
import torch
from beartype import beartype
from jaxtyping import Float
from torch import Tensor

from tests import type_checks
from ufm.errors import check

checked = type_checks.jaxtyped(typechecker=beartype)


def twice(call, *args):
    """A value that fits is accepted however often it comes."""
    call(*args)
    call(*args)


def often(call, *args):
    """So often that one of the calls is looked at."""
    for _ in range(type_checks.EVERY):
        call(*args)


def test_our_functions_are_checked():
    assert jaxtyping.jaxtyped is type_checks.jaxtyped
    check(True, "argument", 1, "2")
    with pytest.raises(jaxtyping.TypeCheckError, match=r"ufm\.errors\.check"):
        often(check, True, "argument", 1, 2)


def test_arguments_are_checked_after_others_that_fit():
    @checked
    def f(x: Float[Tensor, "B P"], y: Float[Tensor, " B"], name: str = "") -> None:
        called.append(name)

    called: list[str] = []
    twice(f, torch.zeros(3, 4), torch.zeros(3))
    f(torch.zeros(2, 4), torch.zeros(2), name="b")
    wrong = [
        (torch.zeros(3, 4), torch.zeros(4)),
        (torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(3, 4), np.zeros(3)),
        (torch.zeros(3), torch.zeros(3)),
        (torch.zeros(3, 4), torch.zeros(3), 1),
    ]
    for args in wrong:
        for _ in range(2):
            with pytest.raises(jaxtyping.TypeCheckError, match="parameters of"):
                f(*args)
    with pytest.raises(TypeError, match="missing"):
        f(torch.zeros(3, 4))
    assert called == ["", "", "b"]  # none of the wrong calls came through


def test_results_are_checked_after_others_that_fitted():
    @checked
    def f(x: Float[Tensor, " B"]) -> Float[Tensor, "B B"]:
        return results.pop()

    results = [torch.zeros(3, 2), torch.zeros(3), torch.zeros(3, 3), torch.zeros(3, 3)]
    twice(f, torch.zeros(3))
    for _ in range(2):
        with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
            f(torch.zeros(3))
    assert not results  # the function was called once a call


def test_what_a_list_holds_is_looked_at_every_time():
    @checked
    def f(parts: list[int]) -> list[str]:
        return results.pop()

    results: list[list[object]] = [[1], ["a"], ["a"]]
    twice(f, [1])
    with pytest.raises(jaxtyping.TypeCheckError, match="parameters of"):
        f(["a"])
    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        f([1])


def test_a_tuple_is_known_by_its_parts_and_a_word_by_itself():
    @checked
    def f(pair: tuple[int, str], which: Literal["last", "best"]) -> None: ...

    twice(f, (1, "a"), "last")
    for args in [((1, 2), "last"), ((1, "a", "b"), "last"), ((1, "a"), "first")]:
        with pytest.raises(jaxtyping.TypeCheckError):
            f(*args)


def test_of_calls_that_are_many_some_are_checked():
    @checked
    def f(x: int) -> None: ...

    for _ in range(type_checks.OFTEN):
        f(1)
    with pytest.raises(jaxtyping.TypeCheckError):
        often(f, "a")


def test_fields_and_functions_within_functions():
    @checked
    @dataclass
    class A:
        x: Float[Tensor, " P"]

        @property
        @checked
        def half(self) -> int:
            return len(self.x) / 2

    twice(A, torch.zeros(3))
    with pytest.raises(jaxtyping.TypeCheckError):
        A(torch.zeros(3, 3))
    with pytest.raises(jaxtyping.TypeCheckError):
        _ = A(torch.zeros(4)).half

    def added(n):
        @checked
        def add(x: int) -> int:
            return x + n

        return add

    assert (added(1)(1), added(2)(1)) == (2, 3)
    with pytest.raises(jaxtyping.TypeCheckError):
        added(0.5)(1)


def test_lines_whose_annotations_depend_on_more_have_each_its_own_checks():
    def taking(wanted):
        @checked
        def f(x: wanted) -> None: ...

        return f

    first, second = taking(int), taking(str)
    twice(first, 1)
    twice(second, "a")
    with pytest.raises(jaxtyping.TypeCheckError):
        second(1)
    with pytest.raises(jaxtyping.TypeCheckError):
        first("a")
