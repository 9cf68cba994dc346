import dataclasses
import functools

import pytest
import torch
from torch.nn import functional

from ufm.model.losses import LOSSES, CrossEntropy, Focal
from ufm.model.own_loss import check_loss, full_spec, loss_of, source_of
from ufm.model.parameters import stack, stackable
from ufm.model.problem import Problem
from ufm.theory.prediction import predict

HERE = "tests.ufm.model.test_own_loss"


def cross_entropy(logits, labels, factor: float = 1.0):
    return factor * functional.cross_entropy(logits, labels, reduction="none")


def mean(logits, labels):
    return functional.cross_entropy(logits, labels)


def centred(logits, labels):
    return functional.cross_entropy(logits - logits.mean(0), labels, reduction="none")


def infinite_at_zero(logits, labels):
    return functional.cross_entropy(logits, labels, reduction="none") / logits.abs().sum(-1)


def endless_slope_at_zero(logits, labels):
    return functional.cross_entropy(logits, labels, reduction="none") + logits[:, -1].abs().sqrt()


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


def entropy(logits, labels):
    return functional.cross_entropy(logits, labels, reduction="none")


def detached_focal(logits, labels, gamma: float = 2.0):
    ce = entropy(logits, labels)
    return (1 - torch.exp(-ce)).detach() ** gamma * ce


def without_mean(logits, labels):
    ce = entropy(logits, labels)
    return ce - ce.mean() + ce.mean().detach()


def straight_through(logits, labels):
    return entropy(logits + (torch.round(4 * logits) / 4 - logits).detach(), labels)


def single(logits, labels):
    return entropy(logits.float(), labels).double()


def half(logits, labels):
    return entropy(logits.half(), labels).double()


def single_within(logits, labels):
    return -logits.log_softmax(-1).float().gather(-1, labels[:, None])[:, 0].double()


def single_penalty(logits, labels):
    return entropy(logits, labels) + 0.1 * logits.float().square().sum(-1).double()


def random(logits, labels):
    return entropy(logits + 1e-3 * torch.randn_like(logits), labels)


def clamps(logits, labels):
    with torch.no_grad():
        logits.clamp_(-1, 1)
    return entropy(logits, labels)


def renames(logits, labels):
    labels[0] = 1
    return entropy(logits, labels)


def ends(logits, labels):
    raise SystemExit(0)


def nothing(logits, labels):
    pass


def constant_of_its_own(logits, labels):
    return torch.ones(len(logits), dtype=logits.dtype, requires_grad=True)


class OnceDifferentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels):
        ctx.gradient = logits.softmax(-1) - functional.one_hot(labels, logits.shape[1])
        return entropy(logits, labels)

    @staticmethod
    def backward(ctx, upstream):
        return upstream[:, None] * ctx.gradient, None


def once(logits, labels):
    return OnceDifferentiable.apply(logits, labels)


def no_second(logits, labels):
    return functional.multi_margin_loss(logits, labels, reduction="none")


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ("detached_focal", "its gradient by torch is that of its values, got a sample with logits"),
        ("without_mean", "its gradient by torch is that of its values.* it is 0 where differences"),
        ("straight_through", "its gradient by torch is that of its values.* give 0"),
        ("single", "computed in float64 throughout"),
        ("half", "computed in float64 throughout"),
        ("single_within", "computed in float64 throughout"),
        ("single_penalty", "computed in float64 throughout"),
        ("random", "the same at every call.*random, whose values move by"),
        ("clamps", "leaves logits and labels as they are, got clamps"),
        ("renames", "leaves logits and labels as they are, got renames"),
        ("ends", r"take logits \(64, 3\) and labels \(64,\), got ends \(SystemExit: 0 in .*test_own_loss.py"),
        ("nothing", "one torch.float64 per sample.*got NoneType"),
        ("constant_of_its_own", "differentiable in the logits"),
        ("once", "its Hessian by torch is that of its gradient"),
        ("no_second", "twice differentiable in the logits by torch, got no_second"),
    ],
)
def test_what_its_values_do_not_bear_out_is_refused(function, complaint):
    with pytest.raises(ValueError, match=complaint):
        check_loss(loss_of({"name": f"{HERE}.{function}"}), 3)


def hinge(logits, labels):
    own = logits.gather(-1, labels[:, None])
    return (1 + logits - own).clamp(min=0).sum(-1) - 1


