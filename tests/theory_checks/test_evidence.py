"""The machinery that evidence rests on refuses what is false."""

import numpy as np
import pytest
import sympy
from flint import arb

from theory_checks import intervals, symbols
from theory_checks.softmax_relaxation import bracket, dual_value


def test_balls_cover_a_positive_function_and_refuse_one_with_a_zero():
    cover = intervals.positive_on(lambda x: x * x - 2 * x + arb("1.01"), -1.0, 3.0)
    assert 0.005 <= cover.least <= 0.01
    assert intervals.positive_on(lambda x: x * x - 2 * x + 1, -1.0, 3.0).least is None
    assert intervals.positive_on(lambda x: x - arb("0.3"), 0.0, 1.0).least is None
    assert np.isnan(intervals.least(cover, intervals.Cover(None, 1)))


def test_a_ball_holds_both_of_its_ends():
    random = np.random.default_rng(0)
    for low in random.normal(size=500) * 10.0 ** random.uniform(-9, 9, 500):
        high = low + abs(low) * random.uniform()
        assert intervals.ball(low, high).contains(arb(low))
        assert intervals.ball(low, high).contains(arb(high))


def test_the_ranges_of_the_conditioning_claim_cover_the_decimals_of_its_sentence():
    from theory_checks.label_smoothing_worsens_the_hessian_with_decays import SMALLEST, SMOOTHINGS

    assert arb(SMALLEST) < arb("0.0001")
    assert arb(SMOOTHINGS[0]) < arb("0.01")
    assert SMOOTHINGS[1] == 0.5  # exact in binary, as is 0.125


def test_a_root_is_enclosed_and_a_bracket_without_sign_change_refused():
    root = intervals.root_between(lambda x: x * x - 2, 1.0, 2.0)
    assert root.contains(arb(2).sqrt())
    assert float(root.rad()) < 1e-13
    with pytest.raises(ValueError, match="must bracket a sign change"):
        intervals.root_between(lambda x: x * x - 2, 2.0, 3.0)


def test_symbols_prove_what_is_true_and_nothing_else():
    x, y = sympy.symbols("x y", positive=True)
    assert symbols.is_zero((x + y) ** 2 - x**2 - 2 * x * y - y**2)
    assert not symbols.is_zero(x - y)
    assert symbols.is_positive(x / (1 + y))
    assert not symbols.is_positive(x - y)
    assert not symbols.is_positive(sympy.Symbol("z"))
    assert symbols.tangent_line_of_exp()


def test_the_bracket_holds_the_zero_solutions_value():
    y = np.kron(np.eye(3), np.ones((2, 1)))
    found = bracket(y, 1.0, free_bias=True)  # decays beyond the threshold: Z = 0, f = log K
    assert found.lower <= np.log(3) <= found.upper + 1e-12
    assert found.gap < 1e-7


def test_a_dual_point_among_tied_logits_bounds_their_least_value_and_no_other():
    """With one logit for all classes the least loss is log K, at Z = 0; untied it is less, and q may be anything."""
    y, among = np.eye(3), np.full((3, 3), 1 / 3)
    assert dual_value(y, np.full((3, 3), 1 / 3), 0.05, among) == pytest.approx(np.log(3))
    free = bracket(y, 0.05, free_bias=False).upper
    assert free < 0.8
    for q in np.random.default_rng(0).dirichlet(np.ones(3), (50, 3)):
        assert dual_value(y, q, 0.05, among) <= np.log(3)
        assert dual_value(y, q, 0.05, np.eye(3)) <= free
