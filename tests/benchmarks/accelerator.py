"""Target 6: starts on an accelerator against the CPU's cores; no row where there is none."""

import torch

from tests.benchmarks.measure import Row, alternately, standard_problem
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise


def run(is_tiny: bool) -> list[Row]:
    """One row, if torch sees a CUDA device."""
    if not torch.cuda.is_available():
        return []
    problem = standard_problem()
    here, there = (20, 20) if is_tiny else (1000, 100_000)
    starts = normal_starts(problem.size, 0, 0, there)
    moved = starts.cuda()

    def on_device() -> None:
        minimise(problem, moved, 1e-8)
        torch.cuda.synchronize()

    sides = {
        "device": (on_device, there),
        "cores": (lambda: minimise(problem, starts[:here], 1e-8), here),
    }
    found = alternately(sides, 1 if is_tiny else 3)
    what = f"{there:,} starts on {torch.cuda.get_device_name()} against the CPU's cores"
    return [Row("6", what, "start", found["device"], found["cores"], found["cores"].median / found["device"].median)]
