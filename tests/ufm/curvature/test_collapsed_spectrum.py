"""The small blocks of the Hessian at a collapsed point against its dense spectrum."""

import dataclasses

import pytest
import torch

from ufm.curvature.collapsed_spectrum import across, collapsed_spectrum, spectrum_at_zero, symmetrised
from ufm.curvature.orbit_bound import known_orbit
from ufm.model.losses import CrossEntropy
from ufm.model.model import Point
from ufm.model.pick_all_labels import PickAllLabels
from ufm.model.problem import Problem
from ufm.solve.hessian import dense_hessian
from ufm.theory.model_choice import target_of


def _dense(problem: Problem, x: torch.Tensor, zeros: int) -> tuple[float, float]:
    """Least and largest |eigenvalue| beside as many zero ones as the symmetries explain."""
    values = torch.linalg.eigvalsh(dense_hessian(problem, x[None])[0])
    values = values[values.abs().argsort()][zeros:]
    return float(values.min()), float(values.abs().max())


@pytest.mark.parametrize(("K", "d", "n"), [(2, 3, 1), (2, 2, 3), (3, 4, 1), (4, 4, 2), (5, 6, 2)])
def test_blocks_have_the_least_and_largest_eigenvalue(K, d, n, loss, decay_b):
    problem = Problem(loss, K, d, n, 5e-3, 2e-3, decay_b)
    x = target_of(problem).point
    rank = int(torch.linalg.matrix_rank(problem.unpack(x).W, rtol=1e-6))
    small = dataclasses.replace(problem, d=rank)
    W, H, b = problem.unpack(x)
    assert not W[:, rank:].any()
    found = collapsed_spectrum(small, small.pack(type(problem.unpack(x))(W[:, :rank], H[:, :rank], b)), d)
    zeros = rank * d - rank * (rank + 1) // 2 + (problem.has_free_bias and problem.is_shift_invariant)
    assert found == pytest.approx(_dense(problem, x, int(zeros)), rel=1e-8, abs=1e-12)


def test_a_point_without_the_symmetry_is_left_to_the_dense_spectrum(normal):
    """One feature longer than the others of its class, and class features of two lengths: each is refused."""
    problem = Problem(CrossEntropy(), 4, 3, 2, 5e-3, 5e-3, 0.01)
    x = target_of(problem).point
    assert collapsed_spectrum(problem, x, 5) is not None
    for rows in ([4], [4, 5], [0]):
        moved = x.clone()
        moved[:36].view(12, 3)[rows] *= 1 + 1e-6
        assert collapsed_spectrum(problem, moved, 5) is None


@pytest.mark.parametrize("off", [1e-11, 1e-7])
def test_a_point_beside_the_symmetry_is_moved_there_or_left(off, normal):
    """What is proved holds for the point that is stored, and its blocks are its spectrum only where it is symmetric."""
    problem = Problem(CrossEntropy(), 4, 3, 2, 5e-3, 5e-3, 0.01)
    x = target_of(problem).point
    near = symmetrised(problem, x + off * normal(problem.size))
    assert (near is not None) == (off < 1e-9)
    if near is not None:
        assert (near - x).norm() < 10 * off
        assert collapsed_spectrum(problem, near, 3) == pytest.approx(collapsed_spectrum(problem, x, 3), rel=1e-6)


@pytest.mark.parametrize("features", [1.0, 0.0])
def test_a_classifier_of_less_rank_than_the_point_has_no_blocks(features):
    """W on fewer columns than features: the Gram matrix has the symmetry, but D F does not reach all columns."""
    problem = Problem(CrossEntropy(), 3, 4, 1, 0.5, 0.5, None)
    simplex = torch.linalg.svd(torch.eye(3).double() - 1 / 3)[0][:, :2]
    zero = torch.zeros_like(simplex)
    W, H = torch.cat([features * simplex, zero], 1), torch.cat([features * simplex, simplex], 1)
    assert symmetrised(problem, problem.pack(Point(W, H, torch.zeros(3).double()))) is None


@pytest.mark.parametrize("sets", [((0, 1), (1, 2), (0, 2)), ((0,), (0,), (0,))])
def test_as_many_sets_as_classes_do_not_have_the_symmetry_of_the_classes(sets):
    problem = Problem(PickAllLabels(sets), 3, 3, 1, 0.4, 0.4, None)
    zero = torch.zeros(problem.size, dtype=torch.float64)
    assert not problem.is_balanced
    assert spectrum_at_zero(problem, zero) is None
    orbit = known_orbit(problem, zero)
    assert orbit is not None
    assert orbit.curvature == pytest.approx(_dense(problem, zero, 0)[0], abs=1e-9)


def test_the_least_eigenvalue_across_is_not_that_along():
    matrix = torch.diag(torch.tensor([-1.0, 2.0, 3.0], dtype=torch.float64))
    along = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    assert across(matrix, along) == pytest.approx((2, 3))
    assert across(matrix, 0 * along) == pytest.approx((-1, 3))


def test_a_hundred_classes_need_no_dense_matrix():
    """Where the dense Hessian would have 108,991 variables."""
    problem = Problem(CrossEntropy(), 100, 128, 10, 1e-3, 1e-3, 0.01)
    orbit = known_orbit(problem, target_of(problem).point)
    assert orbit is not None
    assert 0 < orbit.curvature < 1e-3
    assert orbit.near(target_of(problem).point[None]).smallest_eigenvalue > -1e-9


@pytest.mark.parametrize(
    ("K", "d", "n", "unit"), [(2, 1, 1, 1), (2, 3, 2, 1), (3, 2, 1, 1), (3, 2, 1, 40), (5, 4, 3, 1)]
)
@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_the_spectrum_at_zero_is_the_dense_one(K, d, n, unit, constant, loss, decay_b):
    problem = Problem(loss, K, d, n, 0.1 * unit, 0.02 * unit, decay_b)
    y = torch.zeros(problem.size, dtype=torch.float64)
    if problem.has_bias:
        y[-K:] = constant
    found = spectrum_at_zero(problem, y)
    free = int(problem.has_free_bias and problem.is_shift_invariant)
    assert found == pytest.approx(_dense(problem, y, free), rel=1e-8, abs=1e-12)


def test_a_bias_that_tells_classes_apart_is_left_to_the_dense_spectrum_at_zero():
    problem = Problem(CrossEntropy(), 3, 2, 1, 0.5, 0.5, 0.01)
    y = torch.zeros(problem.size, dtype=torch.float64)
    y[-1] = 1e-3
    assert spectrum_at_zero(problem, y) is None
    assert known_orbit(problem, y) is not None
    assert spectrum_at_zero(dataclasses.replace(problem, sizes=(1, 1, 2)), 0 * y[[*range(len(y)), 0, 1]]) is None


def test_a_thousand_classes_at_zero_are_certified():
    """At c above 1/K, where the minimiser is zero; just below, zero goes down and is not."""
    for decay, holds in ((1.001e-3, True), (0.999e-3, False)):
        problem = Problem(CrossEntropy(), 1000, 1000, 1, decay, decay, 0.01)
        zero = torch.zeros(problem.size, dtype=torch.float64)
        orbit = known_orbit(problem, zero)
        assert orbit is not None
        assert bool(orbit.near(zero[None]).smallest_eigenvalue > 0) == holds
        assert orbit.curvature == pytest.approx(decay - 1e-3, abs=1e-9)
