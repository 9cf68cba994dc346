"""ReLU after one extra layer (K = 3, d = 4, n = 2, decays 0.01): no random start ends below the linear minimum, and the
lowest has an orthogonal frame behind the ReLU, but not before.

Theme: more layers

Source: Tirer and Bruna 2022, nonlinear extra layer: its claim on the features before the layer needs a further
condition

Evidence: numeric, 30 starts, squared error, no bias. The lowest value found is compared with the closed form of three
linear factors; relu(W1 H) of the best start is an orthogonal frame, while the Gram matrix of the class means of H has
entries off its diagonal. Starts that stop higher are counted; where a start stops at a kink its gradient need not
vanish, so convergence is not asked for. With five classes the minimum can be lower
(`relu_pentagon_lies_below_the_linear_minimum`).

False twin: H itself is an orthogonal frame.
"""

import dataclasses

import torch

from theory_checks.verdict import DIGITS, Verdict, deviation, step
from ufm.model.deep import DeepProblem
from ufm.model.losses import SquaredError
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.theory.deep_prediction import deep_target

DECAY, STARTS = 0.01, 30
PROBLEM = DeepProblem(
    SquaredError(), K=3, d=4, n=2, decay_W=DECAY, decay_H=DECAY, decay_b=None, inner=(DECAY,), is_rectified=True
)


def check() -> Verdict:
    """Behind the ReLU."""
    return _verdict(behind=True)


def refuted() -> Verdict:
    """Before the layer."""
    return _verdict(behind=False)


def _verdict(*, behind: bool) -> Verdict:
    ends = minimise(PROBLEM, normal_starts(PROBLEM.size, 0, 0, STARTS), 1e-9, 400)
    best = int(ends.value.argmin())
    frames = {True: _off_frame(PROBLEM.unpack(ends.x[best]).H), False: _off_frame(PROBLEM.factorised(ends.x[best])[2])}
    reached = int((ends.value < ends.value[best] + 1e-8).sum())
    minimum = deep_target(dataclasses.replace(PROBLEM, is_rectified=False)).value
    return Verdict.of(
        "numeric",
        [
            step(
                f"{reached} of {STARTS} starts at the lowest value, {int(ends.is_converged.sum())} converged",
                reached > 1,
            ),
            deviation(f"|f - closed form {minimum:.10f}|", abs(float(ends.value[best]) - minimum), 1e-10),
            # |gradient| 1e-9 over the decay 1e-2 gives 1e-7 in the layers.
            deviation(f"Gram matrix {'behind' if behind else 'before'}: off a multiple of I", frames[behind], 1e-6),
            step(f"before the layer it is off by {frames[False]:.2g} of its diagonal", frames[False] > 0.01),
        ],
        margin_is=DIGITS,
        sizes=f"K = 3, d = 4, n = 2, decays {DECAY}, no bias",
        starts=STARTS,
    )


def _off_frame(features: torch.Tensor) -> float:
    """Largest deviation of the class means' Gram matrix from a multiple of the identity, over that multiple."""
    means = features.view(PROBLEM.K, PROBLEM.n, -1).mean(1)
    gram = means @ means.mT
    size = gram.diagonal().mean()
    return float((gram / size - torch.eye(PROBLEM.K, dtype=gram.dtype)).abs().max())
