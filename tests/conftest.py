"""Problems, models and losses in one table that the tests cross; float64 everywhere, one thread a worker."""

from ufm.cli import process

process.prepare()  # before torch is imported

from tests import type_checks

type_checks.install()  # before our other modules are imported

import os
import signal
import warnings
from collections.abc import Iterator

import pytest
import torch

import tests.lacking_operators  # noqa: F401  # before torchmetrics
from ufm.model.deep import DeepProblem
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.model import Model
from ufm.model.pick_all_labels import all_sets
from ufm.model.problem import Problem
from ufm.model.spheres import SphereProblem

if os.environ.get("FAKE_CARD"):
    from tests import fake_card  # noqa: F401  # before the first derivative, which counts the devices

with warnings.catch_warnings():  # of the first use; an error raised inside would leave torch.func in disorder
    warnings.simplefilter("ignore")
    torch.func.hessian(lambda x: x.pow(3).sum())(torch.ones(2))

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background jobs and their children ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

CORES = torch.get_num_threads()
torch.set_num_threads(1)  # models and nets are tiny here, and workers share the cores

LOSSES: dict[str, Loss] = {
    "ce": CrossEntropy(),
    "ls": LabelSmoothing(0.1),
    "focal": Focal(2.0),
    "focal_half": Focal(0.5),
    "mse": SquaredError(),
    "mse_15": SquaredError(15.0, "mean"),
}
BIASES: dict[str, float | None] = {"free": 0.0, "decayed": 0.01, "absent": None}
PICK_ALL, SET_SIZES = all_sets(4, (2, 1))
MODELS: dict[str, Model] = {
    "imbalance_ce": Problem(CrossEntropy(), 4, 5, 1, 5e-3, 2e-3, 0.01, sizes=(4, 3, 1, 1)),
    "imbalance_ls": Problem(LabelSmoothing(0.1), 4, 5, 2, 5e-3, 2e-3, 0.0, sizes=(3, 1, 2, 1)),
    "imbalance_mse": Problem(SquaredError(), 4, 5, 1, 5e-3, 2e-3, None, sizes=(4, 3, 1, 1)),
    "multilabel": Problem(PICK_ALL, 4, 5, 1, 5e-3, 2e-3, 0.0, sizes=SET_SIZES),
    "spheres": SphereProblem(CrossEntropy(), 4, 5, 2, temperature=3.0),
    "deep_mse": DeepProblem(SquaredError(), 3, 4, 2, 5e-3, 2e-3, None, (3e-3,)),
    "deep_mse_15": DeepProblem(SquaredError(15.0, "mean"), 3, 4, 2, 5e-3, 2e-3, 0.05, (3e-3, 8e-3)),
    "deep_ce": DeepProblem(CrossEntropy(), 3, 4, 2, 5e-3, 2e-3, 0.0, (3e-3,)),
    "deep_relu": DeepProblem(SquaredError(), 2, 4, 2, 5e-3, 2e-3, None, (3e-3, 8e-3), is_rectified=True),
}
"""Every model but the plain one."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than cores: some tests wait for a browser, a disk or other processes."""
    return CORES + 1


@pytest.fixture
def all_cores() -> Iterator[None]:
    """For tests of what shares its work out: threads, two at least."""
    torch.set_num_threads(max(2, CORES))
    yield
    torch.set_num_threads(1)


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]


@pytest.fixture(params=list(LOSSES))
def loss(request: pytest.FixtureRequest) -> Loss:
    return LOSSES[request.param]


@pytest.fixture(params=list(BIASES))
def decay_b(request: pytest.FixtureRequest) -> float | None:
    return BIASES[request.param]


@pytest.fixture
def problem(loss: Loss, decay_b: float | None) -> Problem:
    return Problem(loss, K=4, d=5, n=3, decay_W=5e-3, decay_H=2e-3, decay_b=decay_b)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture
def normal(generator: torch.Generator):
    """Standard normal float64 tensors."""
    return lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
