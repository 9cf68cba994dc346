"""The table is exact on exact minimisers of the model, shifted features included, and says so when they are not."""

import pytest
import torch

from deepnet.comparison.compare import Comparison, Sizes
from deepnet.comparison.compare import compare as compare_reading
from deepnet.measures.features import LastLayer
from deepnet.measures.measure import measure
from deepnet.measures.reading import Reading
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.theory.prediction import predict

K, D, N_PER_CLASS = 5, 12, 4
DECAY, DECAY_H = 5e-3, 1e-3
LOSSES = [CrossEntropy(), LabelSmoothing(0.1), Focal(2.0), SquaredError(), SquaredError(15.0, "mean")]


def minimiser(loss: Loss, shift: float, decay: float = DECAY) -> LastLayer:
    """A global minimiser with one decay for W and b, its features shifted by a vector of length `shift`.

    The decay on a common logit u is then decay / (1 + shift^2): u is shared between b and the mean row of W.
    """
    predicted = predict(Problem(loss, K, D, N_PER_CLASS, decay, DECAY_H, decay / (1 + shift**2)))
    basis = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    mean = shift * basis[:, K]
    J = torch.full((K, K), 1 / K, dtype=torch.float64)
    root = predicted.margin**0.5 * (torch.eye(K, dtype=torch.float64) - J) + predicted.common**0.5 * J
    ratio = (N_PER_CLASS * DECAY_H / decay) ** 0.25
    W, H = ratio * root @ basis[:, :K].mT, root @ basis[:, :K].mT / ratio
    b = torch.full((K,), predicted.bias / (1 + shift**2), dtype=torch.float64)
    labels = torch.arange(K).repeat_interleave(N_PER_CLASS)
    return LastLayer(H[labels] + mean, labels, W + b[:, None] * mean, b)


def reading(layer: LastLayer, loss: Loss) -> Reading:
    return Reading.from_measures(measure(layer, loss))


def compare(layer: LastLayer, loss: Loss, decay: float) -> Comparison:
    return compare_reading(reading(layer, loss), loss, Sizes(K, len(layer.labels) // K, D, decay))


def ratios(comparison: Comparison) -> dict[str, float | None]:
    return {row.name: row.ratio for row in comparison.rows}


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_ratio_is_1_at_a_global_minimiser(loss, shift):
    comparison = compare(minimiser(loss, shift), loss, DECAY)
    assert ratios(comparison) == pytest.approx(dict.fromkeys(ratios(comparison), 1.0), abs=1e-9)
    assert comparison.stationarity < 1e-7  # the root of a square, of 1e-16 relative
    assert comparison.decay_H == pytest.approx(DECAY_H, rel=1e-11)
    assert ("p_y" in ratios(comparison)) == (not isinstance(loss, SquaredError))


def test_squared_error_with_a_decayed_bias_is_an_orthogonal_frame_and_still_exact():
    """Its common logits need the features' mean: what the model calls `common` is bias here."""
    loss, decay = SquaredError(), 0.2
    layer = minimiser(loss, 0.0, decay)
    assert float(layer.H.mean(0).norm()) > 0.1
    comparison = compare(layer, loss, decay)
    assert ratios(comparison) == pytest.approx(dict.fromkeys(ratios(comparison), 1.0), abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_perturbed_features_are_seen_by_identities_and_predictions(loss):
    exact = minimiser(loss, 1.0)
    noise = torch.randn(exact.H.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    perturbed = compare(LastLayer(exact.H + 0.2 * noise, exact.labels, exact.W, exact.b), loss, DECAY)
    assert perturbed.stationarity > 0.1
    for row in perturbed.rows:
        if row.kind == "calibration":
            assert row.ratio == pytest.approx(1, abs=1e-12)
        elif row.name != "mean cosine of class means":
            assert abs((row.ratio or 0) - 1) > 1e-3, row.name


def test_a_classifier_that_is_not_stationary_fails_the_identities_alone():
    exact = minimiser(CrossEntropy(), 0.0)
    rows = compare(LastLayer(exact.H, exact.labels, 1.2 * exact.W, exact.b), CrossEntropy(), DECAY).rows
    by_name = {row.name: row.ratio for row in rows}
    assert by_name["margin"] > 1.1
    assert [row.ratio for row in rows if row.kind == "prediction"] == pytest.approx([1.0, 1.0])


def test_the_raw_balance_is_shown_and_differs_with_a_mean():
    centred, shifted = (compare(minimiser(CrossEntropy(), shift), CrossEntropy(), DECAY) for shift in (0.0, 3.0))
    assert centred.raw_decay_H == pytest.approx(centred.decay_H)
    assert shifted.raw_decay_H < 0.8 * shifted.decay_H
    assert shifted.raw_margin > shifted.rows[0].predicted
    assert shifted.norm_global_mean == pytest.approx(3.0)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_reading_is_what_dense_formulas_give(loss):
    exact = minimiser(loss, 1.0)
    noise = torch.randn(exact.H.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    layer = LastLayer(exact.H + 0.3 * noise, exact.labels, exact.W, exact.b)
    found = reading(layer, loss)
    W = layer.W.clone().requires_grad_()
    gradient = torch.autograd.grad(loss(layer.H @ W.mT + layer.b, layer.labels).mean(), W)[0]
    pull = DECAY * layer.W
    residual = float((gradient + pull).norm() / pull.norm())
    assert found.stationarity(DECAY) == pytest.approx(residual, rel=1e-9)
    assert found.balance(DECAY) == pytest.approx(float(-(gradient * layer.W).sum() / (pull * layer.W).sum()), rel=1e-9)
    centred = layer.H - layer.H.mean(0)
    means = torch.stack([centred[k == layer.labels].mean(0) for k in range(K)])
    assert found.norm_h == pytest.approx(float(centred.square().sum(-1).mean().sqrt()), rel=1e-12)
    assert found.between_share == pytest.approx(float(means.square().sum() / K / found.norm_h**2), rel=1e-12)
    spectrum = torch.linalg.svdvals(means).square()
    assert found.dimensions == pytest.approx(float(spectrum.sum() ** 2 / spectrum.square().sum()), rel=1e-12)
    logits = layer.logits
    others = torch.stack([z[torch.arange(K) != y].mean() for z, y in zip(logits, layer.labels, strict=True)])
    assert found.margin == pytest.approx(
        float((logits[torch.arange(len(logits)), layer.labels] - others).mean()), rel=1e-12
    )
