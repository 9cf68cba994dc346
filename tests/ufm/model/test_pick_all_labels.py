import dataclasses
import itertools

import pytest
import torch

from ufm.model.pick_all_labels import PickAllLabels, all_sets
from ufm.model.problem import Problem
from ufm.theory.certificate import certify
from ufm.theory.multi_label_prediction import (
    counts_of,
    multi_label_target,
    tag_wise_averages,
    tag_wise_residual,
    value_of,
)

REFERENCE = [
    (4, (2, 1), 5e-3, 5e-3, 8.7650982923661, [4.6509971805978, 4.0965472368192], 0.75588443105736),
    (4, (3, 2, 1), 2e-3, 1e-3, 10.355242279314, [5.5704933736361, 4.9916523950062, 4.6588111701505], 1.13911638175511),
    (5, (1, 2), 5e-3, 2e-3, 7.5516879664285, [4.9922546315521, 4.4280803129855], 1.29382529391475),
    (5, (4, 1, 1), 5e-3, 2e-3, 8.5773771011761, [4.7008468289634, 4.1456219852993, 3.8287555100388], 1.38245965476985),
    (4, (0, 1), 5e-3, 5e-3, 6.4143288343134, [4.5356154155034], 1.50383579894762),
]
"""K, n_m, decays, rho, t_m, value."""


def _problem(K, multiplicity, decay_W, decay_H, decay_b=0.0, d=None) -> Problem:
    loss, sizes = all_sets(K, multiplicity)
    return Problem(loss, K, d or K, 1, decay_W, decay_H, decay_b, sizes=sizes)


def test_loss_is_the_sum_of_cross_entropies(normal):
    sets = ((0,), (1, 3), (0, 1, 2))
    logits, labels = normal(2, 6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
    expected = torch.zeros(2, 6, dtype=torch.float64)
    for i, label in enumerate(labels.tolist()):
        for k in sets[label]:
            expected[:, i] += torch.nn.functional.cross_entropy(logits[:, i], torch.tensor([k, k]), reduction="none")
    torch.testing.assert_close(PickAllLabels(sets)(logits, labels), expected)


def test_derivatives_and_conjugate(normal):
    loss, labels, logits = PickAllLabels(((0,), (1, 3), (0, 1, 2))), torch.tensor([0, 1, 2]), normal(5, 3, 4)
    value, gradient = loss.value_and_gradient(logits, labels)
    torch.testing.assert_close(gradient, torch.func.grad(lambda z: loss(z, labels).sum())(logits))
    v = normal(5, 3, 4)
    moved = torch.func.jvp(lambda z: loss.value_and_gradient(z, labels)[1], (logits,), (v,))[1]
    torch.testing.assert_close(loss.hessian(logits, labels)(v), moved)
    # Fenchel: equality at the gradient, inequality elsewhere, infinite off the domain.
    at_gradient = loss.conjugate(gradient, labels)
    torch.testing.assert_close(at_gradient, (gradient * logits).sum(-1) - value)
    assert (loss.conjugate(gradient, labels) >= (gradient * v).sum(-1) - loss(v, labels) - 1e-12).all()
    assert loss.conjugate(gradient + 1, labels).isinf().all()


@pytest.mark.parametrize(("K", "counts", "decay_W", "decay_H", "rho", "margins", "value"), REFERENCE)
def test_reference_values(K, counts, decay_W, decay_H, rho, margins, value):
    problem = _problem(K, counts, decay_W, decay_H)
    found = tag_wise_averages(K, counts_of(problem), decay_W, decay_H)
    assert found.rho == pytest.approx(rho, rel=1e-13)
    assert list(found.margins.values()) == pytest.approx(margins, rel=1e-12)
    target = multi_label_target(problem)
    assert target.value == pytest.approx(value, rel=1e-13)
    assert float(certify(problem, target.point).gap) == pytest.approx(0, abs=1e-14 * target.margin)
    assert float(tag_wise_residual(problem, target.point)) < 1e-14


@pytest.mark.parametrize("decay", [1e-5, 1e-9])
def test_margins_far_below_their_bound_are_certified(decay):
    """rho / (N decay_H), the bound of the margins, is beyond what exp takes."""
    problem = _problem(4, (1, 1), decay, decay)
    found = tag_wise_averages(4, counts_of(problem), decay, decay)
    assert found.rho / (problem.N * decay) > 1e4
    assert float(certify(problem, multi_label_target(problem).point).gap) == pytest.approx(0, abs=1e-12)


def test_several_samples_of_every_set_have_a_certified_minimum():
    problem = dataclasses.replace(_problem(4, (2, 1), 5e-3, 2e-3), n=3)
    target = multi_label_target(problem)
    assert target.value == pytest.approx(float(problem.value(target.point)), rel=1e-12)
    assert float(certify(problem, target.point).gap) == pytest.approx(0, abs=1e-12)


def test_one_margin_for_all_multiplicities_is_not_the_minimum():
    K, counts, decays = 4, {1: 3, 2: 2, 3: 1}, (2e-3, 1e-3)
    found = tag_wise_averages(K, counts, *decays)
    same = type(found)(found.rho, dict.fromkeys(counts, found.margins[1]))
    assert value_of(K, counts, *decays, same) > value_of(K, counts, *decays, found) + 1e-4


@pytest.mark.parametrize("excess", [0.999, 1.001])
def test_zero_takes_over_at_the_threshold(excess):
    """sum_m C(K, m) n_m m (K - m)/K = (K - 1) N^2 decay_W decay_H."""
    K, counts = 4, {1: 2, 2: 1}
    N, weight = 8 + 6, 8 * 3 / 4 + 6 * 4 / 4
    decay = (weight / ((K - 1) * N**2)) ** 0.5 * excess
    found = tag_wise_averages(K, counts, decay, decay)
    assert (found.rho == 0) == (excess > 1)
    problem = _problem(K, (2, 1), decay, decay)
    at_zero = certify(problem, torch.zeros(problem.size, dtype=torch.float64))
    assert (float(at_zero.gap) < 1e-12) == (excess > 1)


def test_only_single_labels_are_plain_cross_entropy():
    from ufm.model.losses import CrossEntropy
    from ufm.theory.prediction import predict

    single = multi_label_target(_problem(4, (3,), 5e-3, 2e-3))
    plain = predict(Problem(CrossEntropy(), 4, 4, 3, 5e-3, 2e-3, 0.0))
    assert (single.value, single.margin) == pytest.approx((plain.value, plain.margin), rel=1e-12)


def test_all_sets_lists_every_set_of_each_size():
    loss, sizes = all_sets(4, (0, 3, 1))
    assert set(loss.sets) == {*itertools.combinations(range(4), 2), *itertools.combinations(range(4), 3)}
    assert sizes == (3,) * 6 + (1,) * 4


@pytest.mark.parametrize("counts", [(), (0, 0), (1, 2, 3, 4), (-1, 2)])
def test_wrong_multiplicities_are_refused(counts):
    with pytest.raises(ValueError, match="multiplicity"):
        all_sets(4, counts)


def test_unequal_counts_of_one_size_have_no_closed_form():
    loss, _ = all_sets(3, (1, 1))
    problem = Problem(loss, 3, 3, 1, 0.1, 0.1, sizes=(1, 1, 1, 2, 1, 1))
    with pytest.raises(ValueError, match="equal for all sets"):
        multi_label_target(problem)
    with pytest.raises(ValueError, match="sets of different classes"):
        PickAllLabels(((0, 0),))
