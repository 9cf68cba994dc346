"""The constant of a loss psi(x), against the closed forms of the derivation."""

import math

import pytest

from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.own_loss import loss_of
from ufm.theory.margin_loss import margin_loss

EXAMPLES = "ufm.example_losses"


def own(name, **parameters):
    return loss_of({"name": f"{EXAMPLES}.{name}", **parameters})


def test_cross_entropy_is_convex_and_poly_1_up_to_epsilon_1():
    for loss in (CrossEntropy(), own("Poly1", epsilon=1.0)):
        assert margin_loss(loss, 4).free == math.inf


def test_poly_1_beyond_has_the_constant_1():
    found = margin_loss(own("Poly1", epsilon=3.0), 5)
    p_0 = (3.0 - 1) / (2 * 3.0)
    assert found.convex_up_to == pytest.approx(math.log(1 / p_0 - 1), abs=0.02)
    assert found.constant == pytest.approx(1.0, abs=1e-9)
    assert found.free == pytest.approx(1 / 4, abs=1e-9)
    assert found.decayed == pytest.approx(1 / math.sqrt(20), abs=1e-9)
    assert found.none == pytest.approx((1 - 0.2) * (1 + 3 * 0.2) / math.sqrt(20), rel=2e-2)


def test_generalised_cross_entropy_says_something_without_bias_only():
    found = margin_loss(own("GeneralisedCrossEntropy", q=0.7), 4)
    assert found.constant == found.free == found.decayed == 0
    slope_at_chance = 4**-0.7 * (1 - 1 / 4)  # 1/K < q/(1 + q) = 0.41
    assert found.none == pytest.approx(slope_at_chance / math.sqrt(12), rel=1e-2)
    assert margin_loss(own("GeneralisedCrossEntropy", q=0.3), 4).none == math.inf


@pytest.mark.parametrize(("K", "gamma"), [(10, 3.0), (30, 3.0)])
def test_focal_loss_has_the_constant_1(K, gamma):
    found = margin_loss(Focal(gamma), K)
    assert found.constant == pytest.approx(1.0, abs=1e-9)
    assert (found.none == math.inf) == (K <= 17)


@pytest.mark.parametrize(
    "loss", [SquaredError(), LabelSmoothing(0.1), own("LogitNormalised"), own("Poly1", epsilon=-3.0)], ids=str
)
def test_other_losses_are_no_increasing_functions_of_the_margin(loss):
    assert margin_loss(loss, 4) is None
