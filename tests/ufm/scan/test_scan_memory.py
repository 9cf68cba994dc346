"""The estimate bounds the peak of a process that works on the unit, and is not far above it."""

import subprocess
import sys
from pathlib import Path

import pytest

from ufm.scan.cells import cells_of, units_of
from ufm.scan.memory import unit_bytes
from ufm.scan.setting import ScanSetting

ROOT = Path(__file__).parents[3]
CODE = """
import resource
from ufm import process
process.prepare()
import torch
torch.set_num_threads(1)
from tests.ufm.scan.test_scan_memory import unit_of
from ufm.scan.outcomes import solve
solve(unit_of({sizes}))
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
KINDS = {
    "many starts": {"classes": 4, "dim": 6, "per_class": 3, "starts": 20_000},
    "dense Hessians": {"classes": 10, "dim": 9, "per_class": 2, "starts": 64},
    "Lanczos": {"classes": 30, "dim": 30, "per_class": 1, "starts": 32},
    "many logits": {"classes": 40, "dim": 2, "per_class": 20, "starts": 16},
}


def unit_of(sizes):
    setting = ScanSetting(grid={"decay": "1e-3:1e-1:32:log"}, max_steps=10, **sizes)
    return units_of(cells_of(setting), setting)[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_bounds_the_peak(kind):
    command = [sys.executable, "-c", CODE.format(sizes=KINDS[kind])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak, estimate = int(done.stdout), unit_bytes(unit_of(KINDS[kind]))
    assert peak < estimate < 2.5 * peak
