"""Each head: its gradient, its constraint, and that it is the model which `ufm` analyses, on free features."""

import copy
import math

import pytest
import torch
from scipy.optimize import minimize_scalar

from deepnet.nets.heads import FixedSimplex, Head, Layers, Normalised, make_head
from deepnet.nets.nets import make_net
from ufm.model.deep import DeepProblem
from ufm.model.losses import CrossEntropy, SquaredError
from ufm.model.model import Point
from ufm.model.problem import Problem
from ufm.model.spheres import SphereProblem
from ufm.theory.deep_prediction import deep_target
from ufm.theory.prediction import predict
from ufm.theory.sphere_prediction import sphere_target

K, SIZE, n = 4, 6, 3
LABELS = torch.arange(K).repeat_interleave(n)
SPECS = [
    {"name": "linear"},
    {"name": "linear", "dim": 3},
    {"name": "normalised", "temperature": 3.0},
    {"name": "normalised", "temperature": 3.0, "dim": 2},
    {"name": "etf"},
    {"name": "etf", "dim": 3},
    {"name": "layers", "count": 2},
    {"name": "layers", "count": 3, "relu": True, "dim": 5},
]


def made(spec, size=SIZE, seed=0) -> Head:
    return make_head(spec, size, K, torch.Generator().manual_seed(seed)).double()


