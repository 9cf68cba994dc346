"""Unequal class sizes against a convex solver, closed forms, and the threshold of minority collapse."""

import dataclasses

import numpy as np
import pytest
import torch

from theory_checks.softmax_relaxation import ALLOWED, bracket
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.theory.imbalance import class_sizes, collapsing_sizes, imbalanced_target

SIZES = (8, 5, 2, 2)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("decay_b", [0.0, None])
def test_minimum_is_that_of_the_convex_programme(alpha, decay_b):
    problem = Problem(LabelSmoothing(alpha), 4, 5, 1, 5e-3, 2e-3, decay_b, sizes=SIZES)
    target = imbalanced_target(problem)
    y = (1 - alpha) * np.repeat(np.eye(4), SIZES, axis=0) + alpha / 4
    found = bracket(y, float(problem.radius), free_bias=decay_b == 0)
    assert found.gap <= ALLOWED
    assert found.misses(target.value) <= ALLOWED
    assert target.is_proved_global
    assert target.facts["lower_bound"] == pytest.approx(target.value, rel=1e-9)
    assert class_sizes(problem) == list(SIZES)


def test_squared_error_without_bias_has_the_known_singular_values():
    problem = Problem(SquaredError(), 4, 5, 2, 0.02, 0.02, None, sizes=SIZES)
    target = imbalanced_target(problem)
    n, N, s = 2 * np.array(SIZES), problem.N, 0.02
    kept = np.maximum(np.sqrt(n) - N * s, 0)
    assert target.value == pytest.approx(((kept - np.sqrt(n)) ** 2).sum() / (2 * N) + s * kept.sum(), rel=1e-12)
    found = torch.linalg.svdvals(problem.logits(target.point)).numpy()
    np.testing.assert_allclose(found, np.sort(kept)[::-1], atol=1e-8)


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_minority_rows_coincide_from_the_threshold_on(factor):
    """n_k = N^2 decay_W decay_H: on one side of it both minority classes share a row, on the other not."""
    N, n_k = 1 * (8 + 5 + 2 + 2), 2
    decay = factor * n_k**0.5 / N
    problem = Problem(CrossEntropy(), 4, 5, 1, decay, decay, 0.0, sizes=SIZES)
    target = imbalanced_target(problem)
    W = problem.unpack(target.point).W
    apart = float((W[2] - W[3]).norm())
    assert collapsing_sizes(problem) == ([2] if factor > 1 else [])
    assert collapsing_sizes(dataclasses.replace(problem, sizes=(8, 5, 3, 1))) == []  # a row is shared by two
    assert (apart < 1e-6) == (factor > 1)
    assert any("minority collapse" in note for note in target.notes) == (factor > 1)


@pytest.mark.parametrize("rescale", [1e-4, 1e4])
def test_the_dual_gap_counts_in_units_of_the_value_at_zero(rescale):
    problem = Problem(SquaredError(rescale), 4, 5, 2, 0.02 * rescale, 0.02 * rescale, None, sizes=SIZES)
    target = imbalanced_target(problem)
    assert target.is_proved_global
    assert target.margin > 0.1 * rescale  # and not taken for zero, however small


def test_equal_sizes_are_the_balanced_model():
    from ufm.theory.prediction import predict

    unequal = Problem(CrossEntropy(), 4, 5, 1, 5e-3, 2e-3, 0.01, sizes=(3, 3, 3, 3))
    plain = Problem(CrossEntropy(), 4, 5, 3, 5e-3, 2e-3, 0.01)
    assert imbalanced_target(unequal).value == pytest.approx(predict(plain).value, rel=1e-12)


def test_what_has_no_certificate_is_refused():
    with pytest.raises(ValueError, match="convex"):
        imbalanced_target(Problem(Focal(2.0), 4, 5, 1, 0.1, 0.1, sizes=SIZES))
    with pytest.raises(ValueError, match=r"dim.*>= classes"):
        imbalanced_target(Problem(CrossEntropy(), 4, 3, 1, 0.1, 0.1, sizes=SIZES))
