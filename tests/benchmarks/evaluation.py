"""Target 2: one evaluation against its floor, everything else against the evaluations, and the losses among each other.

On one core, so that the floor (flops at the rate of a large matrix product, exps at the rate of torch.exp) is that of
one core too.
"""

import statistics
from functools import partial
from typing import no_type_check

import numba
import numpy as np
import torch

from tests.benchmarks.measure import Row, Seconds, alternately, floor, machine_rates, standard_problem, threads
from tests.benchmarks.throughput import scipy_lbfgs
from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing, SquaredError
from ufm.model.problem import Problem
from ufm.model.problem_compiled import Room, value_and_gradient
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.solve.objective import compiled_objective

LOSSES: dict[str, Loss] = {
    "label smoothing": LabelSmoothing(),
    "focal loss": Focal(),
    "squared error": SquaredError(),
}

NEAR = 0.1
"""The share of a start from which the way is short: squared error's curvature grows with the squares of W and H."""


def run(is_tiny: bool) -> list[Row]:
    """Evaluation against floor, the rest against evaluation, every other loss against cross entropy."""
    repetitions, count = (1, 8) if is_tiny else (5, 400)
    with threads(1):
        return [*_phases(repetitions, count), *_losses(repetitions, count)]


def _phases(repetitions: int, count: int) -> list[Row]:
    """The compiled objective alone, at points of one start after the other, and the descents that call it."""
    problem = standard_problem()
    starts = normal_starts(problem.size, 0, 0, count)
    objective = compiled_objective(problem, starts)
    if objective is None:
        raise RuntimeError("The standard problem is not compiled.")
    room, gradient = Room.unset(problem.K, problem.d, problem.N), np.empty(problem.size)
    evaluations = int(minimise(problem, starts, 1e-8).evaluations.sum())
    sides = {
        "evaluation": (lambda: _evaluate_each(objective, starts.numpy(), room, gradient, 20), 20 * count),
        "descent": (lambda: minimise(problem, starts, 1e-8), evaluations),
    }
    found = alternately(sides, repetitions)
    spent, whole = found["evaluation"], found["descent"]
    beside = Seconds(*(getattr(whole, part) - spent.median for part in ("median", "least", "most")))
    least = floor(problem, machine_rates(repetitions))
    bound = Seconds(least, least, least)
    what = "value and gradient, as called by the solver, against flops and exps at the machine's rates"
    rest_ratio = beside.median / spent.median
    return [
        Row("2", what, "evaluation", spent, bound, spent.median / least, "<= 2.5"),
        Row("2", "all else of the solver against value and gradient", "evaluation", beside, spent, rest_ratio, "<= 1"),
    ]


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
@no_type_check
def _evaluate_each(objective, points, room, gradient, times):
    for start in range(len(points)):
        for _ in range(times):
            value_and_gradient(objective, start, points[start], room, gradient)


def _losses(repetitions: int, count: int) -> list[Row]:
    """Per evaluation, and per start to the same gradient (where the loss decides how many evaluations it takes)."""
    rows = []
    ce = standard_problem(CrossEntropy())
    starts = normal_starts(ce.size, 0, 0, count)
    points = starts[:32].clone()
    needed, by_scipy = _evaluations(ce, starts), _by_scipy(ce, starts)
    for name, loss in LOSSES.items():
        problem = standard_problem(loss)
        units = 20 * len(points)
        pair = {"ours": (partial(_evaluate, ce, points), units), name: (partial(_evaluate, problem, points), units)}
        found = alternately(pair, repetitions)
        ratio = found[name].median / found["ours"].median
        what = f"{name} against cross entropy, one evaluation"
        rows.append(Row("3", what, "evaluation", found[name], found["ours"], ratio, "<= 1.5"))
        pair = {
            "ours": (partial(_evaluations, ce, starts), count),
            name: (partial(_evaluations, problem, starts), count),
        }
        found = alternately(pair, repetitions)
        ratio = found[name].median / found["ours"].median
        evaluations = f"{_evaluations(problem, starts):.0f} evaluations against {needed:.0f}"
        others = f"scipy's L-BFGS-B: {_by_scipy(problem, starts):.0f} against {by_scipy:.0f}"
        small = f"{_evaluations(problem, NEAR * starts):.0f} against {_evaluations(ce, NEAR * starts):.0f}"
        what = f"{name} against cross entropy, one start ({evaluations}; from {NEAR} of it: {small}; {others})"
        rows.append(Row("3", what, "start", found[name], found["ours"], ratio, "<= 1.5"))
    return rows


def _evaluate(problem: Problem, points: torch.Tensor) -> None:
    for _ in range(20):
        problem.value_and_gradient(points)


def _evaluations(problem: Problem, starts: torch.Tensor) -> float:
    return float(minimise(problem, starts, 1e-8).evaluations.double().mean())


def _by_scipy(problem: Problem, starts: torch.Tensor) -> float:
    """Evaluations that scipy's L-BFGS-B takes from some of the starts, on average."""

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = problem.value_and_gradient(torch.from_numpy(x)[None])
        return float(value), gradient[0].numpy()

    return statistics.mean(scipy_lbfgs(function, start) for start in starts[:8].numpy())
