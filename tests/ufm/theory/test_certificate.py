import pytest
import torch

from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.theory.certificate import certify
from ufm.theory.prediction import predict, predicted_point

CONVEX = [CrossEntropy(), LabelSmoothing(0.1), SquaredError(), SquaredError(15.0, "mean")]


@pytest.mark.parametrize("loss", CONVEX, ids=repr)
def test_the_predicted_minimiser_is_certified(loss, decay_b):
    problem = Problem(loss, 4, 6, 2, 5e-3, 1e-3, decay_b)
    prediction = predict(problem)
    found = certify(problem, predicted_point(problem, prediction))
    assert float(found.spectral_norm) == pytest.approx(found.radius, rel=1e-12)
    assert abs(float(found.gap)) < 1e-14 * max(1, prediction.margin)  # rounding grows with the logits


@pytest.mark.parametrize("decay_b", [1e-300, 1e-30, 1e-12])
def test_a_bias_that_hardly_decays_costs_no_more_than_a_free_one(decay_b, normal):
    free, hardly = (Problem(CrossEntropy(), 4, 6, 2, 5e-3, 1e-3, decay) for decay in (0.0, decay_b))
    x = predicted_point(free, predict(free)) + 1e-6 * normal(5, free.size)
    assert (certify(hardly, x).lower_bound >= certify(free, x).lower_bound).all()
    assert certify(hardly, x).gap.max() < 1e-5


@pytest.mark.parametrize("loss", CONVEX, ids=repr)
def test_the_bound_holds_at_any_point(loss, decay_b, normal):
    """Weak duality: no point's bound lies above the minimum, and the gap is never negative."""
    problem = Problem(loss, 4, 6, 2, 5e-3, 1e-3, decay_b)
    x = torch.logspace(-3, 1, 200, dtype=torch.float64)[:, None] * normal(200, problem.size)
    found = certify(problem, x)
    assert (found.lower_bound <= predict(problem).value * (1 + 1e-14)).all()
    assert (found.gap >= 0).all()
    assert found.lower_bound.isfinite().any()


def test_other_critical_points_are_not_certified(decay_b):
    problem = Problem(CrossEntropy(), 4, 6, 2, 5e-3, 1e-3, decay_b)
    at_zero = certify(problem, torch.zeros(problem.size, dtype=torch.float64))
    assert float(at_zero.spectral_norm) == pytest.approx(1 / (4 * 2**0.5), rel=1e-12)
    assert float(at_zero.spectral_norm) > at_zero.radius
    assert float(at_zero.gap) > 1


def test_the_bound_is_the_value_of_the_convex_relaxation():
    """The nuclear-norm problem at K = 4, n = 2, decays 5e-3, 1e-3, as a conic solver found it."""
    problem = Problem(CrossEntropy(), 4, 3, 2, 5e-3, 1e-3, 0.0)
    found = certify(problem, predicted_point(problem, predict(problem)))
    assert float(found.lower_bound) == pytest.approx(0.06405229050073, abs=1e-13)


def test_losses_that_are_not_convex_are_refused(normal):
    problem = Problem(Focal(2.0), 3, 3, 1, 0.1, 0.1)
    with pytest.raises(NotImplementedError, match="no convex conjugate"):
        certify(problem, normal(problem.size))
