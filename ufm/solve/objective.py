"""Which objectives are compiled as a whole, in the numbers that compiled code asks for.

They are those of the plain model in plain float64 rows on CPU cores, of sizes for which compiled loops are the faster
way, under a loss of `FORMS`. A subclass, of the model or of a loss, may compute something else and is none of them.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.losses_compiled import FOCAL, SOFTMAX, SQUARED
from ufm.model.parameters import Parameter
from ufm.model.problem import Problem
from ufm.model.problem_compiled import Objective, serves
from ufm.solve.units import Units

FORMS: dict[type, tuple[int, Callable[[Any, int], tuple[Parameter, Parameter]]]] = {
    CrossEntropy: (SOFTMAX, lambda loss, K: (loss.smoothing, 0.0)),
    LabelSmoothing: (SOFTMAX, lambda loss, K: (loss.smoothing, 0.0)),
    Focal: (FOCAL, lambda loss, K: (loss.gamma, 0.0)),
    SquaredError: (SQUARED, lambda loss, K: (loss.rescale, loss.weight(K))),
}
"""The form of a loss in `losses` of `ufm/model/losses_compiled.py`, and its two parameters there."""


@singledispatch
def compiled_objective(model: object, starts: Float[Tensor, "S P"]) -> Objective | None:
    """The objective of each of the starts; None if it is not compiled."""
    return None


@compiled_objective.register
def _of_problem(problem: Problem, starts: Tensor) -> Objective | None:
    form = FORMS.get(type(problem.loss))
    if type(problem) is not Problem or form is None or not serves(starts, problem.K, problem.d, problem.N):
        return None
    problem.check_batch(starts)
    number, parameters = form
    columns = (1 / problem.N, *problem.decays, *parameters(problem.loss, problem.K))
    numbers = np.empty((len(starts), len(columns)))
    for column, value in zip(numbers.T, columns, strict=True):
        column[:] = value
    return Objective(problem.K, problem.d, number, problem.labels().numpy(), numbers)


@compiled_objective.register
def _of_units(units: Units, starts: Tensor) -> Objective | None:
    objective = compiled_objective(units.model, starts)
    if objective is not None:
        objective.numbers[:, :4] /= torch.as_tensor(units.gradient, dtype=torch.float64).reshape(-1, 1).numpy()
    return objective
