"""A batch of problems that differ in their parameters gives what each problem gives alone."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from tests.ufm.solve.forms import FORMS, use
from ufm.model import problem_compiled
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.critical_points import classify
from ufm.solve.hessian import dense_hessian, smallest_eigenpair
from ufm.solve.minimise import minimise
from ufm.solve.newton import find_critical_points
from ufm.theory.certificate import certify
from ufm.theory.prediction import predict

LOSSES: dict[str, tuple[Callable[..., Loss], list[float]]] = {
    "ce": (lambda _: CrossEntropy(), [0.0] * 4),
    "ls": (LabelSmoothing, [0.0, 0.05, 0.3, 0.9]),
    "focal": (Focal, [0.0, 0.5, 2.0, 6.0]),
    "mse": (SquaredError, [0.5, 1.0, 2.0, 3.0]),
    "mse_mean": (lambda r: SquaredError(r, "mean"), [0.5, 1.0, 2.0, 3.0]),
}
DECAY_W, DECAY_H, DECAY_B = [0.02, 0.01, 0.005, 0.04], [0.01, 0.02, 0.04, 0.02], [0.0, 0.01, 0.05, 0.5]


def _tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def _mixed(name: str, has_bias: bool) -> tuple[Problem, list[Problem]]:
    """Four problems as one, and one by one."""
    make, values = LOSSES[name]
    decay_b = _tensor(DECAY_B) if has_bias else None
    mixed = Problem(make(_tensor(values)), 3, 4, 2, _tensor(DECAY_W), _tensor(DECAY_H), decay_b)
    alone = [
        Problem(make(value), 3, 4, 2, w, h, b if has_bias else None)
        for value, w, h, b in zip(values, DECAY_W, DECAY_H, DECAY_B, strict=True)
    ]
    return mixed, alone


@pytest.fixture(params=[(name, has_bias) for name in LOSSES for has_bias in (True, False)], ids=str)
def problems(request):
    return _mixed(*request.param)


@pytest.fixture(params=["compiled", "tensor operations"])
def way(request, monkeypatch):
    if request.param != "compiled":
        monkeypatch.setattr(problem_compiled, "LARGEST", -1)


def _same(found, parts, **tolerance):
    torch.testing.assert_close(found, torch.cat(parts), **tolerance or {"rtol": 1e-12, "atol": 1e-13})


@pytest.mark.usefixtures("way")
def test_derivatives_are_those_of_each_problem_alone(problems, normal):
    mixed, alone = problems
    x, v = normal(4, mixed.size), normal(4, 3, mixed.size)
    rows = [(problem, x[i : i + 1], v[i : i + 1]) for i, problem in enumerate(alone)]
    value, gradient = mixed.value_and_gradient(x)
    _same(value, [p.value_and_gradient(a)[0] for p, a, _ in rows])
    _same(gradient, [p.value_and_gradient(a)[1] for p, a, _ in rows])
    _same(mixed.value(x), [p.value(a) for p, a, _ in rows])
    _same(mixed.hessian(x)(v), [p.hessian(a)(b) for p, a, b in rows])
    _same(dense_hessian(mixed, x), [dense_hessian(p, a) for p, a, _ in rows])


def test_the_gradient_is_that_of_automatic_differentiation(problems, normal):
    mixed, _ = problems
    x = normal(4, mixed.size).requires_grad_()
    (expected,) = torch.autograd.grad(mixed.value(x).sum(), x)
    torch.testing.assert_close(mixed.value_and_gradient(x.detach())[1], expected, rtol=1e-11, atol=1e-13)


def test_chunks_take_their_own_parameters(problems, normal, monkeypatch):
    mixed, alone = problems
    x = normal(4, mixed.size)
    expected = [smallest_eigenpair(problem, x[i : i + 1]).value for i, problem in enumerate(alone)]
    for bytes_, dense_up_to in ((2**23, 300), (1, 300), (2**23, 0), (1, 0)):  # together and one by one; dense, Lanczos
        monkeypatch.setattr("ufm.solve.hessian.WORKING_BYTES", bytes_)
        monkeypatch.setattr("ufm.solve.hessian.BASIS_BYTES", bytes_)
        monkeypatch.setattr("ufm.solve.hessian.DENSE_UP_TO", dense_up_to)
        _same(smallest_eigenpair(mixed, x).value, expected, rtol=1e-8, atol=1e-9)


def test_certificates_are_those_of_each_problem_alone(problems, normal):
    mixed, alone = problems
    if not mixed.loss.is_convex:
        pytest.skip("no certificate without convexity")
    x = normal(4, mixed.size)
    found, parts = certify(mixed, x), [certify(problem, x[i : i + 1]) for i, problem in enumerate(alone)]
    for name in ("lower_bound", "gap", "spectral_norm"):
        _same(getattr(found, name), [getattr(part, name) for part in parts])
    assert found.radius.tolist() == [part.radius for part in parts]


@pytest.mark.parametrize("form", list(FORMS))
def test_every_start_finds_the_minimiser_of_its_own_problem(problems, form, monkeypatch):
    """More starts than fit at a time, so that places change hands; the prediction is the judge."""
    mixed, alone = problems
    use(form, monkeypatch, 8 * mixed.size * 16 * 7)
    starts = normal_starts(mixed.size, 0, 0, 3).repeat(4, 1)
    problem = mixed.take(torch.arange(4).repeat_interleave(3))
    end = minimise(problem, starts, 1e-9)
    assert end.is_converged.all()
    expected = _tensor([predict(p).value for p in alone]).repeat_interleave(3)
    torch.testing.assert_close(end.value, expected, rtol=1e-11, atol=1e-11)


def test_critical_points_are_those_of_each_problem_alone(problems, monkeypatch):
    mixed, alone = problems
    monkeypatch.setattr("ufm.solve.newton.WORKING_BYTES", 8 * mixed.size**2 * 2)
    starts = normal_starts(mixed.size, 2, 0, 4)
    found = find_critical_points(mixed, starts)
    parts = [find_critical_points(problem, starts[i : i + 1]) for i, problem in enumerate(alone)]
    _same(found.value, [part.value for part in parts], rtol=1e-9, atol=1e-10)
    kinds = classify(mixed, found.x)
    alone_kinds = [classify(problem, found.x[i : i + 1]) for i, problem in enumerate(alone)]
    for field in dataclasses.fields(kinds):
        if field.name in ("morse_index", "nullity", "rank", "is_strict_saddle", "is_rank_one"):
            _same(getattr(kinds, field.name), [getattr(part, field.name) for part in alone_kinds])


def test_a_problem_without_tensors_is_its_own_part():
    problem = Problem(Focal(2.0), 3, 4, 2, 0.1, 0.1)
    assert not problem.is_mixed
    assert problem.take(torch.tensor([0])) is problem


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Focal(_tensor([1.0, -1.0])), r"Focal\(gamma=...\) of start 1.*got -1"),
        (lambda: LabelSmoothing(_tensor([0.0, 0.5, 1.0])), r"alpha=...\) of start 2.*\[0, 1\), got 1"),
        (lambda: SquaredError(_tensor([torch.nan])), "rescale=...\\) of start 0.*got nan"),
        (lambda: Focal(torch.ones(2)), "float64 tensor.*got torch.float32"),
        (lambda: Problem(Focal(), 3, 4, 2, _tensor([0.1, 0.0]), 0.1), r"decay_W=...\) of start 1.*> 0, got 0"),
        (
            lambda: Problem(Focal(_tensor([1.0])), 3, 4, 2, _tensor([0.1, 0.2]), 0.1),
            r"one length, got.*\[1, 2\]",
        ),
        (lambda: predict(Problem(Focal(_tensor([1.0])), 3, 4, 2, 0.1, 0.1)), "one problem"),
    ],
)
def test_wrong_parameters_are_refused(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
