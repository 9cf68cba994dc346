"""Target 5: smallest eigenpairs against the Hessian-vector products they take, and against scipy's eigsh."""

from dataclasses import dataclass, field, fields

import numpy as np
import scipy.sparse.linalg
import torch

from tests.benchmarks.measure import Row, alternately, standard_problem, threads
from ufm.curvature.orbit_bound import known_orbit
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.hessian import smallest_eigenpair
from ufm.solve.minimise import minimise
from ufm.theory.model_choice import target_of


@dataclass(frozen=True)
class _Counted(Problem):
    """A problem that counts the products and remembers how many points each call was for."""

    calls: list[int] = field(default_factory=list, kw_only=True)

    def hessian(self, x):
        """The problem's, counted."""
        product = super().hessian(x)

        def counted(v):
            self.calls.append(len(x))
            return product(v)

        return counted


def run(is_tiny: bool) -> list[Row]:
    """On one core: the products alone, in batches of the same sizes, eigsh point by point, and the orbit's bound."""
    problem = standard_problem()
    count, singly = (4, 1) if is_tiny else (78, 4)
    with threads(1):
        x = minimise(problem, normal_starts(problem.size, 0, 0, count), 1e-10).x
        counted = _Counted(**{each.name: getattr(problem, each.name) for each in fields(problem)})
        pair = smallest_eigenpair(counted, x)
        orbit = known_orbit(problem, target_of(problem).point)
        assert orbit is not None
        near = orbit.near
        assert float(near(x).smallest_eigenvalue.amin()) > -1e-9
        sides = {
            "ours": (lambda: smallest_eigenpair(problem, x), count),
            "bound": (lambda: near(x), count),
            "products": (lambda: _products(problem, x, counted.calls), count),
            "eigsh": (lambda: [_eigsh(problem, point) for point in x[:singly]], singly),
        }
        found = alternately(sides, 1 if is_tiny else 5)
        worst = max(abs(_eigsh(problem, x[i]) - float(pair.value[i])) for i in range(singly))
    products = sum(counted.calls) / count
    what = f"smallest eigenpair, P = {problem.size}, against its {products:.0f} Hessian-vector products"
    against = f"smallest eigenpair against scipy eigsh, one point after another (values agree to {worst:.0e})"
    bound = "smallest eigenvalue by the distance from the predicted orbit, against the eigenpair"
    ours = found["ours"]
    return [
        Row("5", what, "point", ours, found["products"], ours.median / found["products"].median, "<= 3"),
        Row("5", bound, "point", found["bound"], ours, ours.median / found["bound"].median),
        Row("5", against, "point", ours, found["eigsh"], found["eigsh"].median / ours.median),
    ]


def _products(problem: Problem, x: torch.Tensor, calls: list[int]) -> None:
    operators = {size: (problem.hessian(x[:size]), x[:size, None]) for size in set(calls)}
    for size in calls:
        product, v = operators[size]
        product(v)


def _eigsh(problem: Problem, point: torch.Tensor) -> float:
    """Of the Hessian plus 1, because eigsh's tolerance is relative to the eigenvalue, which is zero here."""
    product = problem.hessian(point[None])
    operator = scipy.sparse.linalg.LinearOperator(
        (problem.size, problem.size),
        matvec=lambda v: product(torch.from_numpy(v).view(1, 1, -1))[0, 0].numpy() + v.ravel(),
        dtype=float,
    )
    v0 = np.random.default_rng(0).standard_normal(problem.size)  # its own start vector does not converge every time
    found = scipy.sparse.linalg.eigsh(operator, k=1, which="SA", v0=v0, tol=1e-11, return_eigenvectors=False)
    return float(found[0]) - 1
