"""The Python interface refuses every wrong value of every argument in one sentence that names the argument."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import deepnet
import ufm
from tests import wrong_arguments
from ufm.arguments import tensor
from ufm.errors import RequestError
from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem
from ufm.solve.minimise import minimise

ROOT = Path(__file__).parent.parent


def test_every_wrong_value_is_refused_with_its_name():
    """In a process of its own: the tests' type checker would refuse most of them first."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.wrong_arguments"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


METRIC = "deepnet.measures.neural_collapse"
"""It and the callbacks need packages that are not always there."""


def test_every_function_that_has_rules_is_tried_with_every_argument():
    tried = {(each.__module__, each.__name__): right for each, right in wrong_arguments.RIGHT}
    for package in (ufm, deepnet):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__") or found.name.startswith(("deepnet.callbacks.", METRIC)):
                continue
            for name, each in vars(importlib.import_module(found.name)).items():
                if inspect.isfunction(each) and each.__module__ == found.name and hasattr(each, "rules"):
                    assert (found.name, name) in tried, f"{found.name}.{name} is not in tests/wrong_arguments.py"
                    assert set(each.rules) <= set(tried[found.name, name]), f"{found.name}.{name}"


def test_every_argument_of_every_public_function_is_tried_or_has_a_reason_why_not():
    assert not wrong_arguments.gaps()
    names = {name for each in wrong_arguments.public() for name in (each.__qualname__, *each.__qualname__.split("."))}
    for name in set().union(*wrong_arguments.NOT_TRIED.values()):
        assert name in names or name.split(".")[0] in names, f"{name} is no public function"


def test_lengths_of_one_name_are_one_length():
    rule, x = tensor("N", "K"), torch.zeros(2, 3, dtype=torch.float64)
    assert rule.holds(x)
    assert not rule.holds(x[0])
    assert not rule.holds(x.float())
    assert tensor(..., 3).holds(x)
    assert not tensor(..., 4).holds(x)


PROBLEM = Problem(CrossEntropy(), K=3, d=4, n=2, decay_W=5e-3, decay_H=5e-3)
"""(3 + 6) 4 + 3 = 39 variables."""


@pytest.mark.parametrize("width", [38, 29, 40, 239, 0])
def test_starts_of_another_width_are_refused(width):
    with pytest.raises(RequestError, match=r"`x` must be a float64 tensor \(..., 39\)"):
        minimise(PROBLEM, torch.zeros(4, width, dtype=torch.float64), tolerance=1e-8)


@pytest.mark.parametrize(
    ("value", "gradient"),
    [
        (lambda x: x.sum(1)[:-1], lambda x: x),
        (lambda x: x.sum(1), lambda x: x[:, :-1]),
        (lambda x: x.sum(1), lambda x: x.float()),
        (lambda x: x, lambda x: x),
    ],
)
def test_an_objective_of_another_shape_is_refused(value, gradient):
    with pytest.raises(RequestError, match=r"`model` must be one whose value and gradient are float64"):
        minimise(lambda x: (value(x), gradient(x)), torch.ones(3, 5, dtype=torch.float64))


def test_gaps_in_memory_and_gradients_change_nothing():
    plain = torch.randn(6, 39, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = minimise(PROBLEM, plain)
    apart = torch.stack([plain, plain], -1)[..., 0]
    columns = plain.mT.contiguous().mT
    for other in (apart, columns, plain.clone().requires_grad_()):
        end = minimise(PROBLEM, other)
        assert torch.equal(end.x, found.x)
        assert not end.x.requires_grad
        assert torch.equal(PROBLEM.value_and_gradient(other.detach())[1], PROBLEM.value_and_gradient(plain)[1])


def test_no_starts_have_no_ends():
    end = minimise(PROBLEM, torch.empty(0, 39, dtype=torch.float64))
    assert end.x.shape == (0, 39)
    assert end.status.shape == (0,)
