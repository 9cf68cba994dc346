"""The two forms of L-BFGS read side by side: the same functions in the same order, the same names of state."""

import ast
import dataclasses
from pathlib import Path

import pytest

from ufm.solve.lbfgs.line_search_batched import Starts
from ufm.solve.lbfgs.line_search_compiled import START

LBFGS = Path(__file__).parents[3] / "ufm" / "solve" / "lbfgs"
OWN = {
    "next_trial",
    "_step",
    "_two_products",
    "_load",
    "_four_products",
    "_square",
    "Queue",
    "loaded",
    "unset",
}
"""Loops that are one operation on tensors, and the other way round."""


def functions(name):
    tree = ast.parse((LBFGS / f"{name}.py").read_text(encoding="utf-8"))
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [each.removeprefix("_") for each in found if each not in OWN]


@pytest.mark.parametrize("part", ["line_search_{}", "{}"])
def test_both_forms_have_the_same_functions_in_the_same_order(part):
    batched, compiled = (functions(part.format(form)) for form in ("batched", "compiled"))
    assert [each.replace("Batched", "").replace("Compiled", "") for each in batched if each != "Starts"] == [
        each.replace("Compiled", "") for each in compiled
    ]
    assert len(batched) >= 6


def test_both_forms_know_the_same_of_a_start():
    known = {field.name for field in dataclasses.fields(Starts)}
    ends = {f"{end}_{what}" for end in ("low", "high") for what in ("t", "f", "slope")}
    assert {*START.names} == known - {"low", "high"} | ends