def steep(logits, labels):
    return entropy(logits / 0.02, labels)


def far_up(logits, labels):
    return entropy(logits, labels) + 1e6


def exponential(logits, labels):
    return (logits - logits.gather(-1, labels[:, None])).exp().sum(-1)


def brier(logits, labels):
    return (logits.softmax(-1) - functional.one_hot(labels, logits.shape[1])).square().sum(-1)


def constant(logits, labels):
    return 0 * logits.sum(-1)


def tiny(logits, labels):
    return 1e-12 * entropy(logits, labels)


class Scaled(torch.nn.Module):
    def __init__(self, start: float = 2.0):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([start], dtype=torch.float64))

    def forward(self, logits, labels):
        return self.scale * entropy(logits, labels)


instance = torch.nn.CrossEntropyLoss(reduction="none")
own_instance = Scaled()
partial = functools.partial(functional.cross_entropy, reduction="none")
taken_as_it_is = Focal(2.0)


@pytest.mark.parametrize(
    "name",
    [
        *("hinge", "steep", "far_up", "exponential", "brier", "constant", "tiny"),
        *("Scaled", "instance", "own_instance", "partial", "taken_as_it_is"),
    ],
)
@pytest.mark.parametrize("K", [2, 7])
def test_sound_losses_are_taken(name, K):
    check_loss(loss_of({"name": f"{HERE}.{name}"}), K)
    full = full_spec({"name": f"{HERE}.{name}"})
    check_loss(loss_of(full), K)
    assert len(source_of(full)) == 16


def test_an_instance_is_the_loss(normal):
    logits, labels = normal(5, 6, 3), torch.arange(6) % 3
    expected = functional.cross_entropy(logits.movedim(-1, 1), labels.expand(5, 6), reduction="none")
    for name in ("instance", "partial"):
        torch.testing.assert_close(loss_of({"name": f"{HERE}.{name}"})(logits, labels), expected)
    assert loss_of({"name": f"{HERE}.taken_as_it_is"}) == Focal(2.0)
    weighted = loss_of({"name": f"{HERE}.own_instance"})(logits, labels)
    assert not weighted.requires_grad  # its parameters are constants
    torch.testing.assert_close(weighted, 2 * expected)


class WrongByHand(CrossEntropy):
    def hessian(self, logits, labels):
        return lambda direction: direction


class WrongGradient(CrossEntropy):
    def value_and_gradient(self, logits, labels):
        value, gradient = super().value_and_gradient(logits, labels)
        return value, 1.01 * gradient


def test_derivatives_by_hand_are_looked_at_too():
    with pytest.raises(ValueError, match="its Hessian by torch is that of its gradient"):
        check_loss(WrongByHand(), 3)
    with pytest.raises(ValueError, match="its gradient by torch is that of its values"):
        check_loss(WrongGradient(), 3)


@pytest.mark.parametrize("loss", [*LOSSES.values()])
def test_the_losses_of_this_project_pass_as_well(loss):
    check_loss(loss(), 5)


@pytest.mark.parametrize("name", ["Poly1", "LogitNormalised", "GeneralisedCrossEntropy"])
def test_the_examples_are_losses(name):
    check_loss(loss_of({"name": f"ufm.example_losses.{name}"}), 5)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ("mean", r"one torch.float64 per sample, a tensor \(64,\), got torch.float64 \(\)"),
        ("centred", "depends on other samples, got a sample with logits .* label"),
        ("infinite_at_zero", r"finite.*logits \(0, 0, 0\), label 0"),
        ("endless_slope_at_zero", r"finite with a finite gradient.*, 0\), label"),
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
        ({"name": f"{HERE}.cross_entropy", "gamma": 2.0}, r"take its parameters \(factor\), got.*gamma"),
        (
            {"name": "ufm.example_losses.GeneralisedCrossEntropy", "gamma": 2.0},
            r"take its parameters \(q\), got.*gamma",
        ),
        ({"name": f"{HERE}.HERE"}, "a class, or a function.*got tests.ufm.model.test_own_loss.HERE"),
        ({"name": "nonsense"}, "one of ce, ls, focal, mse.* or an import path"),
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
    assert loss_of({"name": f"{HERE}.decides", "q": 2.0}).on_samples.keywords == {"q": 2.0}
