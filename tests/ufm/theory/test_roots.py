"""Roots in a bracket."""

import math

import pytest

from ufm.theory.roots import root


def test_a_root_is_found_to_the_last_bit():
    assert root(lambda x: x * x - 2, 0.0, 2.0) == pytest.approx(math.sqrt(2), rel=4e-16, abs=0)
    assert root(lambda x: x**3 - 1e-90, 0.0, 1.0) == pytest.approx(1e-30, rel=1e-14, abs=0)  # however small


def test_a_wider_tolerance_is_kept():
    off = abs(root(lambda x: math.exp(x) - 3, 0.0, 5.0, 1e-2) - math.log(3))
    assert 1e-12 < off <= 1e-2


def test_without_a_change_of_sign_there_is_none():
    with pytest.raises(ValueError, match="different signs"):
        root(lambda x: x * x + 1, -1.0, 1.0)
