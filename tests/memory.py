"""`python -m tests.memory`: the most memory that large requests take, each in a process of its own.

A request is refused if it takes more than its bound.
"""

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

MANY_STARTS = ("ufm", "verify", "--loss", "ce", "--starts", "100000", "--saddle-starts", "0")
MANY_CELLS = ("ufm", "scan", "--loss", "focal", "--grid.gamma", "0:8:1000", "--grid.decay", "1e-4:1e-1:1000:log")
MANY_CELLS += ("--starts", "1", "--classes", "2", "--dim", "2", "--per-class", "1")
MANY_FEATURES = """
import torch
from ufm.collapse import FeatureStats, collapse_metrics
H, labels = torch.randn(1_000_000, 512), torch.arange(10).repeat_interleave(100_000)
print(len(collapse_metrics(FeatureStats.from_features(H, labels, torch.randn(10, 512), torch.zeros(10)))), "metrics")
"""
MANY_CLASSES = """
import torch
from ufm.collapse import FeatureStats, all_metrics
labels, W = torch.randint(0, 50_257, (100_000,)), torch.randn(50_257, 64)
H = W[labels] + 0.5 * torch.randn(100_000, 64)
print(len(all_metrics(FeatureStats.from_features(H, labels, W, torch.zeros(50_257)))), "metrics")
"""
CORES = len(os.sched_getaffinity(0))
FEATURES_GB = 0.5 + 1_000_000 * 512 * 4 / 2**30
"""Python with torch, pieces of the features, and the features themselves."""
CLASSES_GB = 1.0
"""Python with torch, features, means and W in float64, and tiles; a matrix of classes by classes would be 20 GB."""
SCAN_GB = 1.8 + 0.55 * CORES
"""The driver with a million cells and their names, and what is a worker's own."""
VERIFY_GB = 0.5 + 0.5 * CORES
"""Python with torch and numba; a core's points, temporaries and Lanczos vectors. It must not grow with the starts."""
SECONDS_WITH_ROWS = 60


def peak(words: Sequence[str], rows: Path | None = None) -> tuple[float, int, float]:
    """Start a process; its peak resident memory in GB with all of its children, exit code, and time.

    Args:
        words: after `python`.
        rows: a folder; the process is stopped as by Ctrl-C a minute after a new file appears there. Default: never.
    """
    began, stop_at = time.monotonic(), math.inf
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before, most = _files(rows), 0.0
    while process.poll() is None:
        most = max(most, sum(map(_resident, _family(process.pid))) / 2**30)
        if stop_at == math.inf and _files(rows) > before:
            stop_at = time.monotonic() + SECONDS_WITH_ROWS
        if time.monotonic() > stop_at:
            process.send_signal(signal.SIGINT)
            stop_at = math.inf
        time.sleep(0.05)
    return most, process.returncode, time.monotonic() - began


def _files(folder: Path | None) -> int:
    return len(os.listdir(folder)) if folder and folder.exists() else 0


def _family(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(child))]


def _resident(pid: int) -> int:
    """Memory that is this process's; pages shared with others, such as those of a child just forked, in equal parts."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def main() -> int:
    """One line per request; exit code 1 when one takes more than its bound."""
    with tempfile.TemporaryDirectory() as folder:
        scan = f"{folder}/scan"
        rows = Path(scan, "shards")
        requests = (
            ("1,000,000 features of dimension 512 through the metrics", ("-c", MANY_FEATURES), None, FEATURES_GB),
            ("50,257 classes in 64 dimensions, every metric", ("-c", MANY_CLASSES), None, CLASSES_GB),
            ("a scan of 1,000,000 cells, stopped", ("-m", *MANY_CELLS, "--out", scan), rows, SCAN_GB),
            ("the same scan resumed, stopped", ("-m", "ufm", "scan", "--resume", scan), rows, SCAN_GB),
            ("verify with 100,000 starts", ("-m", *MANY_STARTS, "--out", f"{folder}/verify"), None, VERIFY_GB),
        )
        kept = True
        for name, words, watched, bound in requests:
            most, code, took = peak(words, watched)
            fits = most <= bound and code in ((0,) if watched is None else (130,))
            kept = kept and fits
            verdict = "within" if fits else "NOT within"
            print(f"{name}: {most:.2f} GB, {verdict} {bound:.1f} GB; exit code {code}, {took:.0f} s", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs and their children ignore it
    sys.exit(main())
