"""Head and criteria within `torch.compile`, in a process of its own: the tests' type checker cannot be compiled."""

import subprocess
import sys
from shutil import which

import pytest

CODE = """
import torch
from torch import nn
from deepnet.nn import Criterion, DotRegressionLoss, ETFClassifier
from ufm import LabelSmoothing, SquaredError

net, x, y = nn.Sequential(nn.Linear(6, 8), ETFClassifier(8, 4, normalize=True)), torch.randn(5, 6), torch.arange(5) % 4
torch.testing.assert_close(torch.compile(net, fullgraph=True)(x), net(x))
for criterion in (Criterion(LabelSmoothing(0.1)), Criterion(SquaredError()), DotRegressionLoss()):
    compiled = torch.compile(criterion, fullgraph=True)
    torch.testing.assert_close(compiled(net(x), y), criterion(net(x), y))
    for wrong in (y + 1, y - 1):
        try:
            compiled(net(x), wrong)
        except RuntimeError:  # the device's assertion, not our sentence
            print("refused")
"""


@pytest.mark.slow
@pytest.mark.skipif(which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["refused"] * 6), done.stderr[-2000:]
