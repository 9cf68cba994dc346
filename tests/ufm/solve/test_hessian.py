import pytest
import scipy.sparse.linalg
import torch

import ufm.solve.hessian
from tests.reference_values import ETF_SPECTRUM
from ufm.model.losses import CrossEntropy, Focal
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.hessian import dense_hessian, smallest_eigenpair
from ufm.solve.newton import find_critical_points
from ufm.theory.prediction import predict, predicted_point

pytestmark = pytest.mark.usefixtures("all_cores")


def test_spectrum_at_the_simplex_is_the_closed_form():
    problem = Problem(CrossEntropy(), 4, 6, 3, 5e-3, 1e-3, 0.0)
    x = predicted_point(problem, predict(problem))
    found = torch.linalg.eigvalsh(dense_hessian(problem, x[None]))[0]
    expected = torch.tensor([value for value, count in ETF_SPECTRUM for _ in range(count)], dtype=torch.float64)
    torch.testing.assert_close(found, expected.sort().values, rtol=1e-11, atol=1e-15)


def test_the_blocks_are_the_operator(problem, normal):
    x = normal(3, problem.size)
    unit = torch.eye(problem.size, dtype=torch.float64).expand(3, -1, -1)
    torch.testing.assert_close(dense_hessian(problem, x), problem.hessian(x)(unit), rtol=1e-12, atol=1e-14)


def test_the_blocks_are_the_second_derivative(problem, normal):
    x = normal(problem.size)
    expected = torch.func.hessian(problem.value)(x)
    torch.testing.assert_close(dense_hessian(problem, x[None])[0], expected, rtol=1e-10, atol=1e-12)


def test_lanczos_without_room_for_its_basis_makes_it_again(problem, normal, monkeypatch):
    x = normal(3, problem.size)
    monkeypatch.setattr(ufm.solve.hessian, "DENSE_UP_TO", 0)
    kept = smallest_eigenpair(problem, x)
    monkeypatch.setattr(ufm.solve.hessian, "BASIS_BYTES", 0)
    again = smallest_eigenpair(problem, x)
    torch.testing.assert_close(kept.vector, again.vector, rtol=0, atol=0)


def test_lanczos_finds_what_the_dense_spectrum_has(problem, normal, monkeypatch):
    x = normal(5, problem.size)
    dense = smallest_eigenpair(problem, x)
    monkeypatch.setattr(ufm.solve.hessian, "DENSE_UP_TO", 0)
    lanczos = smallest_eigenpair(problem, x)
    torch.testing.assert_close(lanczos.value, dense.value, rtol=1e-9, atol=1e-11)
    for pair in (dense, lanczos):
        product = problem.hessian(x)(pair.vector[:, None])[:, 0]
        torch.testing.assert_close(pair.vector.norm(dim=1), torch.ones(5, dtype=torch.float64))
        torch.testing.assert_close((product - pair.value[:, None] * pair.vector).norm(dim=1), pair.residual)
        assert (pair.residual < 1e-7).all()


def test_lanczos_at_a_large_minimiser_finds_the_rotations(normal):
    """Zero is 145-fold there; scipy's implicitly restarted Lanczos is the second opinion."""
    problem = Problem(Focal(3.0), 10, 20, 10, 5e-3, 5e-3, 0.01)
    x = predicted_point(problem, predict(problem))[None]
    pair = smallest_eigenpair(problem, x)
    assert abs(float(pair.value[0])) < 1e-12

    def product(v):
        return problem.hessian(x[0])(torch.from_numpy(v).view(1, -1))[0].numpy()

    operator = scipy.sparse.linalg.LinearOperator((problem.size, problem.size), matvec=product, dtype=float)
    theirs = scipy.sparse.linalg.eigsh(operator, k=1, which="SA", ncv=60, return_eigenvectors=False)[0]
    assert float(pair.value[0]) == pytest.approx(theirs, abs=1e-10)


def test_many_chunks_keep_the_order(problem, normal, monkeypatch):
    x = normal(7, problem.size)
    expected = smallest_eigenpair(problem, x).value
    monkeypatch.setattr(ufm.solve.hessian, "WORKING_BYTES", 1)
    done = []
    torch.testing.assert_close(smallest_eigenpair(problem, x, progress=done.append).value, expected)
    assert done == [1] * 7


@pytest.mark.parametrize("distance", [1e-2, 1e-5, 1e-8])
def test_lanczos_sees_the_faintest_descent_from_zero(distance):
    """Just below its threshold c = 1/K zero has 180 equal negative eigenvalues, lam - 1/(K sqrt n), the smallest."""
    lam = (1 - distance) / 10 / 10**0.5
    problem = Problem(CrossEntropy(), 10, 20, 10, lam, lam, 0.01)
    pair = smallest_eigenpair(problem, torch.zeros(1, problem.size, dtype=torch.float64))
    assert float(pair.value[0]) == pytest.approx(lam - 1 / (10 * 10**0.5), abs=1e-15)


def test_lanczos_misses_no_negative_eigenvalue_of_a_saddle(monkeypatch):
    """The first settled value counts: is it the smallest, at saddles of many kinds?"""
    problem = Problem(CrossEntropy(), 5, 6, 2, 5e-3, 5e-3, 0.01)
    starts = normal_starts(problem.size, 5, 0, 64) * torch.logspace(-0.5, 1, 64, dtype=torch.float64)[:, None]
    end = find_critical_points(problem, starts)
    x = end.x[end.is_converged]
    expected = torch.linalg.eigvalsh(dense_hessian(problem, x))[:, 0]
    assert (expected < -1e-3).sum() > 50
    monkeypatch.setattr(ufm.solve.hessian, "DENSE_UP_TO", 0)
    torch.testing.assert_close(smallest_eigenpair(problem, x).value, expected, rtol=0, atol=1e-13)
