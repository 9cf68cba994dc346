import pytest
import torch

from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.theory.prediction import predict
from ufm.verify.convergence import PERCENTILES, convergence

PROBLEM = Problem(CrossEntropy(), K=3, d=3, n=2, decay_W=5e-3, decay_H=5e-3, decay_b=0.01)
STARTS = normal_starts(PROBLEM.size, seed=0, first=0, count=9)


def test_it_is_the_path_of_the_minimiser():
    found = convergence(PROBLEM, predict(PROBLEM).value, STARTS, 1e-10, 10_000)
    steps = found["steps"]
    assert steps[:4] == [0, 1, 2, 4]
    third = minimise(PROBLEM, STARTS, 1e-10, 4)
    assert found["gradient"][3][0] == pytest.approx(float(third.gradient_norm.min()), abs=0)
    scale = float(PROBLEM.value(torch.zeros(PROBLEM.size, dtype=torch.float64)))
    first = (PROBLEM.value(STARTS) - predict(PROBLEM).value).abs() / scale
    assert found["value"][0] == pytest.approx(first.quantile(torch.tensor(PERCENTILES).double() / 100).tolist())
    assert max(found["gradient"][-1]) <= 1e-10
    assert max(found["value"][-1]) <= 1e-12 < min(found["value"][0])


def test_a_wrong_prediction_is_not_approached():
    found = convergence(PROBLEM, predict(PROBLEM).value * 1.01, STARTS, 1e-10, 10_000)
    assert min(found["value"][-1]) > 1e-4


def test_it_stops_at_the_steps_allowed():
    assert convergence(PROBLEM, predict(PROBLEM).value, STARTS[:1], 1e-10, 3)["steps"] == [0, 1, 2, 3]
