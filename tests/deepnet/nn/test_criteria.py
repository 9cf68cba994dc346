"""The losses of `ufm` as criteria: those of torch where it has them, the formulas elsewhere."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from deepnet.nn import Criterion, DotRegressionLoss, ETFClassifier
from ufm import CrossEntropy, Focal, LabelSmoothing, Loss, RequestError, SquaredError

N, K = 11, 5


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(N, K, generator=torch.Generator().manual_seed(0))


LABELS = torch.arange(N) % K
CRITERIA = {
    "cross entropy": CrossEntropy(),
    "label smoothing": LabelSmoothing(0.1),
    "focal": Focal(2.0),
    "squared error": SquaredError(),
    "squared error, mean": SquaredError(rescale=2.0, convention="mean"),
}


def by_formula(name: str, z: np.ndarray) -> np.ndarray:
    """One number per sample, in numpy."""
    y = LABELS.numpy()
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    own, one_hot = log_p[np.arange(N), y], np.eye(K)[y]
    values = {
        "cross entropy": -own,
        "label smoothing": -0.9 * own - 0.1 * log_p.mean(1),
        "focal": -((1 - np.exp(own)) ** 2) * own,
        "squared error": ((z - one_hot) ** 2).sum(1) / 2,
        "squared error, mean": ((z - 2 * one_hot) ** 2).mean(1),
    }
    return values[name]


@pytest.mark.parametrize("name", CRITERIA)
def test_each_is_its_formula_in_every_reduction(name, logits):
    expected = by_formula(name, logits.double().numpy())
    for reduction, value in (("mean", expected.mean()), ("sum", expected.sum()), ("none", expected)):
        found = Criterion(CRITERIA[name], reduction)(logits, LABELS)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), value, rtol=2e-5)


@pytest.mark.parametrize(("loss", "smoothing"), [(CrossEntropy(), 0.0), (LabelSmoothing(0.1), 0.1)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_and_its_gradient_are_those_of_torch(loss, smoothing, reduction, logits):
    values, gradients = [], []
    for criterion in (
        Criterion(loss, reduction),
        nn.CrossEntropyLoss(label_smoothing=smoothing, reduction=reduction),
        nn.CrossEntropyLoss(label_smoothing=0.2, reduction=reduction),
    ):
        z = logits.double().requires_grad_()
        values.append(criterion(z, LABELS).detach())
        (gradient,) = torch.autograd.grad(criterion(z, LABELS).sum(), z)
        gradients.append(gradient)
    ours, torchs, another = values
    torch.testing.assert_close(ours, torchs, rtol=0, atol=1e-13)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-14)
    assert not torch.allclose(ours, another)


def test_squared_error_of_torch_is_the_mean_over_entries(logits):
    one_hot = nn.functional.one_hot(LABELS, K).float()
    entries = nn.MSELoss()(logits, one_hot)
    torch.testing.assert_close(Criterion(SquaredError(convention="mean"))(logits, LABELS), entries)
    torch.testing.assert_close(Criterion(SquaredError())(logits, LABELS), K / 2 * entries)


def test_dot_regression_is_the_papers_formula():
    """1 / (2 sqrt(E_W E_H)) (w_y h - sqrt(E_W E_H))^2 with |w|^2 = E_W and |h|^2 = E_H = 1."""
    head, h = ETFClassifier(8, K, scale=3.0, normalize=True), torch.randn(N, 8, requires_grad=True)
    unit = (h / h.norm(dim=1, keepdim=True)).detach().double().numpy()
    W = head.weight.double().numpy()[LABELS]
    root = math.sqrt((W**2).sum(1).mean())
    expected = ((W * unit).sum(1) - root) ** 2 / (2 * root)
    criterion = DotRegressionLoss(3.0, "none")
    np.testing.assert_allclose(criterion(head(h), LABELS).detach().numpy(), expected, rtol=2e-5)
    assert DotRegressionLoss(3.0)(head(head.weight), torch.arange(K)) == pytest.approx(0, abs=1e-12)
    assert DotRegressionLoss(3.0)(head(-head.weight), torch.arange(K)) == pytest.approx(6, abs=1e-5)  # 2 s, the worst
    (gradient,) = torch.autograd.grad(criterion(head(h), LABELS).sum(), h)
    step = h.detach() - gradient
    assert (criterion(head(step), LABELS) < criterion(head(h), LABELS)).all()


def test_half_precision_is_computed_in_single(logits):
    half = logits.half()
    for criterion in (Criterion(CrossEntropy()), DotRegressionLoss()):
        assert torch.equal(criterion(half, LABELS), criterion(half.float(), LABELS))
    z = torch.tensor([[300.0, 0.0]]).half()  # its square is no number in half precision
    assert Criterion(SquaredError())(z, torch.tensor([1])) == 45000.5
    with torch.autocast("cpu", torch.bfloat16):
        net = nn.Sequential(nn.Linear(4, 8), ETFClassifier(8, K))
        loss = Criterion(Focal(2.0))(net(torch.randn(N, 4)), LABELS)
    loss.backward()
    assert loss.dtype == torch.float32
    assert net[0].weight.grad.isfinite().all()


@dataclass(frozen=True)
class Hinge(Loss):
    """Of one's own."""

    def __call__(self, logits, labels):
        own = logits.gather(1, labels[:, None])
        return (1 + logits - own).clamp(min=0).sum(1) - 1


def test_a_loss_of_ones_own_is_one_too(logits):
    expected = nn.MultiMarginLoss(reduction="sum")(logits, LABELS) * K
    torch.testing.assert_close(Criterion(Hinge(), "sum")(logits, LABELS.to(torch.uint8)), expected)


@pytest.mark.parametrize("loss", [CrossEntropy(), SquaredError(), Hinge()])
@pytest.mark.parametrize("label", [-1, K, -100])
def test_labels_out_of_range_are_refused(loss, label, logits):
    labels = LABELS.clone()
    labels[3] = label
    with pytest.raises(RequestError, match=rf"`labels` must be in \[0, 5\), got {label}"):
        Criterion(loss)(logits, labels)


def test_what_is_no_loss_and_no_logits_is_refused(logits):
    with pytest.raises(RequestError, match="`loss` must be a Loss, got the class CrossEntropy"):
        Criterion(CrossEntropy)
    with pytest.raises(RequestError, match="`reduction` must be one of mean, sum, none, got 'avg'"):
        Criterion(CrossEntropy(), "avg")
    with pytest.raises(RequestError, match=r"`DotRegression\(scale=...\)` must be finite and > 0"):
        DotRegressionLoss(0.0)


def test_copies_and_what_it_says(logits):
    criterion = Criterion(Focal(gamma=2.0), "sum")
    assert repr(criterion) == "Criterion(Focal(gamma=2.0), reduction='sum')"
    assert criterion.state_dict() == {}
    assert torch.equal(copy.deepcopy(criterion)(logits, LABELS), criterion(logits, LABELS))
