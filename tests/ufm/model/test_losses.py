import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from tests.conftest import LOSSES
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError, make_loss

LABELS = torch.tensor([0, 2, 1, 2, 0])
K = 3


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_batched_equals_one_by_one(loss, normal, batch):
    z = normal(*batch, 5, K)
    values, gradients = loss.value_and_gradient(z, LABELS)
    assert values.shape == (*batch, 5)
    assert gradients.shape == z.shape
    for index in torch.cartesian_prod(*[torch.arange(size) for size in z.shape[:-1]]).view(-1, z.dim() - 1).tolist():
        label = LABELS[index[-1] : index[-1] + 1]
        value, gradient = loss.value_and_gradient(z[tuple(index)][None], label)
        torch.testing.assert_close(values[tuple(index)], value[0])
        torch.testing.assert_close(gradients[tuple(index)], gradient[0])
        torch.testing.assert_close(loss(z, LABELS)[tuple(index)], value[0])


def test_losses_are_those_of_torch(normal):
    z = normal(5, K)
    torch.testing.assert_close(CrossEntropy()(z, LABELS), functional.cross_entropy(z, LABELS, reduction="none"))
    smooth = functional.cross_entropy(z, LABELS, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(LabelSmoothing(0.1)(z, LABELS), smooth)
    target = 15.0 * functional.one_hot(LABELS, K).double()
    torch.testing.assert_close(SquaredError(15.0, "mean")(z, LABELS).mean(), functional.mse_loss(z, target))
    half = (z - target).square().sum(1) / 2
    torch.testing.assert_close(SquaredError(15.0, "half_norm")(z, LABELS), half)


def test_limits_of_the_families(normal):
    z = normal(5, K)
    cross_entropy = CrossEntropy()(z, LABELS)
    torch.testing.assert_close(Focal(0.0)(z, LABELS), cross_entropy)
    torch.testing.assert_close(LabelSmoothing(0.0)(z, LABELS), cross_entropy)


def test_gradient_and_hessian_are_those_of_finite_differences(loss, normal):
    z, v, h = normal(5, K), normal(5, K), 1e-6
    _, gradient = loss.value_and_gradient(z, LABELS)
    difference = (loss(z + h * v, LABELS) - loss(z - h * v, LABELS)) / (2 * h)
    torch.testing.assert_close((gradient * v).sum(-1), difference, rtol=1e-6, atol=1e-8)
    turned = (loss.value_and_gradient(z + h * v, LABELS)[1] - loss.value_and_gradient(z - h * v, LABELS)[1]) / (2 * h)
    torch.testing.assert_close(loss.hessian(z, LABELS)(v), turned, rtol=1e-6, atol=1e-7)


def test_written_derivatives_are_those_of_automatic_differentiation(loss, normal):
    z, v = normal(2, 5, K), normal(2, 5, K)
    value, gradient = Loss.value_and_gradient(loss, z, LABELS)
    torch.testing.assert_close(loss.value_and_gradient(z, LABELS), (value, gradient))
    torch.testing.assert_close(loss.hessian(z, LABELS)(v), Loss.hessian(loss, z, LABELS)(v))


def test_cross_entropy_hessian_is_the_covariance_of_the_softmax(normal):
    z = normal(1, K)
    p = z.softmax(-1)[0]
    columns = CrossEntropy().hessian(z, torch.tensor([1]))(torch.eye(K, dtype=torch.float64)[:, None])
    torch.testing.assert_close(columns[:, 0], torch.diag(p) - torch.outer(p, p))


EXTREME = (
    [1e4, -1e4, -1e4],
    [-1e4, 1e4, 1e4],
    [1e4, 1e4, 1e4],
    [-1e4, -1e4, 1e4],
    [40.0, 0.0, 0.0],
    [800.0, 0.0, 0.0],
    [-40.0, 0.0, 0.0],
    [0.0, 0.0, 0.0],
)


@pytest.mark.parametrize("name", [*LOSSES, "focal_tiny", "focal_large"])
def test_nothing_is_nan_at_extreme_logits(name):
    loss = {"focal_tiny": Focal(1e-9), "focal_large": Focal(1e3)}.get(name) or LOSSES[name]
    z = torch.tensor(EXTREME, dtype=torch.float64)
    labels = torch.zeros(len(z), dtype=torch.int64)
    v = torch.ones_like(z) * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    by_hand = (*loss.value_and_gradient(z, labels), loss.hessian(z, labels)(v))
    automatic = (*Loss.value_and_gradient(loss, z, labels), Loss.hessian(loss, z, labels)(v))
    for written, derived in zip(by_hand, automatic, strict=True):
        assert torch.isfinite(written).all()
        assert torch.isfinite(derived).all()
        torch.testing.assert_close(written, derived, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 3.0])
