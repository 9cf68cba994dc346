"""Newton's search and the classification of what it finds, against critical points known in closed form."""

import math

import pytest
import torch

from ufm.model.losses import CrossEntropy, SquaredError
from ufm.model.model import Point
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.critical_points import classify, rank_one_direction
from ufm.solve.end_points import Status
from ufm.solve.newton import find_critical_points
from ufm.theory.prediction import predict, predicted_point
from ufm.verify.verify import saddle_starts

pytestmark = pytest.mark.usefixtures("all_cores")


def test_zero_is_a_strict_saddle_of_known_index():
    problem = Problem(CrossEntropy(), 4, 5, 2, 5e-3, 1e-3, 0.0)
    found = classify(problem, torch.zeros(1, problem.size, dtype=torch.float64))
    assert int(found.morse_index) == 15
    assert int(found.rank) == 0
    assert float(found.value) == pytest.approx(math.log(4))
    norm, (lW, lH) = 1 / (4 * 2**0.5), (5e-3, 1e-3)
    assert float(found.smallest_eigenvalue) == pytest.approx((lW + lH) / 2 - math.hypot((lW - lH) / 2, norm), rel=1e-12)
    assert bool(found.is_rank_one)
    assert bool(found.is_strict_saddle)
    assert float(found.curvature) == pytest.approx(float(found.smallest_eigenvalue), rel=1e-10)


def test_the_minimiser_has_the_nullity_of_its_rotations(problem):
    found = classify(problem, predicted_point(problem, predict(problem))[None])
    rank, d = int(found.rank), problem.d
    is_free_constant = problem.decay_b == 0 and not isinstance(problem.loss, SquaredError)
    assert int(found.morse_index) == 0
    assert int(found.nullity) == rank * d - rank * (rank + 1) // 2 + is_free_constant
    assert not bool(found.is_rank_one)
    assert not bool(found.is_strict_saddle)  # its rotations have the curvature 0, but for rounding
    assert float(found.curvature) > -1e-12


@pytest.mark.parametrize(
    ("decay", "second", "rank"), [(5e-3, 1e-5, 2), (5e-3, 1e-7, 1), (1e-8, 0.1, 2), (1e-8, 1e-3, 1)]
)
def test_the_rank_counts_what_is_resolved(decay, second, rank):
    """1e-6, or where decays are small what a gradient of 1e-10 can be told from: 1e-10 / 1e-8."""
    problem = Problem(CrossEntropy(), 3, 3, 1, decay, decay, None)
    W = torch.tensor([1.0, second, 0.0], dtype=torch.float64).diag()
    found = classify(problem, problem.pack(Point(W, W, torch.zeros(3).double()))[None])
    assert int(found.rank) == rank


# Classes merged into groups (cross entropy, free bias): group sizes, d, n, decay_W, decay_H, objective, Morse index.
PARTITIONS = (
    ((2, 1, 1), 6, 1, 0.01, 0.01, 0.47944341533974, 6),
    ((3, 1), 6, 2, 5e-3, 1e-3, 0.85338730571445, 12),
    ((3, 2, 1), 8, 2, 5e-3, 1e-3, 0.85049247601628, 24),
    ((2, 2, 1, 1), 8, 1, 0.01, 0.01, 0.68554052333354, 16),
    ((5, 2), 7, 1, 5e-3, 5e-3, 1.42104361333424, 35),
)


@pytest.mark.parametrize("row", PARTITIONS, ids=lambda row: str(row[0]))
def test_partially_collapsed_points_are_strict_saddles(row):
    groups, value, index = row[0], *row[-2:]
    problem, x = _partition_point(*row[:5])
    assert float(problem.value_and_gradient(x)[1].abs().max()) < 1e-14
    found = classify(problem, x)
    assert float(found.value) == pytest.approx(value, abs=1e-13)
    assert int(found.morse_index) == index
    assert int(found.rank) == len(groups) - 1
    assert bool(found.is_rank_one)
    assert float(found.curvature) < -1e-3


def test_the_rank_one_direction_has_the_curvature_of_the_theory():
    """-2 (|G|_2 - s) for the direction of equal weights; the optimal weights give the eigenvalue of a 2 x 2 block."""
    problem, x = _partition_point((2, 1, 1), 6, 2, 5e-3, 1e-3)
    direction, exists = rank_one_direction(problem, x)
    assert bool(exists)
    torch.testing.assert_close(direction.norm(dim=1), torch.ones(1, dtype=torch.float64))
    curvature = float(problem.hessian(x)(direction[:, None])[0, 0] @ direction[0])
    norm = float(torch.linalg.matrix_norm(problem.logit_gradient(x)[0], 2))
    assert -2 * (norm - math.sqrt(5e-6)) == pytest.approx(-0.349081254638, abs=1e-12)
    assert curvature == pytest.approx(3e-3 - math.hypot(2e-3, norm), rel=1e-12)


