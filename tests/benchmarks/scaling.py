"""Target 3: cost per start from 100 to 100,000 starts, and per evaluation at larger sizes against its floor."""

import resource
import statistics
import time

from tests.benchmarks.measure import Row, Seconds, alternately, floor, machine_rates, standard_problem
from ufm.model.starts import normal_starts
from ufm.parallel import cores
from ufm.solve.minimise import minimise

BLOCK = 4096
"""Starts drawn, minimised and reduced to a number together: memory does not grow with their count."""


def run(is_tiny: bool) -> list[Row]:
    """Rows for the number of starts, then for the sizes."""
    return [*_counts(is_tiny), *_sizes(is_tiny)]


def _counts(is_tiny: bool) -> list[Row]:
    counts = (4, 8) if is_tiny else (100, 1000, 10_000, 100_000)
    _solve(counts[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runs = {count: [_solve(count) for _ in range(max(1, min(9, 10_000 // count)))] for count in counts}
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    lost = runs[counts[-1]][0][1]
    found = {count: _per_start([seconds for seconds, _ in results], count) for count, results in runs.items()}
    first, rows = found[counts[0]], []
    for count in counts[1:]:
        note = f"; {lost} did not converge, peak memory grew by {grown:.0f} MB" if count == counts[-1] else ""
        ratio = max(found[count].median / first.median, first.median / found[count].median)
        what = f"{count:,} starts against {counts[0]}, time of the solver per start{note}"
        rows.append(Row("3", what, "start", found[count], first, ratio, "<= 1.15"))
    return rows


def _solve(count: int) -> tuple[float, int]:
    """Seconds to minimise start 0 to count - 1 (drawing them is not counted), and how many did not converge."""
    problem, seconds, lost = standard_problem(), 0.0, 0
    for first in range(0, count, BLOCK):
        starts = normal_starts(problem.size, 0, first, min(BLOCK, count - first))
        began = time.perf_counter()
        end = minimise(problem, starts, 1e-8)
        seconds += time.perf_counter() - began
        lost += int((~end.is_converged).sum())
    return seconds, lost


def _per_start(seconds: list[float], count: int) -> Seconds:
    return Seconds(statistics.median(seconds) / count, min(seconds) / count, max(seconds) / count)


def _sizes(is_tiny: bool) -> list[Row]:
    """A few steps from a few starts on all cores; the floor counts all cores too."""
    rates = machine_rates(1 if is_tiny else 5)
    rows = []
    for (K, d, n), starts, steps in (((10, 20, 10), 200, 20), ((100, 128, 10), 8, 20), ((1000, 1024, 1), 2, 4)):
        if is_tiny and K > 10:
            continue
        problem = standard_problem(K=K, d=d, n=n)
        x = normal_starts(problem.size, 0, 0, starts)
        evaluations = int(minimise(problem, x, 1e-8, steps).evaluations.sum())
        work = {"ours": (lambda p=problem, x=x, m=steps: minimise(p, x, 1e-8, m), evaluations)}
        found = alternately(work, 1 if is_tiny else 3)["ours"]
        least = floor(problem, rates) / cores(x.device)
        what = f"K = {K}, d = {d}, n = {n}: solver time per evaluation against the evaluation's floor"
        rows.append(Row("3", what, "evaluation", found, Seconds(least, least, least), found.median / least))
    return rows
