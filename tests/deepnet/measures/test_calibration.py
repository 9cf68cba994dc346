"""Against values worked out by hand, scikit-learn and a brute-force search; a rescaled calibrated net is undone."""

import math

import pytest
import torch
from sklearn.metrics import log_loss

from deepnet.measures.calibration import (
    TEMPERATURES,
    calibration,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)


def logits_of(*top: float) -> torch.Tensor:
    """Two classes; the first has these probabilities."""
    p = torch.tensor(top, dtype=torch.float64)
    return torch.stack([p, 1 - p], -1).log()


@pytest.fixture
def calibrated(normal) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels drawn from the softmax of the logits."""
    logits = 2 * normal(20_000, 4)
    labels = torch.multinomial(logits.softmax(-1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    return logits, labels


def test_the_error_by_hand():
    logits, labels = logits_of(0.95, 0.95, 0.62, 0.38), torch.tensor([0, 1, 0, 0])
    # Ten bins: two of confidence 0.95, one right; two of confidence 0.62, one right.
    expected = 0.5 * abs(0.5 - 0.95) + 0.5 * abs(0.5 - 0.62)
    assert float(expected_calibration_error(logits, labels, 10)) == pytest.approx(expected, rel=1e-12)
    table = reliability(logits, labels, 10)
    assert [entry.count for entry in table] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert (table[9].confidence, table[9].accuracy) == (pytest.approx(0.95), 0.5)
    assert math.isnan(table[0].confidence)


def test_bins_are_closed_at_their_upper_end():
    table = reliability(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), 2)
    assert [entry.count for entry in table] == [1, 0]
    assert reliability(torch.tensor([[200.0, 0.0]]), torch.tensor([0]), 2)[1].count == 1


def test_likelihood_is_scikit_learns(calibrated):
    logits, labels = calibrated
    expected = log_loss(labels.numpy(), logits.softmax(-1).numpy())
    assert float(negative_log_likelihood(logits, labels)) == pytest.approx(expected, rel=1e-12)


def test_a_rescaled_calibrated_net_is_undone(calibrated):
    logits, labels = calibrated
    halves = slice(None, 10_000), slice(10_000, None)
    fitted, measured = ((3 * logits[half], labels[half]) for half in halves)
    result = calibration(fitted, measured)
    assert result["temperature"] == pytest.approx(3, rel=0.03)  # 10,000 draws
    assert result["as_trained"]["ece"] > 0.1
    assert result["scaled"]["ece"] < 0.02
    assert result["scaled"]["nll"] < result["as_trained"]["nll"]


def test_the_temperature_is_the_best_of_a_grid(calibrated):
    logits, labels = 5 * calibrated[0][:200], calibrated[1][:200]
    best = fit_temperature(logits, labels)
    at = {T: float(negative_log_likelihood(logits / T, labels)) for T in (best, 0.99 * best, 1.01 * best, 1.0, 50.0)}
    assert min(at, key=at.__getitem__) == best


def test_a_split_without_mistakes_or_without_knowledge_ends_at_the_bounds():
    assert fit_temperature(logits_of(0.9, 0.8), torch.tensor([0, 0])) == TEMPERATURES[0]
    assert fit_temperature(logits_of(0.9, 0.8), torch.tensor([1, 1])) == TEMPERATURES[1]


def test_without_a_split_to_fit_on_nothing_is_scaled(calibrated):
    assert "temperature" not in calibration(None, calibrated)
