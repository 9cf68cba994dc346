"""Features behind a layer normalisation: the ball they lie in, its prediction against other channels, real networks."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import nn

from deepnet.comparison.compare import Sizes
from deepnet.comparison.layer_norm import in_ball, least_with_scale
from deepnet.nets.nets import Network, make_net
from deepnet.nets.scales import LayerScales, scales, writers
from deepnet.training.decayed import decayed
from ufm.errors import RequestError
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError

SIZES = Sizes(K=10, n=20, d=64, decay=0.01)


def a_net(name: str, seed: int = 0) -> Network:
    """With random parameters everywhere, positions, scales and shifts too."""
    generator = torch.Generator().manual_seed(seed)
    net = make_net(name, 0.0625, 3, (1, 8, 8), generator)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return net


def images() -> torch.Tensor:
    return torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_features_lie_in_the_ball_and_its_hyperplane():
    """False twin: of radius sqrt(d) / 2, which tokens that are nearly alike leave."""
    net = a_net("vit_unscaled")
    net.body.blocks[0].attention.write.bias.mul_(100)
    features = net(images())[1]
    assert features.sum(1).abs().max() < 1e-4
    assert features.norm(dim=1).max() <= math.sqrt(32)
    assert features.norm(dim=1).min() > math.sqrt(32) / 2
    scaled = a_net("vit")
    gamma, beta = scaled.body.last.weight, scaled.body.last.bias
    x = (scaled(images())[1] - beta) / gamma
    assert x.norm(dim=1).max() <= math.sqrt(32)


def test_cross_entropy_in_the_ball_is_a_function_of_the_margin():
    def value(a):
        return math.log1p(9 * math.exp(-a)) + 0.005 * (9 * a) ** 2 / (10 * 64)

    least = minimize_scalar(value, bounds=(0, 40), method="bounded", options={"xatol": 1e-11})
    found = in_ball(CrossEntropy(), SIZES)
    assert found.value == pytest.approx(least.fun, rel=1e-10)
    assert found.margin == pytest.approx(least.x, rel=1e-5)
    assert found.norm_h == pytest.approx(8)
    assert found.norm_w == pytest.approx(found.margin * 0.9 / 8)
    assert found.is_proved_global
    assert in_ball(CrossEntropy(), dataclasses.replace(SIZES, n=500)).value == pytest.approx(found.value, rel=1e-10)
    assert in_ball(CrossEntropy(), dataclasses.replace(SIZES, d=63)).value > found.value * 1.005


@pytest.mark.parametrize("loss", [LabelSmoothing(0.1), Focal(2.0), SquaredError(3.0, "mean")], ids=str)
def test_the_ball_s_least_value_is_what_free_features_in_it_find(loss):
    """W, b and one image a class, minimised from random starts without any theory."""
    sizes, labels = Sizes(3, 2, 5, 0.02), torch.arange(3)

    def value(x):
        point = torch.from_numpy(x).requires_grad_()
        W, b, y = point.split([15, 3, 15])
        y = y.view(3, 5) - y.view(3, 5).mean(1, keepdim=True)
        h = math.sqrt(5) * y / y.norm(dim=1, keepdim=True)
        f = loss(h @ W.view(3, 5).T + b, labels).mean() + 0.01 * (W.square().sum() + b.square().sum())
        return float(f.detach()), torch.autograd.grad(f, point)[0].numpy()

    starts = np.random.default_rng(0).normal(size=(3, 33))
    options = {"maxiter": 3000, "gtol": 1e-8, "ftol": 1e-12}
    least = min(minimize(value, start, jac=True, method="L-BFGS-B", options=options).fun for start in starts)
    assert in_ball(loss, sizes).value == pytest.approx(least, rel=1e-6)


def test_a_ball_with_too_few_dimensions_is_refused():
    with pytest.raises(RequestError, match="`dim` must be >= 9"):
        in_ball(CrossEntropy(), dataclasses.replace(SIZES, d=9))
    in_ball(CrossEntropy(), dataclasses.replace(SIZES, d=10))
    with pytest.raises(RequestError, match="`dim` must be >= 10"):
        in_ball(SquaredError(15.0, "mean"), dataclasses.replace(SIZES, d=10))


def test_the_scale_makes_pairs_the_least_that_is_found():
    """Six classes in three dimensions, below what any simplex costs, above the convex bound with the nuclear norm."""

    def on_simplex(a, factor):
        return math.log1p(5 * math.exp(-a)) + 0.01 * factor * a / math.sqrt(6 * 16)

    simplex, bound = (
        minimize_scalar(on_simplex, bounds=(0, 40), method="bounded", args=(factor,)).fun for factor in (5**1.5, 5)
    )
    found = least_with_scale(CrossEntropy(), Sizes(6, 5, 16, 0.01))
    assert bound < found.value < simplex
    assert found.dimensions == pytest.approx(3, abs=0.05)
    assert not found.is_zero


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_no_random_transformer_is_below_the_ball_s_bound(seed):
    net, labels = a_net("vit_unscaled", seed), torch.arange(12) % 3
    logits = net(images())[0]
    squares = sum(float(p.square().sum()) for p in net.classifier.parameters())
    bound = in_ball(CrossEntropy(), Sizes(3, 4, 32, 0.05)).value
    assert float(CrossEntropy()(logits.double(), labels).mean()) + 0.025 * squares >= bound


@torch.no_grad()
@pytest.mark.parametrize("name", ["vit_unnormalised", "mlp"])
def test_features_that_are_not_normalised_are_homogeneous_in_what_writes_them(name):
    """False twin: all but one."""
    for spared in (0, 1):
        net = a_net(name)
        before, writing = net(images())[1], writers(net)
        for parameter in writing[spared:]:
            parameter.mul_(2)
        deviation = float((net(images())[1] - 2 * before).abs().max() / before.abs().max())
        assert deviation < 1e-4 if spared == 0 else deviation > 0.02


def test_what_decays_and_what_is_known_of_a_transformer():
    nets = {name: a_net(name) for name in ("vit", "vit_unscaled", "vit_unnormalised")}
    assert [len(decayed(net)) for net in nets.values()] == [4, 2, len(list(nets["vit_unnormalised"].parameters()))]
    assert isinstance(scales(nets["vit"]), LayerScales)
    assert scales(nets["vit_unnormalised"]) is None
    assert writers(nets["vit"]) is None
    net = nets["vit_unnormalised"]
    net.classifier.reduce = nn.Linear(32, 32)
    assert writers(net) is None