def test_focal_is_accurate_where_p_is_one_up_to_rounding(gamma):
    z = torch.tensor([[40.0, 0.0, 0.5]], dtype=torch.float64)
    value, gradient = Focal(gamma).value_and_gradient(z, torch.tensor([0]))
    mpmath.mp.dps = 60
    q = 1 - mpmath.e**40 / (mpmath.e**40 + 1 + mpmath.e ** mpmath.mpf("0.5"))
    assert q < 2e-17
    p, g = 1 - q, mpmath.mpf(gamma)
    assert float(value) == pytest.approx(float(-(q**g) * mpmath.log(p)), rel=1e-12)
    assert float(gradient[0, 0]) == pytest.approx(float(-(q**g) * (q - g * p * mpmath.log(p))), rel=1e-12)


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.sampled_from(["ce", "ls", "mse", "mse_15"]))
def test_conjugate_attains_fenchel_young_at_the_gradient(z, name):
    loss, label = LOSSES[name], torch.tensor([1])
    logits = torch.tensor([z], dtype=torch.float64)
    value, gradient = loss.value_and_gradient(logits, label)
    young = loss.conjugate(gradient, label) + value
    assert float(young) == pytest.approx(float((gradient * logits).sum()), rel=1e-9, abs=1e-9)
    elsewhere = logits + torch.tensor([[0.3, -1.0, 2.0]], dtype=torch.float64)
    assert float((gradient * elsewhere).sum() - loss(elsewhere, label)) <= float(loss.conjugate(gradient, label)) + 1e-9


def test_conjugate_is_infinite_outside_its_domain():
    outside = torch.tensor([[1.0, 0.5, -1.5]], dtype=torch.float64)
    assert CrossEntropy().conjugate(outside, torch.tensor([0])).isinf().all()
    with pytest.raises(NotImplementedError, match="no convex conjugate"):
        Focal(2.0).conjugate(outside, torch.tensor([0]))


def test_a_loss_of_your_own_needs_only_its_value(normal):
    class Poly(Loss):
        """Poly-1 loss with epsilon = 1."""

        def __call__(self, logits, labels):
            p = logits.softmax(-1).gather(-1, labels[:, None].expand(*logits.shape[:-1], 1))[..., 0]
            return -p.log() + 1 - p

    z, v = normal(5, K), normal(5, K)
    value, gradient = Poly().value_and_gradient(z, LABELS)
    p = torch.exp(-CrossEntropy()(z, LABELS))
    torch.testing.assert_close(value, CrossEntropy()(z, LABELS) + 1 - p)
    factor = 1 + p
    torch.testing.assert_close(gradient, factor[:, None] * CrossEntropy().value_and_gradient(z, LABELS)[1])
    h = 1e-6
    turned = (Poly().value_and_gradient(z + h * v, LABELS)[1] - Poly().value_and_gradient(z - h * v, LABELS)[1]) / (
        2 * h
    )
    torch.testing.assert_close(Poly().hessian(z, LABELS)(v), turned, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"name": "hinge"}, "--loss.*one of ce, ls, focal, mse.*, got hinge"),
        ({"name": "focal", "gamma": -1}, r"gamma.*1e100\], got -1.0"),
        ({"name": "focal", "gamma": math.nan}, "gamma.*got nan"),
        ({"name": "focal", "gamma": math.inf}, "gamma.*got inf"),
        ({"name": "focal", "gamma": "two"}, "gamma.*a number, got two"),
        ({"name": "ls", "alpha": 1}, r"alpha.*in \[0, 1\), got 1"),
        ({"name": "ls", "alpha": -0.1}, "alpha.*got -0.1"),
        ({"name": "ce", "gamma": 1}, "--loss.gamma.*takes no parameters"),
        ({"name": "focal", "alpha": 1}, "--loss.alpha.*takes --loss.gamma"),
        ({"name": "mse", "rescale": 0}, r"rescale.*1e50\], got 0"),
    ],
)
def test_wrong_losses_are_refused(spec, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_loss(spec)
