"""Pickles from elsewhere: plain values come back, everything else is a stand-in or refused, and nothing runs."""

import pickle
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import pytest

from tests.damaged_files import Payload
from ufm.engine.plain_pickle import plain, sketch
from ufm.scan.cells import Cell, Unit
from ufm.scan.outcomes import solve

CELL = Cell({"name": "focal", "gamma": 2.0}, 3, 4, 1, 0.1, 0.2, None)
UNIT = Unit((CELL,), 8, 0, 1e-9, 100, "cpu")


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "x", b"x", [1, (2, "y")], {"a": [None]}, {1, 2}, frozenset({3})])
def test_plain_values_are_read_as_they_are(value):
    assert plain(pickle.dumps(value)) == value
    assert sketch(pickle.dumps(value)) == value


@pytest.mark.parametrize("value", [Payload(), [Payload()], OrderedDict(a=1), print, Path("x"), UNIT, Fraction(1, 2)])
def test_anything_else_is_no_plain_value(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="no plain value"):
        plain(pickle.dumps(value))
    assert not Path("pwned").exists()


def test_a_sketch_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sketch(pickle.dumps([Payload(), (solve, UNIT)]))
    assert found[0].path == "posix.system"
    assert found[0].given == ("touch pwned",)
    assert not Path("pwned").exists()
    pickle.loads(pickle.dumps(Payload()))  # the payload is a real one
    assert Path("pwned").exists()


def test_equal_objects_have_equal_sketches():
    def sketched(unit: object) -> object:
        return sketch(pickle.dumps(unit))

    assert sketched(UNIT) == sketched(pickle.loads(pickle.dumps(UNIT)))
    other = Unit((CELL,), 9, 0, 1e-9, 100, "cpu")
    assert sketched(UNIT) != sketched(other)
    assert sketched(solve) == sketched(solve)
    assert sketched(solve) != sketched(print)
    assert sketched(CELL) != sketched(UNIT)
