"""In a ReLU network whose parameters all decay, each hidden unit has |u|^2 + b^2 = |v|^2 at a stationary point
(u enters it, b is its shift, v leaves it), so layers |A_{l+1}|^2 = |A_l|^2 + |b_l|^2, whatever loss, depth and data.

Theme: trained networks

Source: Sukenik et al. 2024 (deep ReLU nets with decay on every layer); the balance of gradient flow is in Du, Hu, Lee
2018, that of stationary points with decay and shifts is derived here

Evidence: symbolic, derived here. relu(s t) = s relu(t) for s > 0, so that s times u and b, and v over s,
change no output: checked for both signs of the unit's input. Along this curve the loss is constant and the penalty has
slope decay (|u|^2 + b^2 - |v|^2) at s = 1, where a stationary point has none; it is convex in log s, so that the
balanced point is the cheapest. Numeric cross-check: <u, loss gradient> + b * loss gradient = <v, loss gradient>
at every unit of 200 random networks with two hidden layers; a stationary point has -decay times itself as gradient.

False twin: without the shift, |u|^2 = |v|^2.
"""

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from theory_checks.random_starts import starts_at_scales
from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step

INPUTS, UNITS, K, N = 2, 4, 3, 9
STARTS = 200
LENGTHS = (UNITS * INPUTS, UNITS, UNITS * UNITS, UNITS, K * UNITS, K)


def check() -> Verdict:
    """The shift enters the unit."""
    return _verdict(1)


def refuted() -> Verdict:
    """It does not count."""
    return _verdict(0)


def _verdict(counted: int) -> Verdict:
    s, t, row, column, decay = sympy.symbols("s t row column decay", positive=True)
    b, log_s = sympy.symbols("b log_s", real=True)
    penalty = decay / 2 * (s**2 * row**2 + s**2 * b**2 + column**2 / s**2)
    slope = sympy.diff(penalty, s).subs(s, 1)
    claimed = decay * (row**2 + counted * b**2 - column**2)
    along = sympy.diff(penalty.subs(s, sympy.exp(log_s)), log_s, 2)
    return Verdict.of(
        "symbolic",
        [
            *(
                step(f"the output stays, {name}", is_zero(sympy.Max(0, s * x) * column / s - sympy.Max(0, x) * column))
                for name, x in {"unit on": t, "unit off": -t}.items()
            ),
            step("the penalty's slope is the difference of the squares", is_zero(slope - claimed)),
            step("convex in log s", is_positive(along)),
            *_measured(counted),
        ],
        sizes=f"all sizes and losses; {UNITS} and {UNITS} units, K = {K}",
    )


def _measured(counted: int) -> list[Finding]:
    x = starts_at_scales(sum(LENGTHS), STARTS).requires_grad_()
    (gradient,) = torch.autograd.grad(_loss(x).sum(), x)
    A, b, B, c, W, _ = (x * gradient).detach().split(LENGTHS, -1)  # type: ignore[no-untyped-call]
    into = [(A.unflatten(-1, (UNITS, INPUTS)), b), (B.unflatten(-1, (UNITS, UNITS)), c)]
    out = [B.unflatten(-1, (UNITS, UNITS)), W.unflatten(-1, (K, UNITS))]
    worst = max(
        float((rows.sum(-1) + counted * shift - columns.sum(-2)).abs().max())
        for (rows, shift), columns in zip(into, out, strict=True)
    )
    return [cross_check(f"worst unit of {STARTS} networks", worst, 1e-10)]


def _loss(x: Float[Tensor, "B P"]) -> Float[Tensor, " B"]:
    """Cross entropy of points on a circle, three classes."""
    A, b, B, c, W, e = x.split(LENGTHS, -1)  # type: ignore[no-untyped-call]
    angle = torch.arange(N, dtype=torch.float64) * 2 * torch.pi / N
    inputs = torch.stack([angle.cos(), angle.sin()], -1)
    h = (inputs @ A.unflatten(-1, (UNITS, INPUTS)).mT + b[:, None, :]).relu()
    h = (h @ B.unflatten(-1, (UNITS, UNITS)).mT + c[:, None, :]).relu()
    logits = h @ W.unflatten(-1, (K, UNITS)).mT + e[:, None, :]
    losses = logits.logsumexp(-1) - logits[:, torch.arange(N), torch.arange(N) // (N // K)]
    return losses.mean(-1)
