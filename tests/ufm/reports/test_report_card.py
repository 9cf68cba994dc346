import json

import pytest
import torch

from ufm.__main__ import COMMANDS
from ufm.cli.command_line import main
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.own_loss import loss_of
from ufm.model.problem import Problem
from ufm.reports.report_card import report_card
from ufm.reports.report_card_setting import ReportCardSetting
from ufm.theory.loss_properties import properties
from ufm.theory.model_choice import ModelChoice
from ufm.theory.prediction import phase_boundaries

SMOOTH, SYMMETRIC, CONVEX, ABOVE_RAY, UNIQUE = range(5)


def _fails(loss, K=4):
    return {i for i, item in enumerate(properties(loss, K)) if not item.holds}


class _Hinge(Loss):
    """Crammer and Singer: a kink where the margin is 1, flat beyond."""

    def __call__(self, logits, labels):
        own = torch.nn.functional.one_hot(labels, logits.shape[-1]).bool()
        other = logits.masked_fill(own, -torch.inf).amax(-1)
        return (1 + other - logits.masked_fill(~own, -torch.inf).amax(-1)).clamp(min=0)


class _Weighted(Loss):
    """Cross entropy in which class 0 counts twice."""

    def __call__(self, logits, labels):
        return CrossEntropy()(logits, labels) * (1 + (labels == 0).double())


class _Reversed(Loss):
    """Rewards the wrong classes."""

    def __call__(self, logits, labels):
        return -torch.expm1(-CrossEntropy()(logits, labels)).mul(-1)


@pytest.mark.parametrize(
    ("loss", "K", "fails"),
    [
        (CrossEntropy(), 4, set()),
        (LabelSmoothing(0.1), 4, set()),
        (Focal(3.0), 4, {CONVEX}),
        (Focal(3.0), 30, {CONVEX, UNIQUE}),
        (SquaredError(), 4, {ABOVE_RAY}),
        (loss_of({"name": "ufm.example_losses.Poly1"}), 4, set()),
        (loss_of({"name": "ufm.example_losses.GeneralisedCrossEntropy"}), 4, {CONVEX, UNIQUE}),
        (loss_of({"name": "ufm.example_losses.LogitNormalised"}), 4, {SMOOTH, CONVEX, ABOVE_RAY}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_properties_of_known_losses(loss, K, fails):
    assert _fails(loss, K) == fails


def test_every_property_can_fail():
    assert SMOOTH in _fails(_Hinge())
    assert SYMMETRIC in _fails(_Weighted())
    assert UNIQUE in _fails(_Reversed())


def test_the_counterexamples_are_ones():
    loss = loss_of({"name": "ufm.example_losses.GeneralisedCrossEntropy"})
    found = properties(loss, 4)
    point = found[CONVEX].point
    z, v = (torch.tensor([point[name]], dtype=torch.float64) for name in ("logits", "direction"))
    y = torch.tensor([point["label"]])
    assert float(loss(z, y)) > float(loss(z + v, y) + loss(z - v, y)) / 2 + 1e-3


def test_the_two_minimisers_of_focal_loss_are_those_at_the_maxwell_point():
    """K = 30, gamma = 3: c_M = 0.041228888234781, a = 0.814580055."""
    point = properties(Focal(3.0), 30)[UNIQUE].point
    assert point["c"] == pytest.approx(0.041228888234781, rel=1e-5)
    assert point["margins"] == pytest.approx([0.0, 0.814580055], abs=0.01)


def test_the_boundaries_of_focal_loss_are_the_known_ones():
    for K, expected in {
        20: (0.063146112826619, 0.063215566125145, 0.063239619544054),
        30: (0.040703976535721, 0.041228888234781, 0.041432854184035),
        100: (0.011057048189786, 0.011752115591455, 0.012136896680172),
    }.items():
        found = phase_boundaries(Problem(Focal(3.0), K, K, 1, 0.1, 0.1))
        assert found == pytest.approx(expected, rel=1e-11)
    low, middle, high = phase_boundaries(Problem(Focal(3.0), 10, 10, 1, 0.1, 0.1))
    assert low == middle == high == pytest.approx(0.12885281775976, rel=1e-12)


def test_the_card_of_cross_entropy_reproduces_the_theory():
    card = report_card(ReportCardSetting(classes=3, dim=4, per_class=2, starts=40))
    assert all(item.holds for item in card.properties)
    assert card.shares["etf"] == 1
    assert [kind["state"] for kind in card.kinds] == ["etf"]
    assert not card.other_minima
    assert card.zero_stable == pytest.approx(1 / (3 * 2**0.5), rel=1e-12)  # K c = 1, c = sqrt(n) decay
    for row in card.by_decay:
        assert row["zero" if row["decay_W"] > card.zero_stable else "etf"] == 1
        assert abs(row["best_minus_predicted"]) < 1e-12
    for row in card.comparison:
        if row["loss"] in ModelChoice.LOSSES:
            assert row["margin"] == pytest.approx(row["predicted_margin"], rel=1e-6)


def test_other_minima_are_found_where_there_are():
    """Generalised cross entropy just above the decay at which zero becomes a minimum."""
    loss = {"name": "ufm.example_losses.GeneralisedCrossEntropy"}
    card = report_card(ReportCardSetting(loss=loss, decay=0.06, starts=100, max_steps=3000))
    assert card.zero_stable == pytest.approx(4**-0.7 * 0.25 / 3**0.5, rel=1e-12)  # p^q (1/K) / sqrt(n) at p = 1/K
    assert len({kind["state"] for kind in card.kinds}) > 1
    assert card.other_minima


def test_the_command_writes_record_and_picture(tmp_path, capsys):
    words = ["report-card", "--loss", "ufm.example_losses.Poly1", "--loss.epsilon", "2", "--classes", "3", "--dim", "3"]
    words += ["--starts", "20", "--out", str(tmp_path / "card")]
    assert main("python -m ufm", "", COMMANDS, words) == 0
    result = json.loads((tmp_path / "card" / "record.json").read_text())["result"]
    assert result["spec"] == {"name": "ufm.example_losses.Poly1", "epsilon": 2}
    assert result["answers"]["other local minima found?"] == "none"
    assert (tmp_path / "card" / "report_card.png").stat().st_size > 1000
    assert main("python -m ufm", "", COMMANDS, ["report-card", "--loss", "ufm.example_losses.Nothing"]) == 2
    assert "has no attribute 'Nothing'" in capsys.readouterr().err


def test_a_loss_with_a_kink_at_zero_logits_has_no_threshold():
    """Its Hessian at zero does not exist, so no formula for the smallest eigenvalue does."""
    setting = ReportCardSetting(
        loss={"name": "ufm.example_losses.LogitNormalised"}, classes=3, dim=3, per_class=1, starts=2, max_steps=20
    )
    assert report_card(setting).zero_stable is None


def constant(logits, labels):
    return 0 * logits.sum(-1)


def test_a_loss_that_is_zero_everywhere_has_one_minimum(tmp_path, capsys):
    """Only the decays are minimised: f(0) = 0 is no scale, and all end points are zero."""
    words = ["--loss", f"{__name__}.constant", "--classes", "3", "--dim", "3", "--starts", "8"]
    assert main("python -m ufm", "", COMMANDS, ["report-card", *words, "--out", str(tmp_path / "card")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "other local minima found? │ none" in printed
    assert "no: equal where it must be above" in printed