@pytest.mark.parametrize(("decay_b", "indices"), [(None, [24, 15, 8, 3, 0]), (0.0, [18, 10, 4, 0])])
def test_squared_error_has_a_grassmannian_of_saddles_for_every_rank(decay_b, indices):
    """Rank r: value (R - r)/(2K) + r f_1 and index (R - r)(d - r), R the largest rank."""
    problem = Problem(SquaredError(), 4, 6, 2, 5e-3, 1e-3, decay_b)
    ends = find_critical_points(problem, saddle_starts(problem, 0, 128, torch.device("cpu")))
    found = classify(problem, ends.x[ends.is_converged])
    R, c = len(indices) - 1, math.sqrt(1e-5)
    values = [(R - r) / 8 + r * ((4 * c) ** 2 / 8 + c * (1 - 4 * c)) for r in range(R + 1)]
    for rank, value, index in zip(found.rank.tolist(), found.value.tolist(), found.morse_index.tolist(), strict=True):
        assert value == pytest.approx(values[rank], abs=1e-11)
        assert index == indices[rank]
    assert set(range(R)) <= set(found.rank.tolist())


def test_newton_converges_to_many_strict_saddles_and_counts_every_start(loss):
    problem = Problem(loss, 4, 6, 2, 5e-3, 5e-3, 0.01)
    ends = find_critical_points(problem, saddle_starts(problem, 1, 96, torch.device("cpu")))
    assert set(ends.status.tolist()) <= {Status.CONVERGED, Status.STALLED, Status.MAX_STEPS}
    assert int(ends.is_converged.sum()) >= 86
    assert (ends.gradient_norm[ends.is_converged] <= 1e-11).all()
    found = classify(problem, ends.x[ends.is_converged])
    above = found.value > predict(problem).value + 1e-9
    assert above.any()
    assert (found.morse_index[above] > 0).all()
    assert (found.curvature[above] < 0).all()
    assert (found.morse_index[~above] == 0).all()


def test_newton_is_truthful_when_out_of_steps():
    problem = Problem(CrossEntropy(), 4, 6, 2, 5e-3, 5e-3, 0.01)
    ends = find_critical_points(problem, normal_starts(problem.size, 0, 0, 4), max_steps=2)
    assert ends.status.tolist() == [Status.MAX_STEPS] * 4
    assert (ends.gradient_norm > 1e-11).all()


def test_newton_starts_are_independent():
    problem = Problem(CrossEntropy(), 4, 6, 2, 5e-3, 5e-3, 0.01)
    starts = normal_starts(problem.size, 0, 0, 6)
    starts[3] = torch.nan
    together = find_critical_points(problem, starts)
    assert together.status[3] == Status.NONFINITE
    alone = find_critical_points(problem, starts[4:5])
    torch.testing.assert_close(alone.x[0], together.x[4], rtol=1e-6, atol=1e-6)


def _partition_point(groups, d, n, decay_W, decay_H):
    """The critical point at which the classes of a group share their features: Z = Pi blockdiag(t_g 1 1') Pi."""
    K = sum(groups)
    problem = Problem(CrossEntropy(), K, d, n, decay_W, decay_H, 0.0)
    c = math.sqrt(n * decay_W * decay_H)
    t = [math.log(1 + (1 - K * c) / (m * c)) for m in groups]
    blocks = torch.block_diag(*[s * torch.ones(m, m, dtype=torch.float64) for s, m in zip(t, groups, strict=True)])
    Pi = torch.eye(K, dtype=torch.float64) - 1 / K
    U, S, _ = torch.linalg.svd(Pi @ blocks @ Pi)
    ratio = math.sqrt(n * decay_H / decay_W)
    W = torch.zeros(K, d, dtype=torch.float64)
    W[:, : len(groups) - 1] = math.sqrt(ratio) * (U * S.sqrt())[:, : len(groups) - 1]
    b = torch.cat([torch.full((m,), s * m / K, dtype=torch.float64) for s, m in zip(t, groups, strict=True)])
    return problem, problem.pack(Point(W, (W / ratio)[problem.labels()], b))[None]
