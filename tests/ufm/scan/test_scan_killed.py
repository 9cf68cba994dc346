"""`kill -9` on the driver or on a worker at random times: nothing that was acknowledged is lost or changes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ufm.scan.shards import read_rows

ROOT = Path(__file__).parents[3]
GRID = ["--grid.gamma", "0:8:17", "--grid.decay", "1e-4:1e-1:17:log", "--starts", "16", "--workers", "2"]
KILLS = 20


def _start(*words):
    command = [sys.executable, "-m", "ufm", "scan", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _children(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _rows_of(folder):
    return {path.name: path.read_bytes() for path in (folder / "shards").glob("*.parquet")}


def _kill(driver, whom):
    """Whether there was somebody to kill."""
    victims = [] if driver.poll() is not None else _children(driver.pid) if whom == "worker" else [driver.pid]
    if victims:
        os.kill(random.choice(victims), signal.SIGKILL)
    return bool(victims)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_twenty_times_it_ends_with_the_rows_of_an_undisturbed_run(tmp_path):
    random.seed(0)
    undisturbed = tmp_path / "undisturbed"
    began = time.monotonic()
    output, _ = (driver := _start("--loss", "focal", *GRID, "--out", str(undisturbed))).communicate()
    assert driver.returncode == 0, output
    seconds = time.monotonic() - began
    expected = read_rows(undisturbed)
    assert len(expected) == 289
    kills, run, interrupted = 0, 0, 0
    while kills < KILLS:
        folder, run = tmp_path / f"run-{run}", run + 1
        words = ["--loss", "focal", *GRID, "--out", str(folder)]
        for _ in range(50):
            acknowledged = _rows_of(folder)
            began, driver = time.monotonic(), _start(*words)
            try:
                driver.wait(random.uniform(0.5, seconds))
                seconds = time.monotonic() - began  # the machine was busier before
            except subprocess.TimeoutExpired:
                pass
            whom = random.choice(["driver", "worker"])
            kills += kills < KILLS and _kill(driver, whom)
            output, _ = driver.communicate()
            assert acknowledged.items() <= _rows_of(folder).items()
            if driver.returncode == 0:
                break
            assert driver.returncode == -signal.SIGKILL, output
            interrupted += 1
            if (folder / "setting.json").exists():
                words = ["--resume", str(folder), "--workers", "2"]
        assert read_rows(folder) == expected
    assert interrupted >= 3
    print(f"scan, SIGKILL: {kills} kills, {interrupted} of them of the driver, in {run} folders")
