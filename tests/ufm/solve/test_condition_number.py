import pytest
import torch

from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve import condition_number as module
from ufm.solve.condition_number import condition_number
from ufm.solve.minimise import minimise
from ufm.theory.prediction import predict, predicted_point

pytestmark = pytest.mark.usefixtures("all_cores")


def _both(problem, x, monkeypatch):
    dense = condition_number(problem, x)
    monkeypatch.setattr(module, "DENSE_UP_TO", 0)
    return dense, condition_number(problem, x)


def test_lanczos_agrees_with_the_dense_spectrum(problem, monkeypatch):
    end = minimise(problem, normal_starts(problem.size, 0, 0, 3), 1e-10)
    dense, sparse = _both(problem, end.x, monkeypatch)
    assert dense.isfinite().all()
    torch.testing.assert_close(sparse, dense, rtol=1e-6, atol=0)


def test_a_known_number_at_any_size(monkeypatch):
    """Condition number across the orbit (10 digits) from the closed-form spectrum at K = 4, d = 6, n = 3."""
    problem = Problem(CrossEntropy(), 4, 6, 3, 5e-3, 1e-3, 0.0)
    for found in _both(problem, predicted_point(problem, predict(problem))[None], monkeypatch):
        assert float(found) == pytest.approx(50.7201753255, rel=1e-8)


def test_there_is_none_at_a_saddle(monkeypatch):
    problem = Problem(CrossEntropy(), 4, 6, 3, 5e-3, 1e-3, 0.0)
    for found in _both(problem, torch.zeros(1, problem.size, dtype=torch.float64), monkeypatch):
        assert found.isnan().all()


def test_beyond_dense_sizes(monkeypatch):
    problem = Problem(CrossEntropy(), 10, 20, 2, 5e-3, 5e-3, 1e-2)
    x = predicted_point(problem, predict(problem))[None]
    large = condition_number(problem, x)
    assert problem.size > module.DENSE_UP_TO
    monkeypatch.setattr(module, "DENSE_UP_TO", problem.size)
    torch.testing.assert_close(large, condition_number(problem, x), rtol=1e-8, atol=0)
