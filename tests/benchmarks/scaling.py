"""Target 3: cost per start from 100 to 100,000 starts, and per evaluation at larger sizes against its floor."""

import math
import resource

from tests.benchmarks.measure import Row, Seconds, alternately, floor, machine_rates, standard_problem
from ufm.minimise import minimise
from ufm.parallel import cores, map_chunks
from ufm.starts import normal_starts

BLOCK = 1000
"""Starts drawn, minimised and reduced to a number together: memory does not grow with their count."""


def run(is_tiny: bool) -> list[Row]:
    """Rows for the number of starts, then for the sizes."""
    return [*_counts(is_tiny), *_sizes(is_tiny)]


def _counts(is_tiny: bool) -> list[Row]:
    counts = (4, 8) if is_tiny else (100, 1000, 10_000, 100_000)
    repetitions = {count: 1 if is_tiny else max(1, min(9, 10_000 // count)) for count in counts}
    found = {
        count: alternately({"ours": (lambda count=count: _lost(count), count)}, repetitions[count])["ours"]
        for count in counts[:-1]
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lost: list[int] = []
    # The largest comes once: everything is compiled by now.
    largest = {"ours": (lambda: lost.append(_lost(counts[-1])), counts[-1])}
    found[counts[-1]] = alternately(largest, 1, warms_up=False)["ours"]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    first = found[counts[0]]
    rows = []
    for count in counts[1:]:
        note = f", {lost[0]} of them not converged, peak memory grown by {grown:.0f} MB" if count == counts[-1] else ""
        ratio = max(found[count].median / first.median, first.median / found[count].median)
        what = f"{count:,} starts against {counts[0]}, cost per start{note}"
        rows.append(Row("3", what, "start", found[count], first, ratio, "<= 1.15"))
    return rows


def _lost(count: int) -> int:
    """Minimise start 0 to count - 1, and count those that did not converge."""
    problem = standard_problem()

    def block(first: int, size: int) -> int:
        starts = normal_starts(problem.size, 0, first, min(size, count - first))
        return int((~minimise(problem.value_and_gradient, starts, 1e-8).is_converged).sum())

    device = normal_starts(1, 0, 0, 1).device
    size = min(BLOCK, math.ceil(count / cores(device)))
    return sum(map_chunks(lambda first: block(first, size), range(0, count, size), device))


def _sizes(is_tiny: bool) -> list[Row]:
    """A few steps from a few starts on all cores; the floor counts all cores too."""
    rates = machine_rates(1 if is_tiny else 5)
    rows = []
    for (K, d, n), starts, steps in (((10, 20, 10), 200, 20), ((100, 128, 10), 8, 20), ((1000, 1024, 1), 2, 4)):
        if is_tiny and K > 10:
            continue
        problem = standard_problem(K=K, d=d, n=n)
        x = normal_starts(problem.size, 0, 0, starts)
        evaluations = int(minimise(problem.value_and_gradient, x, 1e-8, steps).evaluations.sum())
        work = {"ours": (lambda p=problem, x=x, m=steps: minimise(p.value_and_gradient, x, 1e-8, m), evaluations)}
        found = alternately(work, 1 if is_tiny else 3)["ours"]
        least = floor(problem, rates) / cores(x.device)
        what = f"K = {K}, d = {d}, n = {n}: solver time per evaluation against the evaluation's floor"
        rows.append(Row("3", what, "evaluation", found, Seconds(least, least, least), found.median / least))
    return rows
