"""Target 6: starts on an accelerator, certificates included, against the CPU's cores; no row where there is none.

Either side draws nothing: the starts lie where they are used. The third size has too many variables for a CPU to take
part within minutes, and stands alone.
"""

import math
from collections.abc import Iterator

import torch

from tests.benchmarks.measure import Row, Seconds, alternately
from ufm.curvature.orbit_bound import known_orbit
from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.theory.prediction import predict, predicted_point
from ufm.tolerances import MINIMISER_GRADIENT

SIZES = ((10, 20, 10, 5e-3, 100_000, 1000), (100, 100, 2, 5e-3, 4000, 40), (1000, 1000, 1, 1e-4, 32, 0))
"""Classes, dimensions, samples a class, decays, starts there and here."""
NOT_MEASURED = Seconds(math.nan, math.nan, math.nan)


def run(is_tiny: bool) -> Iterator[Row]:
    """Two rows a size, if torch sees a CUDA device: minimising, and then with certificates."""
    if not torch.cuda.is_available():
        return
    for K, d, n, decay, there, here in SIZES:
        problem = Problem(CrossEntropy(), K, d, n, decay, decay, 1e-2)
        yield from _rows(problem, 20 if is_tiny else there, min(here, 20) if is_tiny else here, 1 if is_tiny else 3)


def _rows(problem: Problem, there: int, here: int, repetitions: int) -> list[Row]:
    starts = normal_starts(problem.size, 0, 0, there).cuda()
    orbit = known_orbit(problem, predicted_point(problem, predict(problem)))
    block, decided = max(1, 2**28 // (8 * problem.size)), 0

    def certified(x: torch.Tensor) -> None:
        nonlocal decided
        parts = minimise(problem, x, MINIMISER_GRADIENT).x.split(block)
        decided = 0 if orbit is None else sum(int((orbit.near(x).smallest_eigenvalue > -1e-6).sum()) for x in parts)

    def on_device() -> None:
        minimise(problem, starts, MINIMISER_GRADIENT)
        torch.cuda.synchronize()

    sides = {"device": (on_device, there), "certified": (lambda: certified(starts), there)}
    if here:
        own = starts[:here].cpu()
        sides["cores"] = (lambda: minimise(problem, own, MINIMISER_GRADIENT), here)
        sides["certified cores"] = (lambda: certified(own), here)
    found = alternately(sides, repetitions)
    certified(starts)
    where = f"K = {problem.K}, d = {problem.d}, n = {problem.n}: {there:,} starts on {torch.cuda.get_device_name()}"
    return [
        Row(
            "6",
            f"{where}{more} against the CPU's cores",
            "start",
            found[ours],
            found.get(other, NOT_MEASURED),
            found[other].median / found[ours].median if here else math.nan,
        )
        for ours, other, more in (
            ("device", "cores", ""),
            ("certified", "certified cores", f", {decided:,} of them certified,"),
        )
    ]
