import dataclasses
import math

import pytest
import torch

from tests.reference_values import FOCAL_WINDOWS, MINIMISERS, SQUARED_ERROR_BY_BIAS_DECAY
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError, make_loss
from ufm.model.problem import Problem
from ufm.model.spheres import SphereProblem
from ufm.theory.prediction import balanced_target, focal_of_margin, focal_slope, predict, predicted_point, ray_of
from ufm.theory.sphere_prediction import sphere_target


@pytest.mark.parametrize("row", MINIMISERS, ids=lambda row: f"{row[0]}-{row[1]}-{row[2]}")
def test_reference_table(row):
    spec, K, n, decay_W, decay_H, margin, p_y, norm_w, norm_h, value = row
    found = predict(Problem(make_loss(spec), K, K - 1, n, decay_W, decay_H, 0.0))
    assert found.margin == pytest.approx(margin, rel=1e-12)
    assert found.p_y == (None if p_y is None else pytest.approx(p_y, rel=1e-12))
    assert found.norm_w == pytest.approx(norm_w, rel=1e-12)
    assert found.norm_h == pytest.approx(norm_h, rel=1e-12)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.is_proved_global


@pytest.mark.parametrize("row", SQUARED_ERROR_BY_BIAS_DECAY)
def test_squared_error_with_every_kind_of_bias(row):
    decay_b, common, bias, value = row
    found = predict(Problem(SquaredError(), 4, 6, 2, 5e-3, 1e-3, decay_b))
    assert found.common == pytest.approx(common, rel=1e-11, abs=1e-15)
    assert found.bias == pytest.approx(bias, rel=1e-11, abs=1e-15)
    assert found.value == pytest.approx(value, rel=1e-11)


def test_a_threshold_that_underflows_is_at_zero_and_not_near():
    """Focal loss at zero has the slope p (1 - p)^(gamma - 1) (...), which is 0 in floats from gamma = 2600 at K = 4."""
    far, near = (balanced_target(Problem(Focal(gamma), 4, 5, 2, 5e-3, 5e-3, None)) for gamma in (2600.0, 2.0))
    assert (far.margin, far.facts["zero_threshold"], far.notes) == (0.0, 0.0, far.notes[:1])
    assert near.facts["zero_threshold"] > 0
    assert not any("threshold" in note for note in far.notes)
    c = near.facts["zero_threshold"]
    for factor, is_near in ((0.998, False), (0.9995, True), (1.0005, True), (1.002, False)):
        decay = factor * c / math.sqrt(2)
        notes = balanced_target(Problem(Focal(2.0), 4, 5, 2, decay, decay, None)).notes
        assert any("threshold" in note for note in notes) == is_near


def test_predicted_point_is_critical_and_has_the_predicted_numbers(problem):
    prediction = predict(problem)
    x = predicted_point(problem, prediction)
    value, gradient = problem.value_and_gradient(x)
    assert float(gradient.abs().max()) < 1e-14 * max(1.0, prediction.margin)
    assert float(value) == pytest.approx(prediction.value, rel=1e-13)
    assert float(value - problem.penalty(x)) == pytest.approx(prediction.loss, rel=1e-11)
    W, H, _ = problem.unpack(x)
    torch.testing.assert_close(W.norm(dim=-1), torch.full((4,), prediction.norm_w).double())
    torch.testing.assert_close(H.norm(dim=-1), torch.full((12,), prediction.norm_h).double())


def test_where_squared_error_ends_at_zero_logits_its_value_has_the_loss_s_units(decay_b):
    problem = Problem(SquaredError(15.0, "mean"), 4, 5, 3, 10.0, 10.0, decay_b)
    prediction = predict(problem)
    assert prediction.is_zero
    value = float(problem.value(predicted_point(problem, prediction)))
    assert prediction.value == pytest.approx(value, rel=1e-13)


def test_a_wrong_margin_is_not_critical(problem):
    prediction = predict(problem)
    wrong = dataclasses.replace(prediction, margin=1.001 * prediction.margin)
    gradient = problem.value_and_gradient(predicted_point(problem, wrong))[1]
    assert float(gradient.abs().max()) > 1e-8


@pytest.mark.parametrize("row", FOCAL_WINDOWS, ids=lambda row: f"K{row[0]}-gamma{row[1]}")
def test_focal_window(row):
    """Zero takes over at the Maxwell point: just below it the ETF is predicted, with the reference margin."""
    K, gamma, _, maxwell, _, margin = row
    below, above = (predict(_with_strength(Focal(gamma), K, c)) for c in (maxwell * (1 - 1e-12), maxwell * (1 + 1e-12)))
    assert below.zero_threshold == pytest.approx(maxwell, rel=1e-12)
    assert below.margin == pytest.approx(margin, rel=1e-8 if margin > 0.01 else 1e-6)
    assert above.is_zero
    assert below.value == pytest.approx(above.value, rel=1e-10)


