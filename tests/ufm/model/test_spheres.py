"""Unit vectors: gradient and Hessian of the function of directions are the Riemannian ones, by pymanopt and by hand."""

import math

import numpy as np
import pytest
import torch

from ufm.model.losses import CrossEntropy, LabelSmoothing
from ufm.model.spheres import SphereProblem
from ufm.model.starts import normal_starts
from ufm.solve.critical_points import classify
from ufm.solve.hessian import dense_hessian
from ufm.solve.minimise import minimise
from ufm.solve.newton import find_critical_points
from ufm.theory.sphere_prediction import sphere_target

PROBLEM = SphereProblem(CrossEntropy(), K=4, d=6, n=2, temperature=5.0)
ROWS = PROBLEM.K + PROBLEM.N


def _euclidean(rows: torch.Tensor) -> torch.Tensor:
    """The objective as a function of all of space, not normalised."""
    W, H = rows[: PROBLEM.K], rows[PROBLEM.K :]
    return torch.nn.functional.cross_entropy(PROBLEM.temperature * H @ W.T, PROBLEM.labels())


def _unit_point_and_tangent(normal) -> tuple[torch.Tensor, torch.Tensor]:
    x = PROBLEM.normalised(normal(PROBLEM.size))
    rows, v = x.view(ROWS, -1), normal(ROWS, PROBLEM.d)
    return x, (v - (rows * v).sum(1, keepdim=True) * rows).flatten()


def test_gradient_and_hessian_are_those_of_pymanopt(normal):
    manifolds = pytest.importorskip("pymanopt.manifolds", reason="pymanopt, the oracle, is not installed")
    manifold = manifolds.Oblique(PROBLEM.d, ROWS)  # unit columns
    x, v = _unit_point_and_tangent(normal)
    rows, tangent = x.view(ROWS, -1), v.view(ROWS, -1)
    gradient = torch.func.grad(_euclidean)(rows)
    curved = torch.func.jvp(torch.func.grad(_euclidean), (rows,), (tangent,))[1]
    point, *others = (part.T.numpy() for part in (rows, gradient, curved, tangent))
    expected = manifold.euclidean_to_riemannian_gradient(point, others[0])
    found = PROBLEM.value_and_gradient(x)[1].view(ROWS, -1).T.numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    expected = manifold.euclidean_to_riemannian_hessian(point, *others)
    product = PROBLEM.hessian(x)(v[None])[0].view(ROWS, -1)
    product = product - (product * rows).sum(1, keepdim=True) * rows  # off critical points it has a radial part
    np.testing.assert_allclose(product.T.numpy(), expected, rtol=0, atol=1e-14)


def test_pymanopt_finds_the_same_minimum():
    pymanopt = pytest.importorskip("pymanopt", reason="pymanopt, the oracle, is not installed")
    manifold = pymanopt.manifolds.Oblique(PROBLEM.d, ROWS)

    @pymanopt.function.numpy(manifold)
    def cost(point):
        return float(_euclidean(torch.tensor(point.T)))

    @pymanopt.function.numpy(manifold)
    def gradient(point):
        return torch.func.grad(_euclidean)(torch.tensor(point.T)).T.numpy()

    optimizer = pymanopt.optimizers.ConjugateGradient(verbosity=0, min_gradient_norm=1e-9, max_iterations=2000)
    start = PROBLEM.normalised(normal_starts(PROBLEM.size, 0, 0, 1))[0].view(ROWS, -1).T.numpy()
    found = optimizer.run(pymanopt.Problem(manifold, cost, euclidean_gradient=gradient), initial_point=start)
    assert found.cost == pytest.approx(sphere_target(PROBLEM).value, rel=1e-10)


def test_hessian_is_the_second_derivative_along_great_circles(normal):
    x, v = _unit_point_and_tangent(normal)
    rows, tangent = x.view(ROWS, -1), v.view(ROWS, -1)
    speed = tangent.norm(dim=1, keepdim=True)

    def moved(t: float) -> torch.Tensor:
        return PROBLEM.value((torch.cos(speed * t) * rows + torch.sin(speed * t) * tangent / speed).flatten())

    t = 1e-4
    second = float((moved(t) - 2 * moved(0.0) + moved(-t)) / t**2)
    assert float(v @ PROBLEM.hessian(x)(v[None])[0]) == pytest.approx(second, rel=1e-6)


def test_lengths_change_nothing(normal):
    x = normal(3, PROBLEM.size)
    stretched = (x.view(3, ROWS, -1) * torch.rand(3, ROWS, 1, dtype=torch.float64).add(0.5)).flatten(1)
    torch.testing.assert_close(PROBLEM.value(stretched), PROBLEM.value(x))
    assert float((PROBLEM.value_and_gradient(x)[1] * x).sum(-1).abs().max()) < 1e-14


