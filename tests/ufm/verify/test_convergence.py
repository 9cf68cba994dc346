import pytest
import torch

from tests.ufm.solve.forms import FORMS, use
from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.end_points import Path
from ufm.solve.minimise import minimise
from ufm.solve.units import own_units
from ufm.theory.prediction import predict, predicted_point
from ufm.verify.convergence import PERCENTILES, convergence

PROBLEM = Problem(CrossEntropy(), K=3, d=3, n=2, decay_W=5e-3, decay_H=5e-3, decay_b=0.01)
STARTS = normal_starts(PROBLEM.size, seed=0, first=0, count=9)


@pytest.fixture(params=list(FORMS), autouse=True)
def method(request, monkeypatch):
    """Every form of the method, whatever the device."""
    use(request.param, monkeypatch)


def path_to(predicted, starts, max_steps=10_000):
    path = Path.unknown(len(starts), max_steps, starts)
    minimise(PROBLEM, starts, 1e-10, max_steps, path=path)
    return convergence(own_units(PROBLEM), predicted, path, max_steps)


@pytest.mark.usefixtures("all_cores")
def test_it_is_the_path_of_the_minimiser():
    """Every column is where the minimiser ends that is told to stop there."""
    found = path_to(predict(PROBLEM).value, STARTS)
    steps = found["steps"]
    assert steps[:4] == [0, 1, 2, 4]
    for column, asked in enumerate(steps[1:], 1):
        stopped = minimise(PROBLEM, STARTS, 1e-10, asked)
        assert found["gradient"][column][0] == pytest.approx(float(stopped.gradient_norm.min()), rel=1e-6)
        assert found["gradient"][column][-1] == pytest.approx(float(stopped.gradient_norm.max()), rel=1e-6)
    assert steps[-2] <= int(stopped.steps.max()) < steps[-1]
    scale = float(PROBLEM.value(torch.zeros(PROBLEM.size, dtype=torch.float64)))
    first = (PROBLEM.value(STARTS) - predict(PROBLEM).value).abs() / scale
    assert found["value"][0] == pytest.approx(first.quantile(torch.tensor(PERCENTILES).double() / 100).tolist())
    assert max(found["gradient"][-1]) <= 1e-10
    assert max(found["value"][-1]) <= 1e-12 < min(found["value"][0])


def test_a_wrong_prediction_is_not_approached():
    found = path_to(predict(PROBLEM).value * 1.01, STARTS)
    assert min(found["value"][-1]) > 1e-4


def test_it_stops_at_the_steps_allowed():
    assert path_to(predict(PROBLEM).value, STARTS[:1], 3)["steps"] == [0, 1, 2, 3]
    assert path_to(predict(PROBLEM).value, STARTS[:1], 4)["steps"] == [0, 1, 2, 4]
    assert path_to(predict(PROBLEM).value, predicted_point(PROBLEM, predict(PROBLEM))[None], 4)["steps"] == [0, 1]


def test_only_the_first_starts_are_kept():
    path = Path.unknown(2, 100, STARTS)
    end = minimise(PROBLEM, STARTS, 1e-10, 100, path=path)
    assert path.numbers[:, -1, 0].tolist() == end.value[:2].tolist()
    assert path.numbers[:, 0, 0].tolist() == pytest.approx(PROBLEM.value(STARTS[:2]).tolist())
