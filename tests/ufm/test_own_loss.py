import pytest
import torch
from torch.nn import functional

from ufm.own_loss import check_loss, full_spec, loss_of, source_of
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
