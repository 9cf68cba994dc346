"""Ball arithmetic: against torch, against known values, and false twins that must be refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from flint import arb, arb_mat, ctx
from scipy.optimize import brentq
from torch.nn.functional import pad

from ufm.atlas.atlas import Atlas
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError, make_loss
from ufm.model.problem import Point, Problem
from ufm.proof import enclosure, margin_enclosure
from ufm.proof.ball_losses import _focal_slope_derivative, focal_slope_ball, in_balls
from ufm.proof.ball_model import NOT_STATIONARY, BallModel, is_stationary
from ufm.proof.enclosure import enclose, is_dominated
from ufm.proof.margin_enclosure import enclose_margin, etf_ball
from ufm.solve.hessian import dense_hessian
from ufm.theory.prediction import focal_slope, predict
from ufm.tolerances import BOX


def _floats(matrix):
    return np.array([[float(entry.mid()) for entry in row] for row in matrix.tolist()])


def test_balls_agree_with_torch(problem, normal):
    x = normal(problem.size)
    with ctx.workprec(128):
        model = BallModel(problem, [arb(value) for value in x.tolist()])
        value, gradient = problem.value_and_gradient(x)
        assert float(model.value.mid()) == pytest.approx(float(value), rel=1e-13)
        assert [float(g.mid()) for g in model.gradient] == pytest.approx(gradient.tolist(), abs=1e-13)
        np.testing.assert_allclose(_floats(model.hessian), dense_hessian(problem, x[None])[0], atol=1e-13)
        assert float(model.hessian[0, 0].rad()) < 1e-30


def test_the_block_of_an_empty_column_is_that_of_torch(problem, normal):
    x = normal(problem.size)
    wide = dataclasses.replace(problem, d=problem.d + 1)
    W, H, b = problem.unpack(x)
    hessian = dense_hessian(wide, wide.pack(Point(pad(W, (0, 1)), pad(H, (0, 1)), b))[None])[0]
    places = wide.unpack(torch.arange(wide.size, dtype=torch.float64))
    last = torch.cat([places.W[:, -1], places.H[:, -1]]).long()
    found = _floats(BallModel(problem, [arb(value) for value in x.tolist()]).empty_column)
    np.testing.assert_allclose(found, hessian[last][:, last], atol=1e-13)


@pytest.mark.parametrize(("entry", "is_so"), [(0.9, True), (-0.9, True), (1.1, False), (-1.1, False)])
def test_a_row_is_dominated_by_moduli(entry, is_so):
    assert is_dominated(arb_mat([[1, 0], [entry, 1]])) == is_so


def test_balls_of_the_ray_are_those_of_the_loss_but_for_a_constant(loss):
    found = in_balls(loss)
    with ctx.workprec(128):
        rays = [found.on_ray(arb(a), 4) - found.value([arb(a), *[arb(0)] * 3], 0) for a in (0.5, 2.0)]
        # Of squared error the ray leaves out what the mean logit costs, weight/2 (a - r)^2 / K.
        if loss.rotates_labels:
            rays = [
                ray + found.weight(4) * (a - found.rescale) ** 2 / 8 for ray, a in zip(rays, (0.5, 2.0), strict=True)
            ]
        assert (rays[0] - rays[1]).contains(0)
        assert not (rays[0] - rays[1] + arb("1e-20")).contains(0)


def test_a_box_contains_the_gradients_of_its_points(normal):
    problem = Problem(Focal(3.0), 3, 2, 1, 1e-2, 1e-2, 0.0)
    x = normal(problem.size)
    model = BallModel(problem, [arb(value, 1e-3) for value in x.tolist()])
    for corner in (1e-3 * torch.sign(normal(20, problem.size))).unbind():
        for ball, value in zip(model.gradient, problem.value_and_gradient(x + corner)[1].tolist(), strict=True):
            assert ball.contains(arb(value, 1e-14))


@pytest.fixture(scope="module")
def atlases():
    found = {}
    for name, loss, decay_b in (
        ("ce", CrossEntropy(), 1e-2),
        ("ls", LabelSmoothing(0.1), 0.0),
        ("focal", Focal(3.0), None),
        ("mse", SquaredError(), 1e-1),
    ):
        found[name] = Atlas(Problem(loss, 3, 4, 2 if name == "ce" else 1, 5e-3, 5e-3, decay_b))
        found[name].grow(300)
    return found


@pytest.mark.parametrize("name", ["ce", "ls", "focal", "mse"])
def test_every_row_is_proved_with_its_exact_index(atlases, name):
    atlas = atlases[name]
    for row in atlas.rows:
        small = dataclasses.replace(atlas.model, d=row.columns)
        within = row.index - (4 - row.columns) * row.escapes
        proof = enclose(small, row.x, within, row.escapes, 4)
        assert proof.is_proved, proof
        assert proof.is_index_exact, proof
        assert proof.index == row.index
        assert 0 <= proof.radius < BOX
        one_more = enclose(small, row.x, within + 1, row.escapes, 4)
        assert not one_more.is_proved
        another_column = enclose(small, row.x, within, row.escapes + 1, 4)
        assert not another_column.is_proved
        moved = row.x.clone()
        moved[0] += 1e-6
        assert not enclose(small, moved, within, row.escapes, 4).is_proved


def test_a_lower_index_is_proved_but_not_as_exact(atlases):
    atlas = atlases["ce"]
    row = atlas.rows[2]
    small = dataclasses.replace(atlas.model, d=row.columns)
    proof = enclose(small, row.x, row.index_within - 1, row.escapes, 4)
    assert proof.is_proved
    assert not proof.is_index_exact


def test_a_point_with_an_unused_column_is_proved_but_not_with_an_exact_index(atlases):
    """How many directions a further column has is told by the rank, which is below the number of columns here."""
    atlas = atlases["ce"]
    row = next(row for row in atlas.rows if row.columns == 1 and row.escapes)
    small = dataclasses.replace(atlas.model, d=1)
    wide = dataclasses.replace(atlas.model, d=2)
    W, H, b = small.unpack(row.x)
    x = wide.pack(Point(*(torch.nn.functional.pad(part, (0, 1)) for part in (W, H)), b))
    proof = enclose(wide, x, row.index_within + row.escapes, row.escapes, 4)
    assert proof.is_proved
    assert not proof.is_index_exact
    assert enclose(small, row.x, row.index_within, row.escapes, 4).is_index_exact


def test_a_point_that_is_not_critical_is_refused(normal):
    problem = Problem(CrossEntropy(), 3, 2, 1, 5e-3, 5e-3, 0.0)
    proof = enclose(problem, normal(problem.size), 0, 0, 2)
    assert not proof.is_proved
    assert "existence" in proof.reason


def test_a_loss_without_balls_says_so(normal):
    class Mine(Loss):
        def __call__(self, logits, labels):
            return logits.square().sum(-1)

    problem = Problem(Mine(), 3, 2, 1, 5e-3, 5e-3, 0.0)
    with pytest.raises(NotImplementedError, match="ball arithmetic"):
        enclose(problem, normal(problem.size), 0, 0, 2)


def test_a_proof_that_the_full_gradient_contradicts_is_refused(normal, monkeypatch):
    problem = Problem(CrossEntropy(), 3, 2, 1, 5e-3, 5e-3, 0.0)
    monkeypatch.setattr(enclosure, "_krawczyk", lambda *_: 1e-15)  # as if it had found a zero of something else
    proof = enclose(problem, normal(problem.size), 0, 0, 2)
    assert not proof.is_proved
    assert proof.reason == NOT_STATIONARY


@pytest.mark.parametrize("name", ["atlas", "atlas_focal"])
def test_every_recorded_certificate_agrees_with_the_full_gradient(name):
    record = json.loads((Path(__file__).parents[3] / "figures" / "data" / f"{name}.json").read_text())
    setting, result = record["setting"], record["result"]
    decays = (setting[f"decay_{part}"] for part in "WHb")
    problem = Problem(make_loss(setting["loss"]), setting["classes"], setting["dim"], setting["per_class"], *decays)
    assert all(row["certificate"]["is_proved"] for row in result["rows"])
    for row in result["rows"]:
        small = dataclasses.replace(problem, d=row["columns"])
        ball = [arb(value, row["certificate"]["radius"]) for value in row["x"]]
        assert is_stationary(ball, BallModel(small, ball).gradient)
    model, ball = etf_ball(problem, arb(result["etf_margin"]["text"]))
    assert is_stationary(ball, BallModel(model, ball).gradient)


def test_wide_balls_show_no_critical_point():
    zero = [arb(0)] * 3
    assert is_stationary(zero, [arb(1e-12, 2e-12)] * 3)
    assert not is_stationary(zero, [arb(0, 1e-12), arb(1e-11, 1e-12), arb(0)])
    assert not is_stationary(zero, [arb(0, 1e-3)] * 3)
    assert not is_stationary(zero, [arb("nan")] * 3)
    assert is_stationary([arb(100)], [arb(0, 9e-6)])  # second derivatives are of the size of squares
    assert not is_stationary([arb(100)], [arb(0, 2e-5)])


@pytest.mark.parametrize("decay_b", [None, 0.0, 0.02])
@pytest.mark.parametrize(
    ("loss", "a"), [(CrossEntropy(), 4.0), (Focal(3.0), 1.5), (SquaredError(), 0.8), (SquaredError(15.0, "mean"), 14.0)]
)
def test_the_simplex_of_a_margin_is_critical_where_the_margin_is_right_and_nowhere_else(loss, a, decay_b):
    problem = Problem(loss, 4, 6, 3, 5e-3, 1e-3, decay_b)
    found = enclose_margin(problem)
    x = etf_ball(problem, arb(found.text))
    assert is_stationary(x[1], BallModel(*x).gradient)
    floats = torch.tensor([[float(entry.mid()) for entry in x[1]]], dtype=torch.float64)
    assert float(x[0].value_and_gradient(floats)[1].norm()) < 1e-14
    for wrong in (a, found.margin + 1e-6):
        x = etf_ball(problem, arb(wrong))
        assert not is_stationary(x[1], BallModel(*x).gradient)


def test_where_the_simplex_ends_it_has_no_margin():
    """Squared error at K c = 1, in numbers that doubles hold: the margin 1 - K c is 0."""
    assert enclose_margin(Problem(SquaredError(), 4, 4, 1, 0.25, 0.25, None)) is None
    assert enclose_margin(Problem(SquaredError(), 4, 4, 1, 0.25, 0.125, None)) is not None


# K = 4, n = 3, decays 5e-3 and 1e-3: margins to 17 digits (mpmath, 40 digits).
MARGINS = (
    (CrossEntropy(), "5.5420432009406428"),
    (LabelSmoothing(0.05), "4.0617563563103015"),
    (Focal(2.0), "2.7559894914640225"),
    (Focal(3.0), "2.2613044927511829"),
    (SquaredError(), "0.98450806661517033"),
    (SquaredError(15.0, "mean"), "14.969016133230341"),
)


@pytest.mark.parametrize(("loss", "margin"), MARGINS, ids=str)
def test_margins_are_enclosed(loss, margin):
    problem = Problem(loss, 4, 6, 3, 5e-3, 1e-3, 0.0)
    found = enclose_margin(problem)
    assert found is not None
    assert found.radius < 1e-30
    assert found.is_below_zero
    assert found.margin == pytest.approx(predict(problem).margin, rel=1e-14)
    assert arb(margin, 10.0 ** (-len(margin.split(".")[1]))).overlaps(arb(found.margin))


@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_the_slope_of_newtons_step_is_that_of_finite_differences(gamma):
    with ctx.workprec(200):
        a, h = arb("0.7"), arb("1e-20")
        difference = (focal_slope_ball(a + h, 5, arb(gamma)) - focal_slope_ball(a - h, 5, arb(gamma))) / (2 * h)
        assert abs(float(difference / _focal_slope_derivative(a, 5, arb(gamma))) - 1) < 1e-15


def test_the_ray_is_below_zero_up_to_the_maxwell_point_and_no_further():
    """K = 30, gamma = 3: the ETF is as low as zero at c = 0.0412288882 (`focal-window`, and the pages)."""
    for c, is_below in ((0.0412288, True), (0.0412289, False)):
        margin = brentq(lambda a, c=c: focal_slope(a, 30, 3.0) - 29 * c, 0.78, 0.9, xtol=1e-14)
        found = enclose_margin(Problem(Focal(3.0), 30, 30, 1, c, c, 0.0), near=margin)
        assert found is not None
        assert found.is_below_zero == is_below


def test_a_margin_whose_simplex_is_not_critical_in_the_full_model_is_refused(monkeypatch):
    problem = Problem(CrossEntropy(), 4, 6, 3, 5e-3, 1e-3, 0.0)
    assert enclose_margin(problem) is not None
    monkeypatch.setattr(margin_enclosure, "etf_ball", lambda model, a: etf_ball(model, a * (1 + arb("1e-9"))))
    assert enclose_margin(problem) is None


def test_false_margins_are_refused():
    problem = Problem(Focal(3.0), 4, 6, 3, 5e-3, 1e-3, 0.0)
    assert enclose_margin(problem, near=predict(problem).margin) is not None
    assert enclose_margin(problem, near=predict(problem).margin + 1e-6) is None
    assert enclose_margin(Problem(CrossEntropy(), 4, 6, 3, 0.2, 0.2, 0.0)) is None
    # Between the Maxwell point and c_high the ETF exists and lies above zero.
    window = enclose_margin(Problem(Focal(3.0), 30, 30, 1, 0.0413, 0.0413, 0.0), near=0.7636217)
    assert window is None or not window.is_below_zero
