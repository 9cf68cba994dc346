import numba
import numpy as np
import pytest
import torch

from ufm import deficit_compiled, problem_compiled
from ufm.compiled import exp
from ufm.losses import CrossEntropy, Focal, _deficit
from ufm.problem import Problem


@numba.njit
def _exp_of_all(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = exp(x[i])
    return out


def test_exp_is_exact_to_two_units_in_the_last_place():
    x = -np.concatenate([np.logspace(-18, 0, 20_001), np.linspace(0, 707, 200_001)])
    expected = np.exp(x.astype(np.longdouble))
    units = np.abs(_exp_of_all(x) - expected) / np.spacing(expected.astype(float))
    assert units.max() < 2


def test_exp_far_out():
    found = _exp_of_all(np.array([0.0, -np.inf, -1e300, np.nan]))
    assert found[0] == 1
    assert (found[1:3] < 1e-300).all()
    assert np.isnan(found[3])


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_the_deficit_is_that_of_tensor_operations(normal, scale, monkeypatch):
    logits, labels = scale * normal(2, 3, 7, 5), torch.tensor([0, 4, 1, 1, 2, 3, 0])
    compiled = _deficit(logits, labels)
    monkeypatch.setattr(deficit_compiled, "serves", lambda logits: False)
    for found, expected in zip(compiled, _deficit(logits, labels), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-300)


def test_the_deficit_of_what_is_not_a_number_is_none(normal):
    logits = normal(4, 3)
    logits[1, 2] = torch.nan
    x, _ = _deficit(logits, torch.tensor([0, 1, 2, 0]))
    assert x.isnan().tolist() == [False, True, False, False]


@pytest.mark.parametrize(("K", "d", "n"), [(2, 1, 1), (3, 2, 5), (5, 7, 3), (4, 4, 4), (7, 9, 11), (6, 13, 2)])
@pytest.mark.parametrize("decay_b", [None, 0.0, 0.02])
def test_loops_compute_what_tensor_operations_do(K, d, n, decay_b, normal, monkeypatch):
    """Sizes on both sides of every tile."""
    problem = Problem(Focal(2.0), K, d, n, 5e-3, 2e-3, decay_b)
    x, v = normal(3, problem.size), normal(3, 4, problem.size)

    def everything():
        return *problem.value_and_gradient(x), problem.hessian(x)(v)

    compiled = everything()
    monkeypatch.setattr(problem_compiled, "LARGEST", -1)
    for found, expected in zip(compiled, everything(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_points_that_are_not_contiguous_are_served(normal):
    problem = Problem(CrossEntropy(), 3, 4, 2, 5e-3, 2e-3, 0.01)
    x = normal(problem.size, 6).T
    value, gradient = problem.value_and_gradient(x)
    again = problem.value_and_gradient(x.contiguous())
    torch.testing.assert_close(value, again[0], rtol=0, atol=0)
    torch.testing.assert_close(gradient, again[1], rtol=0, atol=0)
