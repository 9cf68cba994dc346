"""`kill -9` and Ctrl-C at twenty random moments of a training: it ends as if nothing had happened, bit for bit."""

import random
import time
from pathlib import Path

import pytest

from tests.deepnet.training.test_train import assert_same_run
from tests.disturbing import MOMENTS, SIGNS, start, stopped, undisturbed
from ufm.cli.records import HALF_WRITTEN

RUN = ["deepnet", "train", "--data=digits", "--net=resnet18", "--width=0.125", "--per-class=40", "--test-per-class=3"]
RUN += ["--epochs=40", "--batch-size=20", "--lr=0.02", "--augment=true"]


def lines(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("sign", SIGNS)
def test_twenty_stops_change_nothing(tmp_path, sign):
    whole, disturbed = tmp_path / "whole", tmp_path / "disturbed"
    undisturbed(*RUN, "--out", whole)
    moments = random.Random(0)
    process = start(*RUN, "--out", disturbed)
    for moment in range(MOMENTS):
        if moment % 4 == 3:  # somewhere on its way to the first epoch
            time.sleep(moments.uniform(0.3, 3))
        else:  # an epoch, its measurement and its files take about as long as what is added
            reached = lines(disturbed) + 1
            while process.poll() is None and lines(disturbed) < reached:
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.15))
        assert process.poll() is None, f"the run ended before moment {moment + 1}"
        assert stopped(process, sign) != 0
        process = start("deepnet", "train", "--resume", disturbed)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert_same_run(disturbed, whole)
    assert list(disturbed.rglob(HALF_WRITTEN)) == []
    print(f"training, {sign.name}: stopped at {MOMENTS} moments")
