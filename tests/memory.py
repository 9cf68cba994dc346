"""`python -m tests.memory`: the most memory that large requests take, each in a process of its own.

A request is refused if it takes more than its bound.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
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
FEATURES_GB = 1_000_000 * 512 * 4 / 2**30


def peak(words: Sequence[str], seconds: float | None = None) -> tuple[float, int, float]:
    """Start a process; its peak resident memory in GB with all of its children, exit code, and time.

    Args:
        words: after `python`.
        seconds: when it is stopped as by Ctrl-C; never by default.
    """
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    timer = threading.Timer(seconds or 1e9, process.send_signal, [signal.SIGINT])
    timer.daemon = True
    timer.start()
    most = 0.0
    while process.poll() is None:
        most = max(most, sum(map(_resident, _family(process.pid))) / 2**30)
        time.sleep(0.05)
    timer.cancel()
    return most, process.returncode, time.monotonic() - began


def _family(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(member for child in children for member in _family(child))]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def main() -> int:
    """One line per request; exit code 1 when one takes more than its bound."""
    with tempfile.TemporaryDirectory() as folder:
        scan = f"{folder}/scan"
        requests = (
            ("1,000,000 features of dimension 512 through the metrics", ("-c", MANY_FEATURES), None, FEATURES_GB + 1.5),
            ("a scan of 1,000,000 cells, stopped after 120 s", ("-m", *MANY_CELLS, "--out", scan), 120.0, 8.0),
            ("the same scan resumed, stopped after 120 s", ("-m", "ufm", "scan", "--resume", scan), 120.0, 8.0),
            ("verify with 100,000 starts", ("-m", *MANY_STARTS, "--out", f"{folder}/verify"), None, 3.0),
        )
        kept = True
        for name, words, seconds, bound in requests:
            most, code, took = peak(words, seconds)
            fits = most <= bound and code in ((0,) if seconds is None else (0, 130))
            kept = kept and fits
            verdict = "within" if fits else "NOT within"
            print(f"{name}: {most:.2f} GB, {verdict} {bound:.1f} GB; exit code {code}, {took:.0f} s", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs and their children ignore it
    sys.exit(main())
