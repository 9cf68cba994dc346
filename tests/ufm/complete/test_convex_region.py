"""The bounds behind "focal loss with a bias is convex at every critical point", and critical points that keep to it."""

import math

import mpmath
import numpy as np
import pytest
import torch
from flint import arb, ctx
from scipy.stats import entropy

from tests.convex_region_attack import Problems, drawn, equations, solved
from ufm.complete import convex_region
from ufm.complete.convex_region import largest_odds, rise_of
from ufm.model.losses import Focal
from ufm.model.problem import Problem
from ufm.solve.newton import find_critical_points
from ufm.theory.prediction import focal_slope


@pytest.mark.parametrize(("gamma", "p_infl"), [(0.5, 0.0176617), (1.0, 0.0432), (2.0, 0.0578506), (10.0, 0.03568)])
def test_the_largest_odds_are_those_of_the_inflection(gamma, p_infl):
    """p_infl: the root of r(p) = 1 + 2 g + g log p - g^2 p log p / (1 - p), by another bisection."""
    assert 1 / (1 + largest_odds(gamma)) == pytest.approx(p_infl, rel=1e-3)


def test_the_largest_odds_are_rounded_down():
    with ctx.workprec(convex_region.PRECISION), mpmath.workdps(40):
        end = rise_of(arb(2)).end
        assert mpmath.exp(end) * (1 - 1e-15) < largest_odds(2.0) < mpmath.exp(end)


def test_the_entropy_is_that_of_two_probabilities():
    for v in (0.0, 1e-3, 0.3, 0.5, 0.9, 1.0):
        assert float(convex_region._entropy(v)) == pytest.approx(entropy([v, 1 - v]), rel=1e-12)


def test_case_two_is_shown_where_a_grid_has_it_and_not_just_beyond():
    """beta T(log 2 - beta) < x_1 - log 2, T(x) = S(x) up to x_infl. Twin: an x_1 just too small."""
    rise = rise_of(arb(2))
    beta = np.linspace(rise.end - math.log(2), 40, 2_001)
    most = max(b * focal_slope(b, 3, 2.0) for b in beta.tolist())
    assert convex_region.is_between(arb(2), rise._replace(one=math.log(2) + 1.5 * most))
    assert not convex_region.is_between(arb(2), rise._replace(one=math.log(2) + 0.99 * most))


def test_where_the_slope_were_larger_nothing_would_be_proved(monkeypatch):
    """Twin: A_m + A_l < 1 fails for a slope that is 3 times as large."""
    rise = rise_of(arb(2))
    assert convex_region.is_below(arb(2), rise)
    true = convex_region._bound
    monkeypatch.setattr(convex_region, "_bound", lambda *arguments: 3 * true(*arguments))
    assert not convex_region.is_below(arb(2), rise)


def test_slope_and_rise_against_the_closed_forms():
    for x in (-3.0, 0.0, 1.6, 4.0):
        assert float(convex_region.slope(arb(x), arb(2))) == pytest.approx(focal_slope(math.log(2) - x, 3, 2.0))
    rise = rise_of(arb(2))
    assert focal_slope(math.log(2) - rise.one, 3, 2.0) == pytest.approx(1.0)
    grid = [focal_slope(math.log(2) - x / 100, 3, 2.0) for x in range(-500, 2000)]
    assert rise.top == pytest.approx(max(grid), rel=1e-4)
    assert rise.top >= max(grid)


@pytest.mark.parametrize("decay_b", [0.0, 0.02])
def test_no_critical_point_found_has_a_lower_probability(decay_b):
    """Two samples a class, large biases among the starts."""
    problem = Problem(loss=Focal(2.0), K=3, d=2, n=2, decay_W=0.05, decay_H=0.05, decay_b=decay_b)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, problem.size, generator=generator, dtype=torch.float64)
    x[:, -3:] *= 4
    end = find_critical_points(problem, x * torch.logspace(-0.5, 0.7, 60, dtype=torch.float64)[:, None])
    found = end.x[end.is_converged]
    assert len(found) > 10
    own = problem.logits(found).softmax(-1)[:, torch.arange(6), problem.labels()]
    assert float(own.min()) > 1 / (1 + largest_odds(2.0))


@pytest.mark.parametrize(("K", "rows", "is_convex"), [(3, 80, True), (20, 10, False)])
def test_an_attack_that_knows_nothing_of_ufm_finds_no_lower_one(K, rows, is_convex):
    """gamma = 2, W arbitrary. Twin: of 20 classes zero is already below p_infl."""
    problems, v = drawn(K, 1, 2, np.random.default_rng(5))
    few = Problems(*(part[:rows] for part in problems))._replace(labels=problems.labels, gamma=np.full(rows, 2.0))
    with np.errstate(all="ignore"):
        rest, x = solved(few, v[:rows])
    found = x[rest < 1e-11]
    assert len(found) >= rows / 2
    assert (float(found.max()) < math.log(largest_odds(2.0))) == is_convex


def test_the_attack_solves_the_equations_of_the_model():
    """Its gradient is that of f in (H, b), by torch."""
    problems, v = drawn(3, 2, 2, np.random.default_rng(0))
    place = 7
    gamma, decay, decay_b = (float(part[place]) for part in (problems.gamma, problems.decay, problems.decay_b))
    problem = Problem(Focal(gamma), 3, 2, 2, 1e-3, decay, decay_b)
    x = torch.cat([torch.from_numpy(problems.W[place]).flatten(), torch.from_numpy(v[place])])
    expected = problem.value_and_gradient(x[None])[1][0, 6:].numpy()
    assert equations(problems, v)[0][place] == pytest.approx(expected, rel=1e-9, abs=1e-12)
