"""The metric of the bias, against the dense Hessian at zero, and what it saves."""

import pytest
import torch

from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, SquaredError
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.hessian import dense_hessian
from ufm.solve.lbfgs.rules import Metric
from ufm.solve.metric import metric_of
from ufm.solve.minimise import minimise
from ufm.solve.units import own_units


@pytest.mark.parametrize("loss", [CrossEntropy(), Focal(2.0), SquaredError()])
@pytest.mark.parametrize("n", [1, 9])
def test_it_is_the_quotient_of_curvatures_at_zero(loss, n):
    problem = Problem(loss, 5, 6, n, 5e-3, 5e-3, 0.01)
    H = dense_hessian(problem, torch.zeros(1, problem.size, dtype=torch.float64))[0]
    of_bias, others = (float(torch.linalg.eigvalsh(part).abs().max()) for part in (H[-5:, -5:], H[:-5, :-5]))
    metric = metric_of(problem)
    assert metric.last == 5
    assert others / of_bias / 2 < float(metric.step) < 2 * others / of_bias


def test_squared_error_takes_half_of_the_evaluations(monkeypatch):
    problem = Problem(SquaredError(), 10, 20, 10, 5e-3, 5e-3, 0.01)
    starts = normal_starts(problem.size, 0, 0, 10)
    ours = minimise(problem, starts, 1e-8)
    monkeypatch.setattr("ufm.solve.minimise.metric_of", lambda _: Metric(0, torch.ones(1, dtype=torch.float64)))
    plain = minimise(problem, starts, 1e-8)
    assert 2 * int(ours.evaluations.sum()) < int(plain.evaluations.sum())
    torch.testing.assert_close(ours.value, plain.value, rtol=1e-12, atol=0)


def test_every_start_has_the_metric_of_its_own_problem():
    gammas, decays = torch.tensor([0.0, 2.0, 5.0]).double(), torch.tensor([1e-3, 1e-2, 0.1]).double()
    mixed = Problem(Focal(gammas), 4, 5, 3, decays, decays, decays)
    alone = [
        metric_of(Problem(Focal(float(g)), 4, 5, 3, float(c), float(c), float(c))).step
        for g, c in zip(gammas, decays, strict=True)
    ]
    torch.testing.assert_close(metric_of(mixed).step, torch.cat(alone))
    assert len(set(metric_of(own_units(mixed)).step.tolist())) == 3


class Bent(Loss):
    """A loss of any curvature at zero, without a second derivative that could be asked for."""

    is_shift_invariant = False

    def __init__(self, curvature):
        self.bend = curvature

    def __call__(self, logits, labels):
        return self.bend / 2 * logits.square().sum(-1)


@pytest.mark.parametrize("curvature", [0.0, -1.0, float("inf")])
def test_a_loss_that_is_not_convex_at_zero_has_the_plain_metric(curvature):
    assert metric_of(Problem(Bent(curvature), 3, 3, 2, 0.01, 0.01, 0.0)).step.tolist() == [1.0]
    assert metric_of(Problem(Bent(1.0), 3, 3, 2, 0.01, 0.01, 0.0)).step.tolist() != [1.0]


def test_without_a_bias_and_for_other_functions_nothing_is_changed():
    assert metric_of(Problem(CrossEntropy(), 3, 3, 2, 0.01, 0.01, None)).last == 0
    assert metric_of(lambda x: x).last == 0
