"""Critical points classified by their orbit, against dense spectra; points and orbits that must not be matched."""

import dataclasses

import pytest
import torch

from ufm.curvature.alignment import Symmetry, _inexactness, _relabelling, align
from ufm.curvature.hessian_lipschitz import Size, derivative_bounds, lipschitz
from ufm.curvature.orbit_classes import classify_by_orbit
from ufm.model.factors import relabelled
from ufm.model.losses import CrossEntropy, Focal, SquaredError
from ufm.model.model import Factors, Point
from ufm.model.problem import Problem
from ufm.solve.critical_points import classify
from ufm.solve.hessian import dense_hessian
from ufm.solve.newton import find_critical_points


def _saddles(problem, normal, count=40):
    scale = torch.logspace(-1, 0.5, count, dtype=torch.float64)[:, None]
    ends = find_critical_points(problem, scale * normal(count, problem.size))
    return ends.x[ends.is_converged]


def _copies(problem, x, count=6):
    """Copies of a point under random relabellings, orders of samples, and rotations."""
    generator, copies = torch.Generator().manual_seed(1), []
    for _ in range(count):
        classes = torch.randperm(problem.K, generator=generator)
        within = torch.stack([torch.randperm(problem.n, generator=generator) for _ in range(problem.K)])
        samples = (classes[:, None] * problem.n + within).flatten()
        turn = torch.linalg.qr(torch.randn(problem.d, problem.d, dtype=x.dtype, generator=generator))[0]
        W, H, b = problem.unpack(x)
        copies.append(problem.assembled(*relabelled(Factors(W, [], H, b), classes, samples, turn)))
    return torch.stack(copies)


@pytest.fixture(params=[CrossEntropy(), Focal(3.0), SquaredError()], ids=repr)
def problem(request, decay_b):
    return Problem(request.param, K=4, d=5, n=2, decay_W=5e-3, decay_H=5e-3, decay_b=decay_b)


def test_all_have_the_kind_that_their_own_spectrum_says(problem, normal):
    x = _saddles(problem, normal)
    found, dense = classify_by_orbit(problem, x), classify(problem, x)
    spectra = torch.linalg.eigvalsh(dense_hessian(problem, x))
    assert int((~found.distance.isnan()).sum()) > len(x) / 2
    for name in ("morse_index", "nullity", "rank", "is_strict_saddle", "is_rank_one"):
        assert getattr(found.kinds, name).tolist() == getattr(dense, name).tolist()
    assert (found.kinds.smallest_eigenvalue >= spectra[:, 0] - 1e-14).all()
    assert (found.kinds.smallest_eigenvalue <= spectra[:, 0] + 2 * found.shift + 1e-14).all()
    v = found.kinds.direction
    along = torch.linalg.vecdot(problem.hessian(x)(v[:, None])[:, 0], v)
    assert (along <= found.kinds.curvature + 1e-14).all()
    torch.testing.assert_close(v.norm(dim=1), torch.ones(len(v)).double())


@pytest.mark.parametrize("loss", [CrossEntropy(), Focal(3.0)], ids=repr)
def test_any_point_is_found_again_in_its_copies(loss, normal):
    """Not only critical ones, on which samples of a class agree."""
    problem = Problem(loss, K=6, d=4, n=3, decay_W=5e-3, decay_H=5e-3, decay_b=0.01)
    x = normal(problem.size)
    symmetry, distance = align(problem, x, _copies(problem, x))
    assert float(distance.max()) < 1e-12
    torch.testing.assert_close(symmetry.image(problem, x), _copies(problem, x))


def test_label_space_is_rotated_for_squared_error_only(normal, decay_b):
    problem = Problem(SquaredError(), K=4, d=5, n=1, decay_W=5e-3, decay_H=5e-3, decay_b=decay_b)
    across = torch.linalg.qr(torch.cat([torch.ones(4, 1).double(), normal(4, 3)], 1))[0]
    turn = torch.linalg.qr(normal(3, 3))[0]
    R = across @ torch.block_diag(torch.ones(1, 1).double(), turn) @ across.mT
    x = next(point for point in _saddles(problem, normal) if 1 <= int(classify(problem, point[None]).rank) <= 2)
    W, H, b = problem.unpack(x)
    turned = problem.pack(Point(R @ W, R @ H, R @ b))[None]
    assert float(problem.value_and_gradient(turned)[1].norm()) < 1e-10
    assert float(align(problem, x, turned)[1]) < 1e-6
    other = dataclasses.replace(problem, loss=CrossEntropy())
    assert float(align(other, x, turned)[1]) > 0.1


