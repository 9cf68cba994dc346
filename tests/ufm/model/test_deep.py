"""Hidden layers: reference values, all predicted local minima and no others, and where collapse is not the minimum."""

import pytest
import torch

from ufm.model.deep import DeepProblem
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.hessian import dense_hessian
from ufm.solve.minimise import minimise
from ufm.theory.deep_direction import energy, stationary_root
from ufm.theory.deep_prediction import deep_target
from ufm.theory.prediction import predict


def _deep(loss, K, d, n, decays, decay_b=None, *, relu=False) -> DeepProblem:
    decay_W, *inner, decay_H = decays
    return DeepProblem(loss, K, d, n, decay_W, decay_H, decay_b, tuple(inner), relu)


def test_without_hidden_layers_it_is_the_plain_model(loss, decay_b, normal):
    deep, plain = _deep(loss, 4, 5, 3, (5e-3, 2e-3), decay_b), Problem(loss, 4, 5, 3, 5e-3, 2e-3, decay_b)
    x, v = normal(2, plain.size), normal(2, 3, plain.size)
    for found, expected in zip(deep.value_and_gradient(x), plain.value_and_gradient(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(deep.hessian(x)(v), plain.hessian(x)(v), rtol=1e-11, atol=1e-12)


def test_reference_values():
    target = deep_target(_deep(SquaredError(), 4, 6, 3, (5e-3, 4e-3, 1e-3)))
    assert target.value == pytest.approx(0.02336594841250561, rel=1e-13)
    assert target.margin == pytest.approx(0.9842574831675156, rel=1e-13)
    assert target.facts["u"] == pytest.approx(1.194601670096589, rel=1e-13)
    states = deep_target(_deep(SquaredError(), 3, 4, 2, (0.09,) * 3)).facts["states"]
    assert states == pytest.approx([0.442986648, 0.461991098, 0.480995549, 0.5], abs=1e-9)


def test_layers_have_the_predicted_singular_values():
    problem = _deep(SquaredError(), 4, 6, 3, (5e-3, 4e-3, 1e-3))
    ends = minimise(problem, normal_starts(problem.size, 0, 0, 8), 1e-11)
    best = ends.x[ends.value.argmin()]
    W, (inner,), H, _ = problem.factorised(best)
    for layer, expected in ((W, 0.88019003619285), (inner, 0.98408237702261), (H, 1.9681647540452)):
        assert torch.linalg.svdvals(layer)[:4].tolist() == pytest.approx([expected] * 4, rel=1e-8)


def test_with_a_decayed_bias_the_common_direction_is_not_active_alone():
    """The state with it active and the others zero is critical, and a strict saddle."""
    problem = _deep(SquaredError(), 3, 4, 1, (0.01,) * 3, 0.5)
    target = deep_target(problem)
    weight = SquaredError().weight(3)
    kept = 0.5 / (weight + 0.5)
    u = stationary_root(1.0, 3 * 0.01 / (weight * kept), 3)
    Q = torch.zeros(3, 4, dtype=torch.float64)
    Q[:, 0] = 3**-0.5
    inner = u * torch.eye(4, dtype=torch.float64)[:1].mT @ torch.eye(4, dtype=torch.float64)[:1]
    b = torch.full((3,), (1 - kept) * (3**-0.5 - u**3 / 3**0.5) / 3**0.5, dtype=torch.float64)
    x = problem.assembled(u * Q, [inner], u * Q, b)[None]
    value, gradient = problem.value_and_gradient(x)
    assert float(gradient.norm()) < 1e-13
    assert float(torch.linalg.eigvalsh(dense_hessian(problem, x)).min()) < -0.1
    assert min(abs(float(value) - other) for other in target.other_minima) > 1e-3
    assert target.is_proved_global
    ends = minimise(problem, normal_starts(problem.size, 0, 0, 60), 1e-11)
    states = torch.tensor([target.value, *target.other_minima], dtype=torch.float64)
    assert float((ends.value[ends.is_converged, None] - states).abs().amin(1).max()) < 1e-12


def test_every_start_ends_in_a_predicted_state_and_each_occurs():
    problem = _deep(SquaredError(), 3, 4, 2, (0.09,) * 3)
    target = deep_target(problem)
    states = torch.tensor([target.value, *target.other_minima], dtype=torch.float64)
    starts = normal_starts(problem.size, 0, 0, 120) * torch.tensor([0.3, 1.0, 3.0]).double().repeat(40)[:, None]
    ends = minimise(problem, starts, 1e-10)
    distance = (ends.value[:, None] - states).abs()
    assert ends.is_converged.all()
    assert float(distance.amin(1).max()) < 1e-13
    assert distance.argmin(1).bincount(minlength=4).min() > 0
    nearest = [int((distance.argmin(1) == i).nonzero()[0, 0]) for i in range(4)]
    assert float(torch.linalg.eigvalsh(dense_hessian(problem, ends.x[nearest])).min()) > -1e-9  # minima, all of them


@pytest.mark.parametrize("M", [3, 4, 5])
def test_the_threshold_is_the_closed_form_one(M):
    """Active iff strength^M sigma^(2-2M) < (M-2)^(M-2) / (M-1)^(2M-2)."""
    sigma = 1.7
    tie = ((M - 2) ** (M - 2) / (M - 1) ** (2 * M - 2)) * sigma ** (2 * M - 2)
    for factor in (0.999, 1.001):
        strength = (factor * tie) ** (1 / M)
        u = stationary_root(sigma, strength, M)
        assert u > 0
        assert (energy(u, sigma, strength, M) < sigma**2 / 2) == (factor < 1)


def test_two_factors_soft_threshold():
    assert stationary_root(2.0, 0.5, 2) ** 2 == pytest.approx(1.5, rel=1e-14)
    assert stationary_root(2.0, 2.5, 2) == 0


@pytest.mark.parametrize("decay_b", [0.0, 0.02, 0.5, None])
def test_bias_of_every_decay(decay_b):
    problem = _deep(SquaredError(15.0, "mean"), 3, 4, 2, (5e-3, 5e-3, 5e-3), decay_b)
    target = deep_target(problem)
    ends = minimise(problem, normal_starts(problem.size, 1, 0, 16), 1e-10)
    assert float(ends.value.min()) == pytest.approx(target.value, rel=1e-12)
    assert float(problem.value_and_gradient(target.point)[1].norm()) < 1e-11


@pytest.mark.parametrize("loss", [CrossEntropy(), LabelSmoothing(0.1), Focal(2.0)], ids=str)
def test_softmax_losses_are_stationary_on_the_ray(loss):
    problem = _deep(loss, 3, 4, 2, (5e-3, 2e-3, 3e-3), 0.0)
    target = deep_target(problem)
    assert float(problem.value(target.point)) == pytest.approx(target.value, rel=1e-13)
    assert float(problem.value_and_gradient(target.point)[1].norm()) < 1e-12
    assert target.value < predict(Problem(loss, 3, 4, 2, 5e-3, 2e-3, 0.0)).value * 10
    assert not target.is_proved_global


def test_collapse_is_not_the_minimum_of_deep_cross_entropy():
    """Six classes as +- three axes: lower than the simplex, found from random starts."""
    problem = _deep(CrossEntropy(), 6, 7, 1, (0.01,) * 3)
    ends = minimise(problem, normal_starts(problem.size, 0, 0, 16), 1e-9, 3000)
    best = int(ends.value.argmin())
    assert float(ends.value[best]) < deep_target(problem).value - 0.01
    singular = torch.linalg.svdvals(problem.logits(ends.x[best]))
    assert singular[:3].tolist() == pytest.approx([9.877] * 3, abs=1e-3)
    assert float(singular[3]) < 1e-6


@pytest.mark.parametrize(("K", "decay", "has_pairs"), [(6, 0.003, True), (6, 0.02, False), (5, 0.003, False)])
def test_pairs_are_named_as_lower_where_the_simplex_is_not_zero_and_classes_are_even(K, decay, has_pairs):
    """Label smoothing of 0.9 has a margin below 1."""
    target = deep_target(_deep(LabelSmoothing(0.9), K, K, 1, (decay,) * 3, 0.0))
    assert 0 <= target.margin < 0.7
    assert any("opposite pairs" in note for note in target.notes) == has_pairs


def test_wrong_models_are_refused():
    with pytest.raises(ValueError, match="inner"):
        _deep(CrossEntropy(), 3, 4, 2, (0.1, -1.0, 0.1))
    with pytest.raises(ValueError, match="is_rectified"):
        _deep(CrossEntropy(), 3, 4, 2, (0.1, 0.1), relu=True)
    for problem, complaint in (
        (_deep(CrossEntropy(), 3, 4, 2, (0.1, 0.1)), ">= 3"),
        (_deep(CrossEntropy(), 3, 4, 2, (0.1, 0.1, 0.1), relu=True), "must be mse"),
        (_deep(SquaredError(), 3, 4, 2, (0.1, 0.1, 0.1), 0.1, relu=True), "null"),
        (_deep(SquaredError(), 3, 1, 2, (0.01, 0.01, 0.01)), "dim"),
    ):
        with pytest.raises(ValueError, match=complaint):
            deep_target(problem)
