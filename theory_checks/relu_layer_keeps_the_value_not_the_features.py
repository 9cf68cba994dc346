"""ReLU after the extra layer: same minimum as the linear one and an orthogonal frame behind the ReLU, but not before.

Source: Tirer and Bruna 2022, nonlinear extra layer: its claim on the features before the layer needs a further
condition

Evidence: numeric, 30 starts at K = 3, d = 4, n = 2, all decays 0.01, no bias. The lowest value found is compared with
the closed form of three linear factors; relu(W1 H) of the best start is an orthogonal frame, while the Gram matrix of
the class means of H has entries off its diagonal. Starts that stop higher are counted; where a start stops at a kink
its gradient need not vanish, so convergence is not asked for.

False twin: H itself is an orthogonal frame.
"""

import numpy as np
import torch

from theory_checks.random_starts import minimise_from
from theory_checks.verdict import DIGITS, Verdict, deviation, step
from ufm.starts import normal_starts

K, d, n, DECAY, STARTS = 3, 4, 2, 0.01, 30
N = n * K
TARGET = torch.eye(K, dtype=torch.float64).repeat_interleave(n, 1)


def check() -> Verdict:
    """Behind the ReLU."""
    return _verdict(behind=True)


def refuted() -> Verdict:
    """Before the layer."""
    return _verdict(behind=False)


def _verdict(*, behind: bool) -> Verdict:
    ends = minimise_from(_value, normal_starts((K + d + N) * d, 0, 0, STARTS), tolerance=1e-9, max_steps=400)
    best = int(ends.value.argmin())
    _, W1, H = torch.split(ends.x[best].view(-1, d), [K, d, N])
    frames = {True: _off_frame(torch.relu(H @ W1.mT)), False: _off_frame(H)}
    reached = int((ends.value < ends.value[best] + 1e-8).sum())
    minimum = _minimum()
    return Verdict.of(
        "numeric",
        [
            step(
                f"{reached} of {STARTS} starts at the lowest value, {int(ends.is_converged.sum())} converged", reached
            ),
            deviation(f"|f - closed form {minimum:.10f}|", abs(float(ends.value[best]) - minimum), 1e-10),
            # |gradient| 1e-9 over the decay 1e-2 gives 1e-7 in the layers.
            deviation(f"Gram matrix {'behind' if behind else 'before'}: off a multiple of I", frames[behind], 1e-6),
            step(f"before the layer it is off by {frames[False]:.2g} of its diagonal", frames[False] > 0.01),
        ],
        margin_is=DIGITS,
        sizes=f"K = {K}, d = {d}, n = {n}, decays {DECAY}, no bias",
        starts=STARTS,
    )


def _value(x: torch.Tensor) -> torch.Tensor:
    W2, W1, H = torch.split(x.view(len(x), -1, d), [K, d, N], 1)
    residual = W2 @ torch.relu(W1 @ H.mT) - TARGET
    return residual.square().sum((1, 2)) / (2 * N) + DECAY / 2 * x.square().sum(1)


def _off_frame(features: torch.Tensor) -> float:
    """Largest deviation of the class means' Gram matrix from a multiple of the identity, over that multiple."""
    means = features.view(K, n, -1).mean(1)
    gram = means @ means.mT
    size = gram.diagonal().mean()
    return float((gram / size - torch.eye(K, dtype=gram.dtype)).abs().max())


def _minimum() -> float:
    """K times the least (u^3 - sqrt n)^2/(2N) + 3/2 decay u^2 over u >= 0, u^4 - sqrt(n) u + N decay = 0."""
    u = max(root.real for root in np.roots([1, 0, 0, -np.sqrt(n), N * DECAY]) if abs(root.imag) < 1e-12)
    return float(K * ((u**3 - np.sqrt(n)) ** 2 / (2 * N) + 1.5 * DECAY * u * u))
