"""Target 4: the search for critical points against a loop of scipy's solvers with the same analytic Jacobian."""

import numpy as np
import scipy.optimize
import torch

from tests.benchmarks.measure import Row, alternately, standard_problem, threads
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.hessian import dense_hessian
from ufm.solve.newton import find_critical_points

SOLVERS = {
    "root, method hybr": lambda f, J, x: scipy.optimize.root(f, x, jac=J, method="hybr", tol=1e-12),
    "root, method lm": lambda f, J, x: scipy.optimize.root(f, x, jac=J, method="lm", tol=1e-12),
    "least_squares, method trf": lambda f, J, x: scipy.optimize.least_squares(
        f, x, jac=J, xtol=1e-15, ftol=1e-15, gtol=1e-15
    ),
}


def run(is_tiny: bool) -> list[Row]:
    """One row per solver of scipy."""
    problem = standard_problem(K=4, d=6, n=2)
    ours, theirs = (4, 2) if is_tiny else (1000, 20)
    x = normal_starts(problem.size, 0, 0, ours)
    sides = {"ours": (lambda: find_critical_points(problem, x), ours)}
    reached = dict.fromkeys(SOLVERS, 0)
    for name in SOLVERS:
        sides[name] = (lambda name=name: reached.update({name: _loop(problem, name, x[:theirs].numpy())}), theirs)
    found = alternately(sides, 1 if is_tiny else 5)
    converged = int(find_critical_points(problem, x).is_converged.sum())
    return [
        Row(
            "4",
            f"critical points, |g| <= 1e-11 from {converged} of {ours} starts, against scipy {name} "
            f"({reached[name]} of {theirs})",
            "start",
            found["ours"],
            found[name],
            found[name].median / found["ours"].median,
            ">= 10",
        )
        for name in SOLVERS
    ]


def _loop(problem: Problem, name: str, starts: np.ndarray) -> int:
    """How many of the starts reach |gradient| <= 1e-11."""

    def gradient(x: np.ndarray) -> np.ndarray:
        return problem.value_and_gradient(torch.from_numpy(x)[None])[1][0].numpy()

    def jacobian(x: np.ndarray) -> np.ndarray:
        return dense_hessian(problem, torch.from_numpy(x)[None])[0].numpy()

    with threads(1):
        ends = [SOLVERS[name](gradient, jacobian, start).x for start in starts]
        return sum(bool(np.linalg.norm(gradient(end)) <= 1e-11) for end in ends)