def features(size=SIZE) -> torch.Tensor:
    return torch.randn(K * n, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_logits_are_linear_in_what_the_head_sees(spec):
    head, x = made(spec), features()
    logits, seen = head(x)
    assert seen.shape == (K * n, head.dim)
    torch.testing.assert_close(logits, seen @ head.W.mT + head.b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_gradient_is_that_of_finite_differences(spec):
    head, x = made(spec), features().requires_grad_()
    loss = CrossEntropy()(head(x)[0], LABELS).mean()
    variables = [x, *head.parameters()]
    gradients = torch.autograd.grad(loss, variables)
    step = 1e-5
    for variable, gradient in zip(variables, gradients, strict=True):
        direction = torch.randn(variable.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                variable.add_(sign * step * direction)
                values.append(float(CrossEntropy()(head(x)[0], LABELS).mean()))
                variable.sub_(sign * step * direction)
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(float((gradient * direction).sum()), abs=1e-8)


def test_normalised_head_moves_on_the_sphere():
    head, x = made({"name": "normalised", "temperature": 3.0}), features()
    assert isinstance(head, Normalised)
    optimiser = torch.optim.SGD(head.parameters(), 0.5, momentum=0.9, weight_decay=0.1)
    for _ in range(5):
        optimiser.zero_grad()
        CrossEntropy()(head(x)[0], LABELS).mean().backward()
        along = (head.weight.grad * head.weight).sum(-1)
        assert along.abs().max() < 1e-14  # the gradient is tangent
        optimiser.step()
        head.retract()
        torch.testing.assert_close(head.weight.norm(dim=-1), torch.ones(K, dtype=torch.float64))
    torch.testing.assert_close(head.seen(x).norm(dim=-1), torch.ones(K * n, dtype=torch.float64))


@pytest.mark.parametrize("dim", [None, K - 1, K, K + 2])
def test_fixed_head_is_the_simplex_and_stays_it(dim):
    spec = {"name": "etf"} if dim is None else {"name": "etf", "dim": dim}
    head = made(spec)
    assert isinstance(head, FixedSimplex)
    assert head.dim == (dim or K)
    gram = (K * torch.eye(K) - 1) / (K - 1)
    torch.testing.assert_close(head.W @ head.W.mT, gram.double(), rtol=0, atol=1e-6)  # kept in float32
    before = copy.deepcopy(head.W)
    optimiser = torch.optim.SGD(head.parameters(), 0.5, weight_decay=0.1)
    CrossEntropy()(head(features())[0], LABELS).mean().backward()
    optimiser.step()
    assert torch.equal(head.W, before)
    assert sum(p.numel() for p in head.parameters()) == SIZE * head.dim


def test_layers_are_a_product_without_relu_and_nonnegative_with_it():
    x = features()
    linear, relu = made({"name": "layers", "count": 3}), made({"name": "layers", "count": 3, "relu": True})
    assert isinstance(linear, Layers)
    assert isinstance(relu, Layers)
    one, two, three = linear.matrices
    torch.testing.assert_close(linear(x)[0], x @ (three @ two @ one).mT, rtol=0, atol=1e-13)
    assert relu.seen(x).min() >= 0
    assert [entry.shape[1] for entry in relu.inputs(x)] == [SIZE] * 3


# Free features in front of a head are the model of `ufm`; its minimum is what theory says.


def minimum(head: Head, x: torch.Tensor, objective) -> float:
    variables = [x.requires_grad_(), *head.parameters()]
    optimiser = torch.optim.LBFGS(
        variables, max_iter=3000, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        value = objective()
        value.backward()
        return value

    optimiser.step(closure)
    return objective().item()


def square(tensor: torch.Tensor, decay: float) -> torch.Tensor:
    return decay / 2 * tensor.square().sum()


def test_linear_head_reaches_the_predicted_minimum():
    head, x = made({"name": "linear"}), features()
    problem = Problem(CrossEntropy(), K, SIZE, n, 5e-3, 1e-3, 1e-2)

    def objective():
        decayed = square(head.weight, 5e-3) + square(x, 1e-3) + square(head.bias, 1e-2)
        return CrossEntropy()(head(x)[0], LABELS).mean() + decayed

    value = minimum(head, x, objective)
    assert value == pytest.approx(predict(problem).value, abs=1e-12)
    torch.testing.assert_close(problem.value(problem.pack(Point(head.W, x, head.b))).item(), value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_normalised_head_reaches_the_simplex(temperature):
    head, x = made({"name": "normalised", "temperature": temperature}), features()
    value = minimum(head, x, lambda: CrossEntropy()(head(x)[0], LABELS).mean())
    problem = SphereProblem(CrossEntropy(), K, SIZE, n, temperature=temperature)
    assert value == pytest.approx(sphere_target(problem).value, abs=1e-12)


def test_fixed_head_has_features_along_its_rows():
    head, x, decay = made({"name": "etf"}, size=K), features(K), 1e-3
    value = minimum(head, x, lambda: CrossEntropy()(x @ head.W.mT, LABELS).mean() + square(x, decay))

    def on_ray(length):
        return math.log1p((K - 1) * math.exp(-length * K / (K - 1))) + decay / 2 * K * n * length**2

    # The frame is kept in float32.
    assert value == pytest.approx(minimize_scalar(on_ray, bounds=(0, 20), method="bounded").fun, abs=1e-7)


@pytest.mark.parametrize("relu", [False, True])
def test_two_layers_have_the_deep_models_minimum(relu):
    head, x = made({"name": "layers", "count": 2, "relu": relu}), features()
    assert isinstance(head, Layers)
    first, last = head.matrices

    def objective():
        return SquaredError()(head(x)[0], LABELS).mean() + square(last, 5e-3) + square(first, 4e-3) + square(x, 1e-3)

    value = minimum(head, x, objective)
    problem = DeepProblem(
        SquaredError(), K, SIZE, n, 5e-3, 1e-3, None, (4e-3,)
    )  # with a ReLU: the same from these starts
    assert value == pytest.approx(deep_target(problem).value, abs=1e-12)
    if not relu:
        assert value == pytest.approx(0.02336594841250561, abs=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_network_wears_every_head(spec):
    net = make_net("mlp", 1 / 16, K, (1, 4, 4), torch.Generator().manual_seed(0), spec)
    logits, seen = net(torch.randn(5, 1, 4, 4))
    assert logits.shape == (5, K)
    assert seen.shape == (5, net.feature_size)