def test_a_point_half_as_far_again_as_the_bound_is_not_matched(problem, normal, monkeypatch):
    """The bound is where the shift of an eigenvalue could bridge the gap around zero; well within all are matched."""
    monkeypatch.setattr("ufm.curvature.orbit_classes.SAME_VALUE", 10.0)
    x = _saddles(problem, normal)
    kinds = classify(problem, x)
    i = int(kinds.rank.argmax())
    bounds, (W, H, _) = derivative_bounds(problem.loss, problem.K), problem.unpack(x[i])
    size = Size(*(float(torch.linalg.matrix_norm(A, 2)) for A in (W, H)), float(H.norm(dim=1).max()))
    radii = torch.logspace(-9, 0, 500, dtype=torch.float64)
    bound = radii[2 * lipschitz(problem, bounds, size, radii) * radii < kinds.separation[i]].max()
    assert bound > 1e-7
    for copy, v in zip(_copies(problem, x[i]), torch.nn.functional.normalize(normal(6, problem.size)), strict=True):
        for times, is_matched in ((0.9, True), (1.5, False)):
            found = classify_by_orbit(problem, torch.stack([x[i], copy + times * bound * v]))
            assert found.distance.isnan().tolist() == [True, not is_matched]


def test_another_orbit_of_equal_objective_is_not_matched(normal, monkeypatch):
    """All values taken for one: only points of one orbit are matched still."""
    problem = Problem(CrossEntropy(), K=4, d=5, n=1, decay_W=5e-3, decay_H=5e-3, decay_b=0.01)
    x = _saddles(problem, normal)
    right = classify(problem, x)
    assert len(right.kinds()) > 3
    monkeypatch.setattr("ufm.curvature.orbit_classes.SAME_VALUE", 10.0)
    found = classify_by_orbit(problem, x)
    assert found.kinds.morse_index.tolist() == right.morse_index.tolist()
    assert found.kinds.rank.tolist() == right.rank.tolist()
    assert int(found.distance.isnan().sum()) >= len(right.kinds())


def test_other_models_have_all_spectra_computed(normal):
    mixed = Problem(CrossEntropy(), 3, 3, 1, torch.full((4,), 0.01).double(), 0.01, 0.0)
    for problem in (mixed, Problem(CrossEntropy(), 3, 3, 1, 0.01, 0.01, sizes=(1, 1, 2))):
        x = _saddles(problem, normal, 4)
        found = classify_by_orbit(problem, x if problem.is_mixed is False else normal(4, problem.size))
        assert found.distance.isnan().all()
        assert (found.shift == 0).all()


@pytest.mark.parametrize("K", [5, 7])
def test_classes_that_look_alike_are_told_apart_by_those_that_are_placed(K):
    """The rows of W are the corners of a regular polygon: each is at the same angles to the others."""
    problem = Problem(CrossEntropy(), K=K, d=2, n=1, decay_W=5e-3, decay_H=5e-3, decay_b=None)
    angles = 2 * torch.pi / K * torch.arange(K, dtype=torch.float64)
    corners = torch.stack([angles.cos(), angles.sin()], 1)
    x = problem.pack(Point(corners, corners, torch.zeros(K).double()))
    copies = _copies(problem, x)
    R = _relabelling(problem, x, copies)
    W = problem.unpack(copies).W
    torch.testing.assert_close(W @ W.mT, R @ (corners @ corners.mT) @ R.mT)


@pytest.mark.parametrize(("decay_b", "is_symmetry"), [(0.02, False), (None, True)])
def test_a_rotation_that_moves_a_constant_bias_is_no_symmetry(decay_b, is_symmetry):
    """Of squared error: next to the identity, under which the bias 1 would stay."""
    problem = Problem(SquaredError(), K=3, d=2, n=1, decay_W=5e-3, decay_H=5e-3, decay_b=decay_b)
    generator = torch.zeros(3, 3, dtype=torch.float64)
    generator[0, 1], generator[1, 0] = 1e-6, -1e-6
    R, one = torch.linalg.matrix_exp(generator), torch.ones(3, dtype=torch.float64)
    rotation = Symmetry(R[None], torch.arange(3)[None], torch.eye(2, dtype=torch.float64)[None])
    moved = float((R @ one - one).norm() / one.norm())
    assert (float(_inexactness(problem, rotation)) < moved / 100) == is_symmetry
    assert is_symmetry or float(_inexactness(problem, rotation)) >= moved
