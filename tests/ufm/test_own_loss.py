import dataclasses

import pytest
import torch
from torch.nn import functional

from ufm.own_loss import check_loss, full_spec, loss_of, source_of
from ufm.parameters import stack, stackable
from ufm.prediction import predict
from ufm.problem import Problem

HERE = "tests.ufm.test_own_loss"


def cross_entropy(logits, labels, factor: float = 1.0):
    return factor * functional.cross_entropy(logits, labels, reduction="none")


def mean(logits, labels):
    return functional.cross_entropy(logits, labels)


def centred(logits, labels):
    return functional.cross_entropy(logits - logits.mean(0), labels, reduction="none")


def infinite_at_zero(logits, labels):
    return functional.cross_entropy(logits, labels, reduction="none") / logits.abs().sum(-1)


def detached(logits, labels):
    return functional.cross_entropy(logits.detach(), labels, reduction="none")


def halved(logits, labels):
    return functional.cross_entropy(logits, labels, reduction="none").float()


def raises(logits, labels):
    raise RuntimeError("not today")


def test_a_function_of_flat_samples_is_the_loss_of_every_start(normal):
    loss = loss_of({"name": f"{HERE}.cross_entropy", "factor": 2.0})
    logits, labels = normal(2, 3, 6, 4), torch.arange(6) % 4
    expected = 2 * functional.cross_entropy(logits.movedim(-1, 1), labels.expand(2, 3, 6), reduction="none")
    torch.testing.assert_close(loss(logits, labels), expected)
    check_loss(loss, 4)


def test_its_derivatives_are_those_of_the_built_in_one(normal):
    mine, built_in = (Problem(loss_of({"name": name}), 3, 4, 2, 0.01, 0.02) for name in (f"{HERE}.cross_entropy", "ce"))
    x, v = normal(5, mine.size), normal(5, 2, mine.size)
    for found, expected in zip(mine.value_and_gradient(x), built_in.value_and_gradient(x), strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(mine.hessian(x)(v), built_in.hessian(x)(v))
    with pytest.raises(ValueError, match="no prediction"):
        predict(mine)


def test_all_parameters_are_part_of_the_setting():
    name = f"{HERE}.cross_entropy"
    assert full_spec({"name": name, "factor": 2}) == {"name": name, "factor": 2.0}
    assert full_spec({"name": "focal"}) == {"name": "focal", "gamma": 3.0}
    assert source_of({"name": "focal"}) == ""
    assert len(source_of({"name": name})) == 16


@pytest.mark.parametrize("name", ["Poly1", "LogitNormalised", "GeneralisedCrossEntropy"])
def test_the_examples_are_losses(name):
    check_loss(loss_of({"name": f"ufm.example_losses.{name}"}), 5)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ("mean", r"one torch.float64 per sample, a tensor \(64,\), got torch.float64 \(\)"),
        ("centred", "depends on other samples, got a sample with logits .* label"),
        ("infinite_at_zero", r"finite.*logits \(0, 0, 0\), label 0"),
        ("detached", "differentiable"),
        ("halved", r"got torch.float32 \(64,\)"),
        ("raises", "take logits.*not today"),
    ],
)
def test_what_is_not_a_loss_per_sample_is_refused(function, complaint):
    with pytest.raises(ValueError, match=complaint):
        check_loss(loss_of({"name": f"{HERE}.{function}"}), 3)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"name": "no_such_module.Loss"}, "importing no_such_module: ModuleNotFoundError"),
        ({"name": f"{HERE}.NoSuchLoss"}, f"importing {HERE}: AttributeError.*NoSuchLoss"),
        ({"name": f"{HERE}.cross_entropy", "gamma": 2.0}, "take its parameters.*gamma"),
        ({"name": f"{HERE}.HERE"}, "a class, or a function.*got tests.ufm.test_own_loss.HERE"),
        ({"name": "nonsense"}, "one of ce, ls, focal, mse or an import path"),
    ],
)
def test_what_cannot_be_imported_is_named(spec, complaint):
    with pytest.raises(ValueError, match=complaint):
        loss_of(spec)


def decides(logits, labels, q: float = 0.5):
    return functional.cross_entropy(logits * (2.0 if q > 1 else 1.0), labels, reduction="none")


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (f"{HERE}.cross_entropy", "factor"),
        ("ufm.example_losses.Poly1", "epsilon"),
        ("ufm.example_losses.LogitNormalised", "temperature"),
        ("ufm.example_losses.GeneralisedCrossEntropy", "q"),
    ],
)
def test_a_parameter_per_start_is_one_loss_per_start(name, parameter, normal):
    values = [0.5, 0.7, 0.9]
    losses = [loss_of({"name": name, parameter: value}) for value in values]
    assert stackable(losses[0]) == [parameter]
    together = dataclasses.replace(losses[0], **stack(losses, 2))
    problem = Problem(together, 3, 4, 2, 0.01, 0.02)
    x, v = normal(6, problem.size), normal(6, 2, problem.size)
    value, gradient = problem.value_and_gradient(x)
    product = problem.hessian(x)(v)
    for start in range(6):
        alone, row = Problem(losses[start // 2], 3, 4, 2, 0.01, 0.02), slice(start, start + 1)
        torch.testing.assert_close(value[row], alone.value(x[row]))
        torch.testing.assert_close(gradient[row], alone.value_and_gradient(x[row])[1])
        torch.testing.assert_close(product[row], alone.hessian(x[row])(v[row]))


def test_where_python_decides_by_a_parameter_it_stays_one_number():
    assert stackable(loss_of({"name": f"{HERE}.decides"})) == []
    assert loss_of({"name": f"{HERE}.decides", "q": 2.0}).function.keywords == {"q": 2.0}
