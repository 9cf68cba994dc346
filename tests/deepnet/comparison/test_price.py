"""The derived price: J against the network itself, the prediction against other channels, the bound."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from deepnet.comparison.compare import Sizes
from deepnet.comparison.price import FeatureSource, derived_prediction, lower_bound
from deepnet.measures.features import last_layer
from deepnet.measures.normalisation import largest_second_moment
from deepnet.nets.nets import Network, make_net
from deepnet.nets.scales import Scales, scales
from deepnet.settings import TrainSetting
from deepnet.training.terminal import keep_statistics
from deepnet.training.training import begin
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError

SIZES = Sizes(K=10, n=20, d=64, decay=0.01)
RESNET18 = FeatureSource(3, is_rectified=True)
COUNTS = [("resnet18", 3), ("wide_resnet", 4), ("preact_resnet", 1), ("conv", 1)]
SQUARED = SquaredError(15.0, "mean")


def _net(name: str, head: dict[str, object] | None = None) -> Network:
    generator = torch.Generator().manual_seed(0)
    net = make_net(name, 0.0625, 3, (1, 8, 8), generator, head).train()  # type: ignore[arg-type]
    for parameter in net.body.parameters():
        if parameter.dim() == 1:
            parameter.data = 0.5 + torch.rand(parameter.shape, generator=generator)
    return net


def _found(net: Network) -> Scales:
    found = scales(net)
    assert found is not None
    return found


@torch.no_grad()
def _growth(net: Network, parameters: list[nn.Parameter]) -> float:
    """The worst deviation of a feature from twice itself when the parameters are doubled."""
    images = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = net(images)[1]
    for parameter in parameters:
        parameter.mul_(2)
    return float((net(images)[1] - 2 * before).abs().max() / before.abs().max())


@pytest.mark.parametrize(("name", "count"), COUNTS)
def test_features_are_homogeneous_in_exactly_the_scales_that_the_walk_finds(name: str, count: int) -> None:
    found = _found(_net(name))
    assert (found.count, found.is_rectified) == (count, True)
    net = _net(name)
    assert _growth(net, _found(net).parameters) < 1e-3  # eps of the normalisations that read the stream
    net = _net(name)
    assert _growth(net, _found(net).parameters[:-2]) > 0.05, "J short by one"


@torch.no_grad()
@pytest.mark.parametrize("name", ["preact_resnet", "conv"])
def test_one_normalisation_reads_a_scale_free_sum(name: str) -> None:
    """All that is added up before it may be scaled together; false twin: the stem alone in a pre-activation net."""
    net, images = _net(name), torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = net(images)[1]
    written = [m for m in net.body.modules() if isinstance(m, nn.Conv2d)]
    if name == "preact_resnet":
        blocks: Any = net.body.blocks
        written = [net.body.stem[0], *(b.branch[2] for b in blocks), *(b.shortcut for b in blocks if b.shortcut)]  # type: ignore[index]
    for convolution in written:
        convolution.weight.mul_(4.0)
    assert float((net(images)[1] - before).abs().max() / before.abs().max()) < 1e-3  # eps
    written[0].weight.mul_(4.0)
    changed = float((net(images)[1] - before).abs().max() / before.abs().max())
    assert changed > 0.05 if name == "preact_resnet" else changed < 1e-3


def test_a_normalisation_before_the_head_is_the_only_one_that_counts() -> None:
    net = _net("mlp")
    assert scales(net) is None
    net.classifier.reduce = nn.BatchNorm1d(net.feature_size)  # type: ignore[assignment]
    found = _found(net)
    assert (found.count, found.is_rectified) == (1, False)


def test_no_price_is_derived_behind_a_linear_map_or_another_head() -> None:
    assert scales(_net("resnet18", {"name": "linear", "dim": 5})) is None
    assert scales(_net("resnet18", {"name": "normalised"})) is None


def test_prices() -> None:
    assert RESNET18.price(10) == pytest.approx(10 / 27)
    assert FeatureSource(4, is_rectified=True).price(10) == pytest.approx(10 / 36)
    assert FeatureSource(1, is_rectified=False).price(10) == 1


def test_cross_entropy_follows_its_closed_form() -> None:
    found = derived_prediction(RESNET18, CrossEntropy(), SIZES)
    c = 0.01 * math.sqrt(10 / 27 / 10)
    assert found.margin == pytest.approx(math.log(1 + (1 - 10 * c) / c), rel=1e-12)
    assert found.norm_w / found.norm_h == pytest.approx(math.sqrt(1 / 27))
    assert derived_prediction(RESNET18, CrossEntropy(), replace(SIZES, n=5000)).margin == pytest.approx(found.margin)


def _one_hot_value(x: np.ndarray, count: int, sizes: Sizes) -> float:
    """L of features a e_y, W = alpha P + beta J1, b = s 1, entry by entry."""
    alpha, beta, s, a = x
    K, ones = sizes.K, np.full((sizes.K, sizes.K), 1 / sizes.K)
    W = alpha * (np.eye(K) - ones) + beta * ones
    missed = a * W + s - 15 * np.eye(K)
    penalty = (W**2).sum() + K * s**2 + a**2 / count
    return float((missed**2).mean() + sizes.decay / 2 * penalty)


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("decay", [0.01, 0.5])
def test_squared_error_is_the_least_over_one_hot_features(count: int, decay: float) -> None:
    sizes, source = replace(SIZES, decay=decay), FeatureSource(count, is_rectified=True)
    found = derived_prediction(source, SQUARED, sizes)
    start = np.array([1.5, 1.0, 0.1, 9.0])
    least = minimize(_one_hot_value, start, (count, sizes), method="BFGS", options={"gtol": 1e-9})
    alpha, _, s, a = least.x
    assert found.value == pytest.approx(least.fun, rel=1e-9)
    assert (found.margin, found.bias) == pytest.approx((alpha * a, s), rel=1e-5)
    assert (found.norm_w, found.norm_h) == pytest.approx((alpha * 0.9**0.5, a * 0.9**0.5), rel=1e-5)
    assert found.loss == pytest.approx(10 * decay**2 / (2 * count * 0.2), rel=1e-9)


def test_the_common_logit_lowers_the_price_that_norms_of_squared_error_show() -> None:
    found = derived_prediction(RESNET18, SQUARED, SIZES)
    shown = 10 * (found.norm_w / found.norm_h) ** 2
    assert shown == pytest.approx(0.34038, abs=1e-5)
    assert shown == pytest.approx(10 / 27 - 10 / 9 * found.bias**2)
    assert shown != pytest.approx(10 / 27, rel=0.05)


def test_at_its_threshold_squared_error_has_no_features() -> None:
    found = derived_prediction(RESNET18, SQUARED, SIZES)
    at = 0.01 * found.zero_threshold / found.c
    assert derived_prediction(RESNET18, SQUARED, replace(SIZES, decay=at * 1.001)).is_zero
    assert derived_prediction(RESNET18, SQUARED, replace(SIZES, decay=at * 0.999)).norm_h > 0


def test_focal_loss_has_a_prediction_and_no_bound() -> None:
    assert not derived_prediction(RESNET18, Focal(3.0), SIZES).is_proved_global
    assert lower_bound(RESNET18, Focal(3.0), SIZES) is None


def test_in_fewer_dimensions_than_classes_the_bound_stands_and_the_prediction_does_not() -> None:
    few = replace(SIZES, d=9)
    assert lower_bound(RESNET18, CrossEntropy(), few) == lower_bound(RESNET18, CrossEntropy(), SIZES)
    with pytest.raises(ValueError, match="`dim` must be >= 10"):
        derived_prediction(RESNET18, CrossEntropy(), few)
    derived_prediction(FeatureSource(1, is_rectified=False), CrossEntropy(), few)


@torch.no_grad()
@pytest.mark.parametrize("loss", [CrossEntropy(), LabelSmoothing(0.1), SquaredError(15.0, "mean")])
@pytest.mark.parametrize("name", [name for name, _ in COUNTS])
def test_no_random_network_is_below_the_bound(name: str, loss: CrossEntropy | SquaredError) -> None:
    net, labels = _net(name), torch.arange(12) % 3
    found, sizes = _found(net), Sizes(3, 4, net.feature_size, 0.05)
    bound = lower_bound(FeatureSource(found.count, found.is_rectified), loss, sizes)
    assert bound is not None
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        for parameter in net.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        logits = net(torch.randn(12, 1, 8, 8, generator=generator))[0]
        squares = sum(float(p.square().sum()) for p in [*found.parameters, *net.classifier.parameters()])
        assert float(loss(logits.double(), labels).mean()) + 0.025 * squares >= bound


@torch.no_grad()
@pytest.mark.parametrize("shrink", [1.0, 1e-4])
def test_in_evaluation_the_bound_stands_and_needs_its_moment(shrink: float) -> None:
    """One image a class, told apart by the last layer; false twin: too small a running variance gives features away."""
    training = begin(TrainSetting(data="digits", per_class=1, test_per_class=1, net="resnet18", width=0.0625))
    found, split = _found(training.net), training.data.splits["train"]
    for layer in found.normalisations:
        layer.weight.fill_(0.1)
    keep_statistics(training)
    for layer in found.normalisations:
        assert layer.running_var is not None
        layer.running_var.mul_(shrink)
    moment = largest_second_moment(training.net, found.normalisations, training.data, split, "fp32")
    H = last_layer(training.net, training.data, split, "fp32").H.double()
    W = 6 * torch.linalg.pinv(H - H.mean(0)).mT  # an image is its own class
    squares = sum(float(p.square().sum()) for p in found.parameters) + float(W.square().sum())
    value = float(CrossEntropy()(H @ W.mT, torch.arange(10)).mean()) + 0.05 * squares
    source, sizes = FeatureSource(3, is_rectified=True), Sizes(10, 1, H.shape[1], 0.1)
    own, of_all = (lower_bound(replace(source, moment=q), CrossEntropy(), sizes) for q in (moment, 1.0))
    assert own is not None
    assert of_all is not None
    assert own <= value
    assert (moment == pytest.approx(1, abs=1e-3)) == (value >= of_all) == (shrink == 1)


@pytest.mark.parametrize(
    ("loss", "margin", "norm_w", "norm_h", "objective"),
    [
        (CrossEntropy(), 6.381847, 0.978469, 5.870053, 0.110853),
        (LabelSmoothing(0.1), 4.339944, 0.809235, 4.827323, 0.567040),
        (Focal(2.0), 3.749799, 0.750045, 4.499490, 0.062118),
        (SQUARED, 14.920050, 1.464541, 9.168808, 0.235512),
    ],
)
def test_a_trained_resnet_50_pays_for_four_normalisations(
    loss: Any, margin: float, norm_w: float, norm_h: float, objective: float
) -> None:
    """What runs on CIFAR-10 wrote of themselves (the page has the command), and the twins with J = 3 and 5."""
    for count in (3, 4, 5):
        derived = derived_prediction(FeatureSource(count, is_rectified=True), loss, Sizes(10, 50, 512, 0.01))
        off = [norm_w / derived.norm_w - 1, norm_h / derived.norm_h - 1]
        if count == 4:
            assert max(map(abs, [*off, margin / derived.margin - 1])) < 0.003
            assert 1 < objective / derived.value < 1.001
        else:
            assert min(map(abs, off)) > 0.04
