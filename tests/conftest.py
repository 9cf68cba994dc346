"""Problems and losses in one table that the tests cross; float64 everywhere."""

from ufm import process

process.prepare()  # before torch is imported

import pytest
import torch

from ufm.losses import CrossEntropy, Focal, LabelSmoothing, Loss, SquaredError
from ufm.problem import Problem

LOSSES: dict[str, Loss] = {
    "ce": CrossEntropy(),
    "ls": LabelSmoothing(0.1),
    "focal": Focal(2.0),
    "focal_half": Focal(0.5),
    "mse": SquaredError(),
    "mse_15": SquaredError(15.0, "mean"),
}
BIASES: dict[str, float | None] = {"free": 0.0, "decayed": 0.01, "absent": None}


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
