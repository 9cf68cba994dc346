"""M layers with ReLU between them and no shifts have 1/2 sum_l |A_l|^2 >= (M/2) (|Z|_*/|X|_op)^(2/M), Z the logits of
inputs X: K = 3, M = 2 and 3, none of 1,200 random networks is below, nor is one that descended to the lowest ratio.

Theme: trained networks

Source: Shang et al. 2020 (the Schatten quasi-norm that linear layers pay); with ReLU and data, derived here

Evidence: numeric (floating point), 3 classes, 4 images, widths 4, an attempt to refute. The proof: |Z|_* <= |A_M|_F
|H|_F, |relu(A H)|_F <= |A H|_F <= |A|_F |H|_F, |A_1 X|_F <= |A_1|_F |X|_op, and arithmetic against geometric mean.
Linear layers pay (M/2) sum_r s_r^(2/M) of the singular values of Z X^+, more than the power of their sum unless M = 2
or one is alone. Constructed networks attain the bound: M = 2 with unit inputs that go through, Z = z I, and M = 3 at
rank one. Which features a ReLU network finds cheapest at M > 2 is not derived.

False twin: the exponent 2/(M - 1), one layer too few, with (M - 1)/2 before it.
"""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from theory_checks.random_starts import ROUNDING, none_is_below, starts_at_scales
from theory_checks.verdict import Verdict, cross_check

K, N, WIDTH = 3, 4, 4
STARTS, DESCENTS = 1200, 30


def check() -> Verdict:
    """All layers count."""
    return _verdict(0)


def refuted() -> Verdict:
    """One does not."""
    return _verdict(1)


def _verdict(fewer: int) -> Verdict:
    findings = []
    for M in (2, 3):
        points = starts_at_scales(sum(_lengths(M)), STARTS)
        excess, name = partial(_log_ratio, M=M, counted=M - fewer), f"M = {M}, log of the {{}} networks' ratio"
        findings += none_is_below(excess, points, DESCENTS, 200, name)
        attained = abs(float(_log_ratio(_constructed(M)[None], M, M - fewer)))
        findings.append(cross_check(f"M = {M}, log of the constructed network's ratio", attained, ROUNDING))
    return Verdict.of(
        "numeric",
        findings,
        sizes=f"K = {K}, {N} images, M = 2 and 3, widths {WIDTH}",
        margin_is="least log of penalty over bound (rounding allowed)",
        starts=STARTS,
    )


def _lengths(M: int) -> list[int]:
    """Inputs, hidden layers, the last one."""
    return [WIDTH * N, *[WIDTH * WIDTH] * (M - 1), K * WIDTH]


def _log_ratio(x: Float[Tensor, "B P"], M: int, counted: int) -> Float[Tensor, " B"]:
    """log of the penalty over the bound with `counted` layers."""
    inputs, *hidden, last = x.split(_lengths(M), -1)  # type: ignore[no-untyped-call]
    X = inputs.unflatten(-1, (WIDTH, N))
    H = X
    for matrix in hidden:
        H = (matrix.unflatten(-1, (WIDTH, WIDTH)) @ H).relu()
    Z = last.unflatten(-1, (K, WIDTH)) @ H
    squares = torch.stack([part.square().sum(-1) for part in (*hidden, last)]).sum(0)
    size = torch.linalg.matrix_norm(Z, "nuc") / torch.linalg.matrix_norm(X, 2)
    return (squares / 2).log() - math.log(counted / 2) - 2 / counted * size.clamp_min(1e-300).log()


def _constructed(M: int) -> Float[Tensor, " P"]:
    """M = 2: unit vectors as inputs, each sent on to a class of its own; M = 3: one of them alone."""
    rank = K if M == 2 else 1
    kept = torch.diag((torch.arange(WIDTH) < rank).double())
    return 2.0 * torch.cat(
        [torch.eye(WIDTH, N, dtype=torch.float64).flatten() / 2, *[kept.flatten()] * (M - 1), kept[:K].flatten()]
    )