@pytest.mark.parametrize(
    ("K", "d", "n", "tau", "value"),
    [(4, 6, 2, 1.0, 0.5826576530618005), (4, 6, 2, 5.0, 3.810631715880694e-3), (10, 12, 1, 16.0, 1.711794721607192e-7)],
)
def test_reference_values(K, d, n, tau, value):
    problem = SphereProblem(CrossEntropy(), K, d, n, temperature=tau)
    assert sphere_target(problem).value == pytest.approx(value, rel=1e-13)
    assert float(problem.value(sphere_target(problem).point)) == pytest.approx(value, rel=1e-8)


def test_spectrum_at_the_simplex():
    """Zeros: rotations of a (K - 1)-dimensional span, and the K + N lengths; q the probability of another class."""
    K, d, n, N, tau = 4, 6, 2, 8, 5.0
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(PROBLEM, sphere_target(PROBLEM).point[None])[0])
    q = 1 / (math.exp(tau * K / (K - 1)) + K - 1)
    assert int((eigenvalues.abs() < 1e-13).sum()) == (K - 1) * (2 * d - K) // 2 + K + N
    for value, count in (
        (tau * q * (1 + 1 / n), (K - 1) * (d - K + 1)),
        (tau * q, d - K + 1),
        (tau * q / n, (N - K + 1) * (d - K + 1)),
    ):
        assert int((eigenvalues - value).abs().lt(1e-13).sum()) == count
    assert float(eigenvalues[eigenvalues > 1e-13].min()) == pytest.approx(PROBLEM.least_curvature, rel=1e-9)


@pytest.mark.parametrize(
    ("K", "d", "n", "tau"), [(2, 3, 2, 0.5), (3, 4, 2, 0.05), (4, 5, 3, 0.01), (4, 5, 2, 10.0), (6, 7, 1, 1.0)]
)
def test_least_curvature_is_that_of_the_dense_hessian(K, d, n, tau):
    problem = SphereProblem(CrossEntropy(), K, d, n, temperature=tau)
    spectrum = torch.linalg.eigvalsh(dense_hessian(problem, sphere_target(problem).point[None]))[0]
    least = float(spectrum[spectrum > 1e-9 * spectrum[-1]][0])
    assert problem.least_curvature == pytest.approx(least, rel=1e-9)


def test_total_collapse_has_the_predicted_index():
    x = torch.zeros(ROWS, PROBLEM.d, dtype=torch.float64)
    x[:, 0] = 1
    found = classify(PROBLEM, x.view(1, -1))
    assert float(found.value[0]) == pytest.approx(math.log(4), rel=1e-14)
    assert int(found.morse_index[0]) == 5 * 3
    assert float(found.smallest_eigenvalue[0]) == pytest.approx(-5 / (4 * math.sqrt(2)), rel=1e-12)


def test_in_too_few_dimensions_the_simplex_is_out_of_reach():
    """d = K - 2: the minimum is that of the square, log(1 + 2 e^-tau + e^-2tau)."""
    problem = SphereProblem(CrossEntropy(), 4, 2, 1, temperature=5.0)
    ends = minimise(problem, normal_starts(problem.size, 0, 0, 16), 1e-9)
    square = math.log1p(2 * math.exp(-5) + math.exp(-10))
    assert float(ends.value.min()) == pytest.approx(square, rel=1e-12)
    assert square > 3 * sphere_target(PROBLEM).value
    with pytest.raises(ValueError, match=r"dim.*>= 3"):
        sphere_target(problem)


def test_critical_points_found_are_critical_on_the_spheres():
    problem = SphereProblem(CrossEntropy(), 3, 4, 1, temperature=3.0)
    ends = find_critical_points(problem, normal_starts(problem.size, 0, 0, 8))
    x = problem.normalised(ends.x[ends.is_converged])
    assert len(x) >= 6
    assert float(problem.value_and_gradient(x)[1].norm(dim=1).max()) < 1e-10


def test_wrong_spheres_are_refused():
    with pytest.raises(ValueError, match=r"temperature=...\).*> 0, got 0"):
        SphereProblem(CrossEntropy(), 4, 6, 2, temperature=0.0)
    with pytest.raises(ValueError, match="must be ce on spheres"):
        sphere_target(SphereProblem(LabelSmoothing(0.1), 4, 6, 2, temperature=1.0))
    with pytest.raises(ValueError, match="equal class sizes"):
        sphere_target(SphereProblem(CrossEntropy(), 4, 6, 2, temperature=1.0, sizes=(1, 1, 1, 2)))