@pytest.mark.parametrize("gamma", [0.25, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("K", [2, 5, 17, 30, 200])
def test_focal_prediction_is_the_lowest_point_of_a_fine_grid(K, gamma):
    losses = [focal_of_margin(0.004 * i, K, gamma) for i in range(6000)]
    for c in (1e-4 / K, 0.3 / K, 0.9 / K, 1.1 / K, 1.2 / K, 1.5 / K):
        found = predict(_with_strength(Focal(gamma), K, c))
        grid = [loss + (K - 1) * c * 0.004 * i for i, loss in enumerate(losses)]
        assert found.value <= min(grid) + 1e-14
        assert found.value >= min(grid) - 1e-5


def test_focal_slope_is_the_derivative():
    for a, K, gamma in ((0.5, 4, 2.0), (3.0, 30, 0.5), (-1.0, 10, 3.0)):
        h = 1e-6
        difference = (focal_of_margin(a - h, K, gamma) - focal_of_margin(a + h, K, gamma)) / (2 * h)
        assert focal_slope(a, K, gamma) == pytest.approx(difference, rel=1e-7)


@pytest.mark.parametrize(
    ("loss", "threshold"),
    [(CrossEntropy(), 0.2), (LabelSmoothing(0.1), 0.18), (SquaredError(), 0.2), (SquaredError(15.0, "mean"), 1.2)],
)
def test_zero_takes_over_at_the_threshold(loss, threshold):
    below, above = (predict(_with_strength(loss, 5, threshold * factor)) for factor in (1 - 1e-6, 1 + 1e-6))
    assert below.zero_threshold == pytest.approx(threshold)
    assert 0 < below.margin < 1e-3
    assert above.is_zero


def test_what_is_not_proved_is_not_claimed():
    """Focal loss with a bias and (K - 1) c > 1: partially collapsed points can be lower than the ray."""
    inside = 0.04122
    assert not predict(_with_strength(Focal(3.0), 30, inside)).is_proved_global
    assert predict(_with_strength(Focal(3.0), 30, inside, decay_b=None)).is_proved_global
    assert predict(_with_strength(Focal(3.0), 30, 1 / 30)).is_proved_global
    assert predict(_with_strength(Focal(3.0), 5, 0.24)).is_proved_global
    assert predict(_with_strength(Focal(3.0), 30, 0.999 / 29, decay_b=1e-3)).is_proved_global  # by (K - 1) c <= 1 alone
    assert not predict(_with_strength(Focal(3.0), 30, 1.001 / 29, decay_b=1e-3)).is_proved_global


@pytest.mark.parametrize("is_proved", [True, False])
def test_the_target_says_whether_its_point_is_proved(is_proved):
    problem = _with_strength(Focal(3.0), 30, 0.04122, decay_b=None if is_proved else 0.0)
    target = balanced_target(problem)
    assert target.is_proved_global == is_proved
    assert any("not proved to be global" in note for note in target.notes) != is_proved


@pytest.mark.parametrize(("K", "d", "bound"), [(4, 6, 8.0), (5, 7, 25 / 3), (10, 10, 16.0)])
def test_the_temperatures_that_the_paper_covers_on_spheres(K, d, bound):
    """Yaras et al. 2022: tau < 2 (d - 2) / (1 + (K mod 2)/K) and d > K."""
    target = sphere_target(SphereProblem(CrossEntropy(), K, d, 2, temperature=bound * 0.999))
    assert target.facts["temperature_bound"] == pytest.approx(bound)
    assert target.facts["is_covered_by_theorem"] == (d > K)


def test_a_dimension_too_small_for_the_geometry_is_refused():
    with pytest.raises(ValueError, match=r"dim.*>= 3.*got 2"):
        predict(Problem(CrossEntropy(), 4, 2, 1, 1e-3, 1e-3))
    with pytest.raises(ValueError, match=r"dim.*>= 4.*got 3"):
        predict(Problem(SquaredError(), 4, 3, 1, 1e-3, 1e-3, None))
    assert predict(Problem(CrossEntropy(), 4, 1, 1, 1.0, 1.0)).is_zero


def test_the_zero_solution_fits_into_any_dimension():
    problem = Problem(CrossEntropy(), 4, 2, 1, 1.0, 1.0)
    assert not predicted_point(problem, predict(problem)).any()


def test_a_loss_without_theory_is_refused():
    class Unknown(Loss):
        """A loss nobody has analysed."""

    with pytest.raises(ValueError, match=r"no prediction is known"):
        predict(Problem(Unknown(), 4, 4, 1, 1e-3, 1e-3))
    assert ray_of(Unknown(), 4) is None


def test_tiny_decays_neither_underflow_nor_overflow():
    found = predict(Problem(CrossEntropy(), 10, 9, 10, 1e-300, 1e-300))
    assert all(math.isfinite(value) for value in dataclasses.astuple(found) if value is not None)
    assert found.margin == pytest.approx(-math.log(1e-300 * math.sqrt(10)), rel=1e-12)


def _with_strength(loss: Loss, K: int, c: float, decay_b: float | None = 0.0) -> Problem:
    return Problem(loss, K, K, 1, c, c, decay_b)
