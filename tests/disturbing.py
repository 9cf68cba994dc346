"""Starting commands and stopping them: `kill -9` of the process, or Ctrl-C, which reaches its workers as well."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
SIGNS = (signal.SIGKILL, signal.SIGINT)
MOMENTS = 20


def start(*words: object) -> subprocess.Popen[str]:
    """`python -m words`, in a process group of its own as a shell starts it."""
    command = [sys.executable, "-m", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes)


def undisturbed(*words: object) -> float:
    """Run to the end; the seconds it took."""
    began = time.monotonic()
    output, _ = (process := start(*words)).communicate()
    assert process.returncode == 0, output
    return time.monotonic() - began


def disturbed(words: list[object], seconds: float, sign: signal.Signals) -> int:
    """Start, stop at a random moment of `seconds`, wait; the exit code."""
    process = start(*words)
    with suppress(subprocess.TimeoutExpired):
        process.wait(random.uniform(0.3, 1.1 * seconds))
    return stopped(process, sign)


def stopped(process: subprocess.Popen[str], sign: signal.Signals) -> int:
    """Send the signal, wait; the exit code, 0 if the process had ended before."""
    if process.poll() is None:
        (os.killpg if sign == signal.SIGINT else os.kill)(process.pid, sign)
    output, _ = process.communicate(timeout=600)
    expected = {0, -sign} | ({130} if sign == signal.SIGINT else set())
    assert process.returncode in expected, output
    assert "Traceback" not in output or process.returncode == -sign, output
    return process.returncode
