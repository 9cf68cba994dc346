"""One more linear layer (three factors): zero and all partially active states are local minima, and random starts end
there.

Source: Tirer and Bruna 2022, extra linear layer: its minimiser collapses, but not every start reaches it

Evidence: numeric, 200 starts at K = 3, d = 4, n = 2, all decays 0.09. Every end point has r = 0, .., 3 active singular
values u^3, u the largest root of u^4 - sqrt(n) u + N lam = 0, and the value of that state; each has a positive
semidefinite Hessian. The threshold is `deep_linear_threshold_of_the_zero_solution`.

False twin: only r = 3 occurs (no spurious minima).
"""

import numpy as np
import torch

from theory_checks.random_starts import minimise_from, starts_at_scales
from theory_checks.verdict import DIGITS, Verdict, deviation, step

K, d, n, DECAY, STARTS = 3, 4, 2, 0.09, 200
N = n * K
TARGET = torch.eye(K, dtype=torch.float64).repeat_interleave(n, 1)


def check() -> Verdict:
    """r = 0..3."""
    return _verdict(range(K + 1))


def refuted() -> Verdict:
    """r = 3."""
    return _verdict(range(K, K + 1))


def _verdict(ranks: range) -> Verdict:
    energy = _energy()
    states = torch.tensor([r * energy + (K - r) / (2 * K) for r in ranks], dtype=torch.float64)
    ends = minimise_from(_value, starts_at_scales((K + d + N) * d, STARTS), tolerance=1e-9)
    distance = (ends.value[ends.is_converged, None] - states).abs()
    nearest = distance.argmin(1)
    smallest = [
        _smallest_eigenvalue(ends.x[ends.is_converged][(nearest == i).nonzero()[0, 0]]) for i in torch.unique(nearest)
    ]
    counts = [int((nearest == i).sum()) for i in range(len(states))]
    shown = ", ".join(f"r = {r}: f = {f:.9f} in {c}" for r, f, c in zip(ranks, states.tolist(), counts, strict=True))
    return Verdict.of(
        "numeric",
        [
            step(f"{int(ends.is_converged.sum())} of {STARTS} starts converged", ends.is_converged.all()),
            # |gradient|^2 / (2 least curvature) = 1e-18 / 1e-2 and rounding.
            deviation("value against the nearest state", float(distance.min(1).values.max()), 1e-13),
            step(f"every state occurs ({shown} starts)", all(counts)),
            step(
                f"smallest Hessian eigenvalue of each: {min(smallest):.1g} (zero but for rounding)",
                min(smallest) > -1e-8,
            ),
        ],
        margin_is=DIGITS,
        sizes=f"K = {K}, d = {d}, n = {n}, decays {DECAY}, no bias",
        starts=STARTS,
    )


def _value(x: torch.Tensor) -> torch.Tensor:
    W2, W1, H = torch.split(x.view(len(x), -1, d), [K, d, N], 1)
    residual = W2 @ W1 @ H.mT - TARGET
    return residual.square().sum((1, 2)) / (2 * N) + DECAY / 2 * x.square().sum(1)


def _energy() -> float:
    """The least (u^3 - sqrt n)^2/(2N) + 3/2 lam u^2 over stationary u > 0."""
    roots = np.roots([1, 0, 0, -np.sqrt(n), N * DECAY])
    u = max(root.real for root in roots if abs(root.imag) < 1e-12)
    return float((u**3 - np.sqrt(n)) ** 2 / (2 * N) + 1.5 * DECAY * u * u)


def _smallest_eigenvalue(x: torch.Tensor) -> float:
    hessian = torch.func.hessian(lambda x: _value(x[None])[0])(x)
    return float(torch.linalg.eigvalsh(hessian)[0])
