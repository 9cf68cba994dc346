"""A net against what is derived for it: numbers by hand, and what is left out where nothing is derived."""

import dataclasses
import math

import pytest
import torch

from deepnet.comparison.compare import Sizes
from deepnet.comparison.derived import derived
from deepnet.comparison.price import FeatureSource, lower_bound
from deepnet.comparison.verdict import verdict
from deepnet.measures.reading import Reading
from deepnet.nets.nets import make_net
from deepnet.nets.scales import scales
from ufm.model.losses import CrossEntropy, Focal

SIZES = Sizes(4, 3, 64, 0.01)


def a_net(name="resnet18", head=None):
    return make_net(name, 0.125, 4, (3, 8, 8), torch.Generator().manual_seed(0), head or {"name": "linear"})


def derived_of(net, reading, loss, sizes, moment=1.0):
    return derived(net, scales(net), moment, reading, loss, sizes)


def a_reading(**values):
    return Reading(**dict.fromkeys((field.name for field in dataclasses.fields(Reading)), 1.0) | values)


def test_the_objective_is_the_loss_and_the_decay_of_what_has_a_scale():
    """Of a ResNet's last stage: two blocks and a projection, J = 3."""
    net = a_net()
    found = derived_of(net, a_reading(loss=0.5), CrossEntropy(), SIZES)
    last = [dict(block.named_modules()) for block in list(net.body.blocks)[-2:]]
    scaling = [block[name] for block in last for name in ("normalisation", "shortcut.1") if name in block]
    decayed = [*net.classifier.parameters(), *(each for layer in scaling for each in layer.parameters())]
    by_hand = 0.5 + 0.005 * sum(float(each.detach().double().square().sum()) for each in decayed)
    assert found.source.count == 3
    assert found.measured["objective"] == pytest.approx(by_hand, rel=1e-12)
    entry = found.as_dict()
    assert entry["objective_over_bound"] == pytest.approx(by_hand / found.bound)
    assert entry["rows"][0]["deviation"] == pytest.approx(1.0 / found.derived["margin"] - 1)


def test_focal_loss_has_a_prediction_and_no_bound():
    found = derived_of(a_net(), a_reading(), Focal(2.0), SIZES)
    assert found.bound is None
    assert found.as_dict()["objective_over_bound"] is None
    assert found.derived["margin"] > 0


@pytest.mark.parametrize(
    ("sizes", "moment"), [(Sizes(4, 3, 3, 0.01), 1.0), (Sizes(4, 3, 64, 9.0), 1.0), (SIZES, math.inf)]
)
def test_nothing_is_derived_without_dimensions_or_where_zero_is_best_or_features_are_not_finite(sizes, moment):
    assert derived_of(a_net(), a_reading(), CrossEntropy(), sizes, moment) is None


def test_the_bound_counts_j_as_often_as_evaluation_needs_and_the_prediction_does_not():
    """By hand: with q = 4 / 3 the J = 3 of a ResNet-18 bounds like the J = 4 of a ResNet-50."""
    plain, evaluated = (derived_of(a_net(), a_reading(), CrossEntropy(), SIZES, q) for q in (1.0, 4 / 3))
    assert evaluated.derived == plain.derived
    assert evaluated.bound == pytest.approx(lower_bound(FeatureSource(4, True), CrossEntropy(), SIZES), rel=1e-12)
    assert evaluated.bound < plain.bound * 0.99


def test_the_verdict_says_how_far_the_net_is():
    spread = {"mean": 1.0, "deviation": None, "count": 1}
    rows = [
        {"name": name, "ratio": spread, "measured": spread, "predicted": spread} for name in ("margin", "|w|", "|h|")
    ]
    rows.append({"name": "dimensions of class means", "ratio": spread, "measured": spread, "predicted": spread})
    deviations = {"margin": 0.001, "|w|": -0.004, "|h|": 0.002, "objective": 0.3}
    found = {
        "rows": [{"name": name, "deviation": {"mean": value}} for name, value in deviations.items()],
        "objective_over_bound": {"mean": 1.0006},
    }
    condition = {"condition": "ce", "rows": rows, "nc1_trace": {"mean": 1e-5}, "derived": found}
    near, far = ({"running": {"mean": value}} for value in (0.003, 0.7))
    words = verdict(condition | {"stationarity": near}, [])["verdict"]
    assert words.startswith("Stationary to 0.3%; of what is derived, with nothing fitted, |w| is off most, by 0.40%, ")
    assert "objective 0.06% above a lower bound (numeric)." in words
    assert verdict(condition | {"stationarity": far}, [])["verdict"].startswith("Not stationary; ")
    assert "derived" not in verdict(condition | {"stationarity": near, "derived": None}, [])["verdict"]
