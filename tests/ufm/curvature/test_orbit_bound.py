"""The bound of curvature near a known orbit: against dense eigenvalues, with constants and points that must fail."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes

from tests.conftest import LOSSES
from ufm.curvature.hessian_lipschitz import BOUNDS, Size, derivative_bounds, lipschitz
from ufm.curvature.orbit_bound import KnownOrbit, known_orbit
from ufm.model.factors import widened
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, SquaredError
from ufm.model.model import Model, Point
from ufm.model.problem import Problem
from ufm.proof.focal_certificate import PartialState
from ufm.solve.hessian import dense_hessian
from ufm.solve.minimise import minimise
from ufm.solve.units import own_units
from ufm.theory.focal_window import TwoLevels
from ufm.theory.model_choice import target_of

STARTS = 12
BOUNDED = [name for name, loss in LOSSES.items() if type(loss) in BOUNDS]


@pytest.fixture(params=BOUNDED)
def loss(request: pytest.FixtureRequest) -> Loss:
    return LOSSES[request.param]


def _smallest(model: Model, x: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigvalsh(dense_hessian(model, x))[:, 0]


def _orbit_and_ends(problem: Problem, normal) -> tuple[KnownOrbit, torch.Tensor]:
    units = own_units(problem)
    orbit = known_orbit(units.model, units.target(target_of(problem)).point)
    assert orbit is not None
    return orbit, minimise(units, normal(STARTS, problem.size), 1e-10).x


def _third_derivatives(loss: Loss, z: torch.Tensor, p: torch.Tensor, y: int) -> tuple[float, float]:
    """phi''[p, p] and phi'''[p, p, p] by automatic differentiation along the line z + t p."""
    labels = torch.tensor([y])
    at = torch.func.grad(torch.func.grad(lambda t: loss((z + t * p)[None], labels)[0]))
    t = torch.zeros((), dtype=torch.float64)
    return float(at(t)), float(torch.func.grad(at)(t))


def test_derivatives_of_a_sample_stay_within_their_bounds(loss, normal):
    bounds = derivative_bounds(loss, 4)
    assert bounds is not None
    z = torch.logspace(-1, 1.2, 60, dtype=torch.float64)[:, None] * normal(60, 4)
    p = torch.nn.functional.normalize(normal(60, 4))
    found = torch.tensor([_third_derivatives(loss, z[i], p[i], i % 4) for i in range(60)]).abs().amax(0)
    assert found[0] <= bounds.second
    assert found[1] <= bounds.third + 1e-12  # rounding, where it is 0


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0, 20.0])
def test_the_bounds_of_focal_loss_are_the_sums_of_the_largest_terms(gamma):
    """Each factor's largest value from a grid of p, put together as the docstring derives it."""
    p = np.linspace(1e-9, 1 - 1e-9, 400_001)
    q = 1 - p
    pl, pq, m = (np.abs(term).max() for term in (p * np.log(p), p * q, gamma * p - q))
    psi = (
        gamma * pl + 1,
        gamma * m * pl + (2 * gamma + 1) * pq,
        gamma * m**2 * pl + (2 * gamma + 1) * m * pq + gamma * (gamma + 1) * pq * pl + pq * (gamma * m + 2 * gamma + 1),
    )
    variance, skewness, e = 1 / 2, 2**1.5 / (6 * 3**0.5), 2**0.5
    found = derivative_bounds(Focal(gamma), 4)
    assert found is not None
    loosest = gamma * (gamma + 1) / 4 * (1 / math.e - pl * pq * 4)  # where p l is taken at its largest by itself
    assert found.second == pytest.approx(psi[1] * e**2 + psi[0] * variance, rel=1e-6)
    third = psi[2] * e**3 + 3 * psi[1] * e * variance + psi[0] * skewness
    assert third * (1 - 1e-6) <= found.third <= third + loosest * e**3 + 1e-6 * third


def test_every_loss_that_theory_knows_here_has_bounds():
    assert {"ce", "ls", "focal", "focal_half", "mse", "mse_15"} <= {*BOUNDED}


def test_the_bounds_of_cross_entropy_are_attained():
    """Two classes with probabilities (1 +- 1/sqrt(3))/2: a bound that were 5 per cent lower would be false."""
    bounds = derivative_bounds(CrossEntropy(), 2)
    assert bounds is not None
    p = torch.tensor([1.0, -1.0], dtype=torch.float64) / math.sqrt(2)
    share = (1 + 1 / math.sqrt(3)) / 2
    z = torch.tensor([math.log(share / (1 - share)), 0.0], dtype=torch.float64)
    assert _third_derivatives(CrossEntropy(), 0 * z, p, 0)[0] == pytest.approx(bounds.second)
    assert abs(_third_derivatives(CrossEntropy(), z, p, 0)[1]) == pytest.approx(bounds.third)


def test_a_subclass_is_another_function():
    class Mine(CrossEntropy):
        pass

    problem = Problem(Mine(), 3, 3, 1, 1e-2, 1e-2)
    assert derivative_bounds(problem.loss, 3) is None
    assert known_orbit(problem, torch.zeros(problem.size, dtype=torch.float64)) is None


def _changes(problem: Problem, size: float, radius: float, normal) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How much dense Hessians change per distance, and the constant with and without its cross term."""
    x, v = size * normal(200, problem.size), torch.nn.functional.normalize(normal(200, problem.size))
    change = torch.linalg.matrix_norm(dense_hessian(problem, x + radius * v) - dense_hessian(problem, x), 2) / radius
    bounds, (W, H, _) = derivative_bounds(problem.loss, problem.K), problem.unpack(x)
    assert bounds is not None
    norms = Size(torch.linalg.matrix_norm(W, 2), torch.linalg.matrix_norm(H, 2), H.norm(dim=2).amax(1))
    radii = torch.full((200,), radius, dtype=torch.float64)
    without = bounds._replace(second=0.0)
    return change, lipschitz(problem, bounds, norms, radii), lipschitz(problem, without, norms, radii)


def test_no_perturbation_breaks_the_lipschitz_constant(problem, normal):
    for size, radius in ((1.0, 1e-3), (0.1, 0.5)):
        change, constant, _ = _changes(problem, size, radius, normal)
        assert (change <= constant).all()


def test_the_constant_holds_where_the_bias_alone_moves_the_logits():
    """W = H = 0 and two classes with probabilities (1 +- 1/sqrt(3))/2, where the third derivative is largest."""
    problem = Problem(CrossEntropy(), 2, 1, 60, 5e-3, 5e-3, 0.0)
    x = torch.zeros(2, problem.size, dtype=torch.float64)
    share, radius = (1 + 1 / math.sqrt(3)) / 2, 1e-3
    x[:, -2] = math.log(share / (1 - share))
    x[1, -2:] += radius * torch.tensor([1.0, -1.0]).double() / math.sqrt(2)
    here, there = dense_hessian(problem, x)
    bounds = derivative_bounds(problem.loss, 2)
    assert bounds is not None
    zero = torch.zeros(1, dtype=torch.float64)
    constant = float(lipschitz(problem, bounds, Size(zero, zero, zero), zero + radius))
    change = float(torch.linalg.matrix_norm(there - here, 2)) / radius
    assert 0.6 * constant < change <= constant


@pytest.mark.parametrize("loss", [CrossEntropy(), SquaredError()], ids=repr)
def test_a_constant_without_the_cross_term_is_caught(loss, normal):
    """Where W and H are small their product moves the logits' gradient more than the loss's third derivative does."""
    problem = Problem(loss, K=4, d=5, n=1, decay_W=5e-3, decay_H=5e-3, decay_b=None)
    change, constant, without = _changes(problem, 0.05, 1e-3, normal)
    assert (change <= constant).all()
    assert (change > without).any()


def test_end_points_are_bounded_by_less_than_their_eigenvalues(problem, normal):
    orbit, x = _orbit_and_ends(problem, normal)
    found = orbit.near(x)
    assert (found.smallest_eigenvalue >= -1e-9).all()
    assert (found.smallest_eigenvalue <= _smallest(orbit.problem, x) + 1e-15).all()
    target = own_units(problem).target(target_of(problem))
    assert ((orbit.problem.value(x) - target.value).abs() <= found.objective + 1e-14).all()


def test_points_within_the_radius_are_bounded_and_ten_times_further_they_are_not(problem, normal):
    """The bound holds off the minimum too, where it is no longer close to zero."""
    orbit, x = _orbit_and_ends(problem, normal)
    v = torch.nn.functional.normalize(normal(STARTS, problem.size))
    near, far = orbit.near(x + 0.5 * orbit.radius * v), orbit.near(x + 10 * orbit.radius * v)
    assert near.smallest_eigenvalue.isfinite().all()
    assert (near.smallest_eigenvalue <= _smallest(orbit.problem, x + 0.5 * orbit.radius * v)).all()
    assert (near.smallest_eigenvalue < -1e-9).all()
    assert (far.smallest_eigenvalue == -torch.inf).all()


def test_the_distance_is_that_of_procrustes(problem, normal):
    """Against scipy's polar factor, for points a known way off a rotated minimiser."""
    orbit, _ = _orbit_and_ends(problem, normal)
    model, r = orbit.problem, orbit.X.shape[1]
    X = torch.nn.functional.pad(orbit.X, (0, model.d - r)) @ torch.linalg.qr(normal(model.d, model.d))[0]
    X = X + 1e-5 * normal(*X.shape)
    nearest = orthogonal_procrustes(torch.nn.functional.pad(orbit.X, (0, model.d - r)).numpy(), X.numpy())[0]
    off = float((torch.nn.functional.pad(orbit.X, (0, model.d - r)) @ torch.from_numpy(nearest) - X).norm())
    found = float(orbit.near(model.pack(Point(X[: model.K], X[model.K :], orbit.b))[None]).distance)
    assert off <= found <= off * (1 + 1e-4)
    assert r == 0 or orbit.least_singular < np.linalg.svd(orbit.X.numpy())[1][-1]


def test_the_distance_holds_where_the_orthogonal_factor_is_not_reached(problem, normal):
    """Of a minimiser that is shortened to 0.4 of its size."""
    orbit, _ = _orbit_and_ends(problem, normal)
    model, r = orbit.problem, orbit.X.shape[1]
    X = 0.4 * torch.nn.functional.pad(orbit.X, (0, model.d - r))
    found = float(orbit.near(model.pack(Point(X[: model.K], X[model.K :], orbit.b))[None]).distance)
    assert 0.6 * float(orbit.X.norm()) <= found < torch.inf


def test_the_bound_holds_where_a_rotation_goes_down_most():
    """A simplex with one column too short: turning that into another goes down at the rate of step 2."""
    problem = Problem(CrossEntropy(), 3, 4, 1, 0.3, 0.3, None)
    base = target_of(problem).point
    orbit = known_orbit(problem, base)
    assert orbit is not None
    W, H, b = problem.unpack(base)
    left, singular, right = torch.linalg.svd(torch.cat([W, H]), full_matrices=False)
    singular[0] -= orbit.radius / 2
    X = left * singular @ right
    x = problem.pack(Point(X[:3], X[3:], b))[None]
    least, bound = float(_smallest(problem, x)), float(orbit.near(x).smallest_eigenvalue)
    assert 1.2 * least < bound < least < -1e-3


@pytest.mark.parametrize("decay", [0.5, 0.2], ids=["zero is the minimum", "just above"])
def test_the_zero_minimiser_has_no_orbit_but_is_bounded(decay, normal, decay_b):
    problem = Problem(CrossEntropy(), 4, 5, 2, decay, decay, decay_b)
    orbit, x = _orbit_and_ends(problem, normal)
    assert orbit.X.shape[1] == 0
    assert (orbit.near(x).smallest_eigenvalue > -1e-9).all()
    assert (orbit.near(x).smallest_eigenvalue <= _smallest(problem, x) + 1e-15).all()


def test_two_classes_in_one_dimension_have_no_rotations(normal):
    """Reflections are left: the ends stand on either side of zero."""
    orbit, x = _orbit_and_ends(Problem(CrossEntropy(), 2, 1, 2, 5e-3, 5e-3, 0.01), normal)
    assert len(x[:, 0].sign().unique()) == 2
    assert (orbit.near(x).smallest_eigenvalue > 0).all()
    assert (orbit.near(x).smallest_eigenvalue <= _smallest(orbit.problem, x)).all()


def test_a_minimiser_of_another_orbit_is_bounded_by_its_own_only():
    """Focal loss with 30 classes: 10 on a simplex, the others together, are a minimum beside the ETF."""
    c = 0.0409664
    near = torch.tensor([[0.964, 0.743, 0.0377, 0.0, 10.0, c]], dtype=torch.float64)
    omega, eta, bias, angle, *_ = TwoLevels(30, 3.0, 0.0).polished(near)[0].tolist()
    state = PartialState(30, 3.0, c, 0.0, 10, omega, eta, bias, angle)
    problem = Problem(Focal(3.0), 30, 30, 1, c, c, 0.0)
    x = torch.tensor([float(ball.mid()) for ball in state.point], dtype=torch.float64)
    x = widened(state.problem, problem, x[None])
    etf = known_orbit(problem, target_of(dataclasses.replace(problem, decay_W=0.04, decay_H=0.04)).point)
    own = known_orbit(problem, x[0])
    assert etf is not None
    assert own is not None
    assert etf.X.shape[1] == 29
    assert float(own.near(x).smallest_eigenvalue) > -1e-9
    assert float(etf.near(x).smallest_eigenvalue) == -torch.inf
