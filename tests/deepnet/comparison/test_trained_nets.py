"""Nets of every kind, trained on digits as on the page, against what is derived for them."""

import pytest

from deepnet.comparison.study import compared_run
from deepnet.settings import TrainSetting
from tests.deepnet.training.test_train import in_folder, run

pytestmark = pytest.mark.slow


def trained(net, folder, **changes):
    setting = TrainSetting(
        data="digits", net=net, width=0.125, per_class=20, test_per_class=2, epochs=15, terminal=12, batch_size=50,
        lr=0.05, decay=0.01, clip=5.0, schedule="cosine", measure_every=15,
    )  # fmt: skip
    assert run(in_folder(setting, folder, **changes)) is None
    return compared_run(folder, "cpu", None).entry


@pytest.mark.parametrize("net", ["conv", "preact_resnet"])
def test_one_normalisation_at_the_end_pays_its_price(net, tmp_path):
    """|w|/|h| is 1/sqrt((K - 1) J) with J = 1; false twins: J = 2, and the price without the ReLU's K/(K - 1)."""
    found = trained(net, tmp_path / "run")
    assert max(abs(row["deviation"]) for row in found["derived"]["rows"]) < 0.002
    assert 1 <= found["derived"]["objective_over_bound"] < 1.002
    ratio = found["measures"]["norm_w"] / found["measures"]["norm_h"]
    assert ratio == pytest.approx(1 / 3, rel=0.002)
    assert ratio != pytest.approx(1 / 18**0.5, rel=0.1)
    assert ratio != pytest.approx(1 / 10**0.5, rel=0.02)


@pytest.mark.parametrize(("net", "dimensions"), [("vit_unscaled", 9), ("vit", 5)])
def test_transformers_have_the_dimensions_and_margin_of_what_is_least(net, dimensions, tmp_path):
    found = trained(net, tmp_path / "run")
    deviations = {row["name"]: row["deviation"] for row in found["derived"]["rows"]}
    assert found["measures"]["dimensions"] == pytest.approx(dimensions, abs=0.02)
    assert abs(deviations["margin"]) < 0.002
    assert 0 < deviations["objective"] < 0.005


def test_without_normalisation_the_last_two_layers_balance(tmp_path):
    """|W|^2 is that of the last hidden layer and its shifts; and the classes are not a simplex."""
    found = trained("mlp", tmp_path / "run", decay=0.001)
    assert found["derived"] is None
    assert found["classifier_over_writers"] == pytest.approx(1, abs=0.01)
    assert found["measures"]["dimensions"] < 6
