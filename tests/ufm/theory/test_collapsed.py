"""One feature a label: value and gradient against automatic differentiation of all samples, and the dual bound."""

import pytest
import torch

from ufm.errors import RequestError
from ufm.model.losses import CrossEntropy, Focal, SquaredError
from ufm.model.problem import Problem
from ufm.theory.certificate import certify
from ufm.theory.collapsed import CollapsedModel
from ufm.theory.prediction import predict

K, D, COUNTS = 3, 4, (5, 2, 1)


def model(loss, decay_b, counts=COUNTS) -> CollapsedModel:
    return CollapsedModel(loss, torch.arange(len(counts)), torch.tensor(counts).double(), K, D, 0.02, 0.005, decay_b)


@pytest.mark.parametrize("decay_b", [0.0, 0.1, None])
@pytest.mark.parametrize("loss", [CrossEntropy(), SquaredError(3.0)], ids=str)
def test_it_is_the_model_at_equal_features_of_a_class(normal, loss, decay_b):
    made, problem = model(loss, decay_b), Problem(loss, K, D, 1, 0.02, 0.005, decay_b, sizes=COUNTS)
    x = normal(2, made.size).requires_grad_()
    value, gradient = made.value_and_gradient(x.detach())
    W, A, b = x[:, : K * K].view(-1, K, K), x[:, K * K : 2 * K * K].view(-1, K, K), x[:, 2 * K * K :]
    balance = (0.005 / 0.02) ** 0.25
    H = (A / made.counts.sqrt()[:, None] / balance)[:, problem.labels()]
    parts = [torch.nn.functional.pad(part, (0, 1)).flatten(1) for part in (balance * W, H)]
    whole = problem.value(torch.cat([*parts, b], 1))
    torch.testing.assert_close(value * made.unit, whole.detach())
    (expected,) = torch.autograd.grad(whole.sum(), x)
    torch.testing.assert_close(gradient * made.unit, expected)


def test_the_bound_is_that_of_the_certificate_and_meets_the_minimum():
    found = model(CrossEntropy(), 0.1).minimum(2)
    problem = Problem(CrossEntropy(), K, K, 1, 0.02, 0.005, 0.1, sizes=COUNTS)
    point = torch.cat([found.W.flatten(), found.M[problem.labels()].flatten(), found.b])
    assert float(problem.value(point)) == pytest.approx(found.value, rel=1e-12)
    assert found.lower_bound == pytest.approx(float(certify(problem, point).lower_bound), abs=1e-9)
    assert 0 <= found.value - found.lower_bound < 1e-9
    balanced = model(CrossEntropy(), 0.0, (2, 2, 2)).minimum(2)
    expected = predict(Problem(CrossEntropy(), K, D, 2, 0.02, 0.005, 0.0))
    assert balanced.value == pytest.approx(expected.value, rel=1e-11)


def test_what_averaging_does_not_reach_is_refused():
    with pytest.raises(RequestError, match="`loss` must be convex"):
        model(Focal(2.0), 0.0)
