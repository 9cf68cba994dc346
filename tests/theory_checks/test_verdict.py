import math

import pytest

from theory_checks.verdict import Verdict, cross_check, deviation, positive, step


def verdict(*findings):
    return Verdict.of("numeric", findings, sizes="-")


def test_a_verdict_is_the_conjunction_of_its_findings():
    assert verdict(step("a", True), positive("b", 0.5)).holds
    assert not verdict(step("a", False), positive("b", 0.5)).holds
    assert not verdict().holds


def test_the_margin_is_the_smallest_and_nan_if_one_is_unknown():
    assert verdict(positive("a", 3.0), positive("b", 0.5), step("c", True)).margin == 0.5
    assert math.isnan(verdict(positive("a", 3.0), positive("b", math.nan)).margin)
    assert verdict(step("a", True)).margin is None


@pytest.mark.parametrize(("worst", "holds", "digits"), [(1e-12, True, 2), (1e-8, False, -2), (0.0, True, 16)])
def test_a_deviation_is_held_against_what_is_allowed(worst, holds, digits):
    finding = deviation("f", worst, 1e-10)
    assert finding.holds == holds
    assert finding.margin == pytest.approx(digits)


def test_nan_never_holds():
    assert not deviation("f", math.nan, 1.0).holds
    assert not positive("f", math.nan).holds


def test_a_cross_check_must_hold_but_is_not_the_margin():
    both = verdict(positive("a", 3.0), cross_check("b", 1e-12, 1e-10))
    assert (both.margin, both.worst) == (3.0, 1e-12)
    assert not verdict(positive("a", 3.0), cross_check("b", 1.0, 1e-10)).holds
