"""What every model must give to the solvers: derivatives, independence of starts, its own minimum."""

import pytest
import torch

from tests.conftest import MODELS
from ufm.model.deep import DeepProblem
from ufm.model.losses import CrossEntropy
from ufm.model.pick_all_labels import PickAllLabels
from ufm.model.starts import normal_starts
from ufm.solve.critical_points import classify
from ufm.solve.hessian import dense_hessian, smallest_eigenpair
from ufm.solve.minimise import minimise
from ufm.solve.newton import find_critical_points
from ufm.theory import model_choice
from ufm.theory.model_choice import target_of


def test_value_is_the_definition_written_out(model, normal):
    x = normal(model.size)
    W, H, b = model.unpack(x)
    labels = model.labels().tolist()
    total = 0.0
    for i, label in enumerate(labels):
        logits = W @ H[i] + b
        if isinstance(model.loss, PickAllLabels):
            total -= sum(float(logits.log_softmax(-1)[k]) for k in model.loss.sets[label])
        else:
            total += float(model.loss(logits[None], torch.tensor([label])))
    penalty = float(model.value(x)) - total / model.N
    expected = 0.0
    if isinstance(model, DeepProblem):
        W, layers, H, b = model.factorised(x)
        for part, decay in zip(layers, model.inner, strict=True):
            expected += decay / 2 * float(part.square().sum())
    for part, name in ((W, "decay_W"), (H, "decay_H"), (b, "decay_b")):
        expected += (getattr(model, name, 0.0) or 0.0) / 2 * float(part.square().sum())
    assert penalty == pytest.approx(expected, abs=1e-13 * max(1.0, total))


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_gradient_and_hessian_are_those_of_automatic_differentiation(model, normal, batch):
    x, v = normal(*batch, model.size), normal(*batch, 2, model.size)
    flat = x.reshape(-1, model.size)
    gradient = torch.func.vmap(torch.func.grad(model.value))(flat).view_as(x)
    value, found = model.value_and_gradient(x)
    torch.testing.assert_close(value, model.value(x), rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(found, gradient, rtol=1e-11, atol=1e-13)
    dense = torch.func.vmap(torch.func.hessian(model.value))(flat).view(*batch, model.size, model.size)
    torch.testing.assert_close(model.hessian(x)(v), v @ dense, rtol=1e-9, atol=1e-10)


def test_taylor_slopes_are_two_and_three(model, normal):
    """Finite differences, which know nothing of automatic differentiation."""
    x, v = normal(model.size), normal(model.size)
    value, gradient = model.value_and_gradient(x)
    curved = model.hessian(x)(v[None])[0]
    steps = torch.logspace(-4, -3, 12, dtype=torch.float64)  # short enough for no ReLU to switch
    moved = model.value(x + steps[:, None] * v)
    first = (moved - value - steps * (gradient @ v)).abs()
    second = (moved - value - steps * (gradient @ v) - steps**2 / 2 * (v @ curved)).abs()
    basis = torch.stack([steps.log(), torch.ones(12, dtype=torch.float64)], 1)
    slopes = [float(torch.linalg.lstsq(basis, error.log()[:, None])[0][0, 0]) for error in (first, second)]
    assert slopes == pytest.approx([2.0, 3.0], abs=0.2)


def test_dense_hessian_and_smallest_eigenpair_agree_with_the_operator(model, normal):
    x, v = normal(2, model.size), normal(2, 3, model.size)
    dense = dense_hessian(model, x)
    torch.testing.assert_close(v @ dense, model.hessian(x)(v), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(smallest_eigenpair(model, x).value, torch.linalg.eigvalsh(dense)[:, 0])


def test_labels_are_sorted_and_counted(model):
    labels = model.labels()
    assert len(labels) == model.N
    assert (labels.diff() >= 0).all()
    sizes = model.sizes or (1,) * model.loss.label_count(model.K)
    assert labels.bincount().tolist() == [model.n * size for size in sizes]


def test_target_is_a_critical_point_of_the_stated_value(model):
    target = target_of(model)
    value, gradient = model.value_and_gradient(target.point)
    assert float(value) == pytest.approx(target.value, rel=1e-13)
    assert float(gradient.norm()) < 1e-11
    if not model.is_rectified:
        assert float(torch.linalg.eigvalsh(dense_hessian(model, target.point[None]))[0, 0]) > -1e-11


def test_starts_reach_the_target_and_none_ends_below(model):
    target = target_of(model)
    ends = minimise(model, normal_starts(model.size, 0, 0, 24), 1e-10)
    above = ends.value - target.value
    assert float(above.min()) == pytest.approx(0, abs=1e-12)
    if target.is_benign:
        assert ends.is_converged.all()
        assert float(above.max()) == pytest.approx(0, abs=1e-12)
    elif target.other_minima is not None:
        states = torch.tensor([target.value, *target.other_minima], dtype=torch.float64)
        assert float((ends.value[:, None] - states).abs().amin(1).max()) < 1e-12 * max(1.0, target.other_minima[-1])


def test_a_start_does_not_see_its_neighbours(model):
    starts = normal_starts(model.size, 3, 0, 4)
    starts[1] *= 30
    together = minimise(model, starts, 1e-9, 50)
    for i in (0, 2):
        alone = minimise(model, starts[i : i + 1], 1e-9, 50)
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if target_of(model).is_benign])
def test_other_critical_points_are_strict_saddles(name):
    model = MODELS[name]
    starts = 0.5 * normal_starts(model.size, 1, 0, 24)
    ends = find_critical_points(model, starts)
    found = classify(model, model.normalised(ends.x[ends.is_converged]))
    others = found.value > target_of(model).value + 1e-8
    assert others.any()
    assert found.is_strict_saddle[others].all()


@pytest.mark.parametrize("sizes", [(1, 2, 3), (1, 2, 3, 0), (1, 2, 3, -1)])
def test_wrong_sizes_are_refused(sizes):
    plain = MODELS["imbalance_ce"]
    with pytest.raises(ValueError, match="4 integers >= 1"):
        type(plain)(plain.loss, 4, 5, 1, 0.1, 0.1, sizes=sizes)


@pytest.mark.parametrize("name", model_choice.MODELS)
def test_a_choice_knows_the_size_of_what_it_makes(name):
    choice = model_choice.ModelChoice.of({"name": name})
    made = choice.make(CrossEntropy(), 4, 5, 3, (5e-3, 2e-3, 0.01))
    assert 3 * choice.samples(4) == made.N
    assert made.size <= choice.variables(4, 5, 3) <= made.size + made.K
