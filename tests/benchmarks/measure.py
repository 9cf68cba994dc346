"""How a benchmark measures: sides take turns, and a row keeps the median and the spread of each."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ufm.model.loss import Loss
from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem


@dataclass(frozen=True)
class Seconds:
    """Seconds per unit of work over the repetitions: median, smallest and largest."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        target: which of the targets it belongs to.
        what: the claim in words.
        ours, other: seconds per unit of each side (`other` is the reference or the floor).
        unit: what the seconds are for.
        ratio: the number the target is about.
        wanted: `>= 40` or `<= 2.5`; empty where the row only informs.
    """

    target: str
    what: str
    unit: str
    ours: Seconds
    other: Seconds
    ratio: float
    wanted: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the ratio is as wanted; None where nothing is."""
        if not self.wanted:
            return None
        relation, bound = self.wanted.split()
        return self.ratio >= float(bound) if relation == ">=" else self.ratio <= float(bound)


def alternately(
    sides: dict[str, tuple[Callable[[], object], int]], repetitions: int, warms_up: bool = True
) -> dict[str, Seconds]:
    """Seconds per unit of every side; each is a function and the number of units that one call works on.

    One call of each side comes before the first that counts: it compiles, allocates and fills caches.
    """
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(-int(warms_up), repetitions):
        for name, (function, units) in sides.items():
            began = time.perf_counter()
            function()
            if repetition >= 0:
                spent[name].append((time.perf_counter() - began) / units)
    return {name: Seconds(statistics.median(times), min(times), max(times)) for name, times in spent.items()}


def standard_problem(loss: Loss | None = None, K: int = 10, d: int = 20, n: int = 10) -> Problem:
    """The size all targets but two are stated for."""
    return Problem(loss or CrossEntropy(), K, d, n, 5e-3, 5e-3, 1e-2)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch, numpy and scipy with that many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def machine_rates(repetitions: int) -> tuple[float, float]:
    """Seconds per flop and per exp on one core: the better library's matrix product, and torch.exp within the cache."""
    A, x = torch.randn(512, 512, dtype=torch.float64), torch.randn(4096, dtype=torch.float64)
    product, powers, a = torch.empty_like(A), torch.empty_like(x), A.numpy()
    out = np.empty_like(a)
    with threads(1):
        found = alternately(
            {
                "torch": (lambda: torch.mm(A, A, out=product), 2 * 512**3),
                "numpy": (lambda: np.matmul(a, a, out=out), 2 * 512**3),
                "exp": (lambda: [torch.exp(x, out=powers) for _ in range(50)], 50 * 4096),
            },
            max(repetitions, 10),
        )
    return min(found["torch"].least, found["numpy"].least), found["exp"].least


def floor(problem: Problem, rates: tuple[float, float]) -> float:
    """Seconds that the flops (three products) and the exps of one value and gradient take at the machine's rates."""
    per_flop, per_exp = rates
    entries = problem.N * problem.K
    return 6 * entries * problem.d * per_flop + entries * per_exp


def summary(seconds: Seconds) -> str:
    """`312 us (305 to 330)`."""
    if not math.isfinite(seconds.median):
        return "-"
    factor, unit = next((f, u) for f, u in ((1, "s"), (1e3, "ms"), (1e6, "us")) if seconds.median * f >= 1 or u == "us")
    return f"{seconds.median * factor:.3g} {unit} ({seconds.least * factor:.3g} to {seconds.most * factor:.3g})"
