"""The squared error is the sum of its three parts, wherever the last layer stands."""

import pytest
import torch

from ufm.model.losses import SquaredError
from ufm.model.problem import Problem
from ufm.theory.central_path import split_along_central_path
from ufm.theory.prediction import predict, predicted_point

LABELS = {"equal": torch.arange(12) // 3, "unequal": torch.tensor([0, 0, 0, 0, 0, 0, 1, 2, 2, 3, 3, 3])}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("decays", [(5e-3, 0.02), (5e-3, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("loss", [SquaredError(), SquaredError(15.0, "mean")], ids=str)
@pytest.mark.parametrize(("batch", "d", "has_bias"), [((3,), 5, True), ((), 20, True), ((2, 3), 5, False)])
def test_sums_to_the_loss(loss, decays, labels, batch, d, has_bias, normal, monkeypatch):
    monkeypatch.setattr("ufm.theory.central_path.CHUNK_BYTES", 500)
    H, W = normal(*batch, 12, d), normal(*batch, 4, d)
    b = normal(*batch, 4) if has_bias else None
    split = split_along_central_path(H, labels, W, b, *decays, loss)
    logits = H @ W.mT + (b.unsqueeze(-2) if has_bias else 0.0)
    expected = loss(logits, labels).mean(-1) + decays[0] / 2 * W.square().sum((-2, -1))
    expected = expected + (decays[1] / 2 * b.square().sum(-1) if has_bias else 0.0)
    torch.testing.assert_close(split.loss, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(split.nc1 + split.nc23 + split.away, expected, rtol=1e-12, atol=0)
    assert all((part >= -1e-13 * expected).all() for part in (split.nc1, split.nc23, split.away))


def test_least_squares_layer_has_no_gradient(normal):
    H, labels = normal(3, 12, 5), LABELS["unequal"]
    split = split_along_central_path(H, labels, normal(3, 4, 5), normal(3, 4), 5e-3, 0.02)
    W, b = split.W_LS.requires_grad_(), split.b_LS.requires_grad_()
    value = SquaredError()(H @ W.mT + b.unsqueeze(-2), labels).mean(-1) + 5e-3 / 2 * W.square().sum((-2, -1))
    gradients = torch.autograd.grad((value + 0.02 / 2 * b.square().sum(-1)).sum(), (W, b))
    assert max(float(gradient.abs().max()) for gradient in gradients) < 1e-14
    on_path = split_along_central_path(H, labels, W.detach(), b.detach(), 5e-3, 0.02)
    assert float(on_path.away.max()) < 1e-28


def test_minimiser_is_on_the_path_and_has_collapsed():
    problem = Problem(SquaredError(), K=4, d=6, n=3, decay_W=5e-3, decay_H=1e-3, decay_b=0.02)
    x = predicted_point(problem, predict(problem))
    W, H, b = problem.unpack(x)
    split = split_along_central_path(H, problem.labels(), W, b, problem.decay_W, 0.02)
    assert float(split.away / split.loss) < 1e-15
    assert float(split.loss) == pytest.approx(float(problem.value(x)) - 5e-4 * float(H.square().sum()), rel=1e-13)


def test_the_split_without_decay_has_a_closed_form(normal):
    """One class mean each along an axis at distance a, scatter s^2 I in the plane of the means, no bias."""
    a, s, K, n = 2.0, 0.5, 3, 6
    labels = torch.arange(K * n) // n
    directions = torch.cat([torch.eye(K), -torch.eye(K)]).double() * s * K**0.5  # scatter s^2 I within each class
    H = a * torch.eye(K, dtype=torch.float64)[labels] + directions.repeat(K, 1)
    split = split_along_central_path(H, labels, torch.eye(K, dtype=torch.float64), None, 0.0)
    snr = a**2 / K / (s**2 + a**2 / K)
    assert float(split.nc1) == pytest.approx(K / 2 * s**2 * (snr / a) ** 2, rel=1e-13)
    assert float(split.nc23) == pytest.approx((1 - snr) ** 2 / 2, rel=1e-13)


def test_starts_do_not_see_each_other(normal):
    H, W, b, labels = normal(3, 12, 5), normal(3, 4, 5), normal(3, 4), LABELS["equal"]
    decays = torch.tensor([1e-3, 1e-2, 1e-1], dtype=torch.float64)
    together = split_along_central_path(H, labels, W, b, decays, decays)
    for i in range(3):
        alone = split_along_central_path(H[i], labels, W[i], b[i], float(decays[i]), float(decays[i]))
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(one, all_[i])


def test_refuses_bad_input(normal):
    H, W = normal(12, 5), normal(5, 5)
    with pytest.raises(ValueError, match="every class has a sample"):
        split_along_central_path(H, LABELS["equal"], W, None, 0.0)
    with pytest.raises(ValueError, match="decay_W"):
        split_along_central_path(H, LABELS["equal"], W[:4], None, -1.0)
