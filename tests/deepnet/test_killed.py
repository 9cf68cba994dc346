"""`kill -9` at random moments, again and again: the run ends as if nothing had happened, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deepnet.test_train import assert_same_run

RUN = (
    "--data=digits --net=resnet18 --width=0.125 --per-class=40 --test-per-class=3 --epochs=40 --batch-size=20 --lr=0.02"
)
KILLS = 20
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


def train(*words: str | Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deepnet", "train", *map(str, words)]
    return subprocess.Popen(command, env=ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lines(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_change_nothing(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(*RUN.split(), "--lr=0.02", "--augment=true", "--out", whole).wait() == 0
    moments = random.Random(0)
    process = train(*RUN.split(), "--lr=0.02", "--augment=true", "--out", killed)
    for kill in range(KILLS):
        reached = lines(killed) + 1
        while process.poll() is None and lines(killed) < reached:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.15))  # an epoch, its measurement and its files take about that long
        assert process.poll() is None, f"the run ended before kill {kill + 1}"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = train("--resume", killed)
    assert process.wait() == 0
    assert_same_run(killed, whole)
