"""Gradient descent on the model (K = 4, d = 6, n = 5): the decomposition holds at every step looked at, and L_perp <=
|grad_W|^2/(2 decay_W) vanishes.

Theme: squared error

Source: Han, Papyan, Donoho 2021 (squared error, central path), on trajectories of the unconstrained feature model

Evidence: numeric, 16 starts, 6000 steps, every 50th looked at. Without bias, decay_W the lambda of the paper. Since
grad_W = (W - W_LS) A and A >= decay_W I, the bound holds at every point; training ends on the central path.

False twin: W_LS computed without the decay.
"""

import torch

from theory_checks.verdict import DIGITS, Verdict, deviation, step
from ufm.model.losses import SquaredError
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.theory.central_path import split_along_central_path

PROBLEM = Problem(SquaredError(), K=4, d=6, n=5, decay_W=5e-3, decay_H=1e-3, decay_b=None)
STARTS, STEPS, EVERY, STEP_SIZE = 16, 6_000, 50, 0.5


def check() -> Verdict:
    """With the decay."""
    return _verdict(float(PROBLEM.decay_W))


def refuted() -> Verdict:
    """Without it."""
    return _verdict(0.0)


def _verdict(decay: float) -> Verdict:
    x = normal_starts(PROBLEM.size, 0, 0, STARTS)
    worst, ratio, beyond = 0.0, [], 0.0
    for number in range(STEPS):
        gradient = PROBLEM.value_and_gradient(x)[1]
        if number % EVERY == 0:
            loss, parts, away = _parts(x, decay)
            slope = PROBLEM.unpack(gradient).W.square().sum((-2, -1))
            worst = max(worst, float(((loss - parts - away).abs() / loss).max()))
            beyond = max(beyond, float((away / loss - slope / (2 * PROBLEM.decay_W) / loss).max()))
            ratio.append(away / loss)
        x = x - STEP_SIZE * gradient
    ratios = torch.stack(ratio)
    large = (ratios >= 1e-3).flip(0).int().cummax(0).values.sum(0)  # places up to the last at which it is large
    return Verdict.of(
        "numeric",
        [
            # Rounding, 1e-16, times the condition number of A, at most 1e4 here.
            deviation("|L - (L_NC1 + L_NC2/3 + L_perp)| / L", worst, 1e-12),
            step(f"L_perp <= |grad_W|^2 / (2 decay_W) (excess {beyond:.1g} of the loss)", beyond <= 1e-12),
            step(f"L_perp / L at the end: {float(ratios[-1].max()):.1g}, below 1e-6", ratios[-1].max() < 1e-6),
            step(
                f"L_perp < L/1000 from step {EVERY * int(large.min())} to {EVERY * int(large.max())} on, by start",
                large.max() <= len(ratios) // 4,
            ),
        ],
        margin_is=DIGITS,
        sizes="K = 4, d = 6, n = 5, no bias, decays 0.005, 0.001",
        starts=STARTS,
    )


def _parts(x: torch.Tensor, decay: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss with the decay of W, L_NC1 + L_NC2/3, L_perp."""
    W, H, _ = PROBLEM.unpack(x)
    loss = PROBLEM.loss(PROBLEM.logits(x), PROBLEM.labels()).mean(-1)
    split = split_along_central_path(H, PROBLEM.labels(), W, None, decay)
    return loss + PROBLEM.decay_W / 2 * W.square().sum((-2, -1)), split.nc1 + split.nc23, split.away
