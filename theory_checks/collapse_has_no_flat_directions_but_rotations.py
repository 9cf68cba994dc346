"""Cross entropy, K = 3..10: at the ETF the Hessian is positive but for rotations and a constant in a free bias.

Source: Zhu et al. 2021, Theorem 3.1 (the minimiser is unique up to rotation: here its second-order part)

Evidence: interval, over all margins a in [0.05, 20], K = 3..10, n = 1, 10, 100, equal decays, free bias. By the
symmetry of the classes the Hessian splits into blocks (derived here): apart from the zeros, multiples of the identity
by sums of the decays with non-negative terms, 2 x 2 blocks of trace (decay_W + decay_H)(1 + t) and determinant 4 t
decay_W decay_H, t = a/K or a p, and one 4 x 4 block (standard representation: W, H and bias mixed), whose pivots are
covered by balls. That block and the number of zeros are cross-checked with the dense spectrum at K = 4, d = 6, n = 3.

False twin: the block with twice the coupling of W and H, as if the gradient in the logits had norm 2 s.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from theory_checks.verdict import Finding, Verdict, cross_check, positive
from ufm.hessian import dense_hessian
from ufm.losses import CrossEntropy
from ufm.prediction import predict, predicted_point
from ufm.problem import Problem


def check() -> Verdict:
    """The block of the Hessian."""
    return _verdict(1.0)


def refuted() -> Verdict:
    """A coupling twice as large."""
    return _verdict(2.0)


def _verdict(coupling: float) -> Verdict:
    from theory_checks.intervals import least, positive_on

    covers = [
        positive_on(partial(_least_pivot, K=K, n=n, coupling=coupling), 0.05, 20.0)
        for K in range(3, 11)
        for n in (1, 10, 100)
    ]
    balls = sum(cover.balls for cover in covers)
    return Verdict.of(
        "interval",
        [positive(f"smallest pivot of the block ({balls} balls), at least", least(*covers)), _dense()],
        margin_is="smallest pivot of the block over the decay, lower bound",
        sizes="K = 3..10, n = 1, 10, 100, d >= K - 1, a in [0.05, 20]; cross-check K = 4, d = 6, n = 3",
    )


def _form(a: Any, p: Any, root_n: Any, K: Any, coupling: float, root: Callable[[Any], Any]) -> list[list[Any]]:
    """The block over the decay in the variables (x, y, beta, z): W along the class, H along it twice, bias.

    Curvatures of the loss over the decay: K sqrt(n) p along e_y - 1/K, sqrt(n) across. |w| ~ (a sqrt n)^(1/2) and
    |h| ~ (a / sqrt n)^(1/2) at equal decays.
    """
    w, h = root(a * root_n), root(a / root_n)
    A = [h / root(1 - 2 / K), 0, 0, w / root_n / root(1 - 2 / K)]
    B = [-A[0] / K, w / root_n / root(K), 1, -A[3] / K]
    along = [x + y * K / (K - 1) for x, y in zip(A, B, strict=True)]
    form = [
        [p * root_n * (K - 1) / K * along[i] * along[j] + root_n * (K - 2) / (K - 1) * B[i] * B[j] for j in range(4)]
        for i in range(4)
    ]
    for i in (0, 1, 3):
        form[i][i] = form[i][i] + 1
    form[0][3] = form[3][0] = form[0][3] - coupling
    return form


def _least_pivot(a: Any, K: int, n: int, coupling: float) -> Any:
    """The least pivot of the block's elimination without exchanges: positive iff the block is."""
    from flint import arb

    def root(x: Any) -> Any:
        return arb(x).sqrt()

    K_ball = arb(K)
    M = _form(a, 1 / (1 + (K_ball - 1) * (-a).exp()), arb(n).sqrt(), K_ball, coupling, root)
    for step in range(3):
        for i in range(step + 1, 4):
            factor = M[i][step] / M[step][step]
            M[i] = [x - factor * y for x, y in zip(M[i], M[step], strict=True)]
    smallest = arb(M[0][0])
    for i in range(1, 4):
        smallest = smallest.min(arb(M[i][i]))
    return smallest


def _dense() -> Finding:
    """Every eigenvalue of the block, K - 1 times, and the number of zeros, in the dense spectrum."""
    K, d, n, decay = 4, 6, 3, 2e-3
    problem = Problem(CrossEntropy(), K=K, d=d, n=n, decay_W=decay, decay_H=decay, decay_b=0.0)
    prediction = predict(problem)
    spectrum = torch.linalg.eigvalsh(dense_hessian(problem, predicted_point(problem, prediction)[None])[0])
    p = 1 / (1 + (K - 1) * np.exp(-prediction.margin))
    block = np.linalg.eigvalsh(np.array(_form(prediction.margin, p, np.sqrt(n), K, 1.0, np.sqrt), dtype=float)) * decay
    distance = (spectrum[:, None] - torch.from_numpy(block)).abs().sort(0).values[: K - 1]
    zeros = int((spectrum.abs() < 1e-12).sum())
    worst = float(distance.max()) if zeros == (K - 1) * (2 * d - K) // 2 + 1 else float("nan")
    return cross_check(f"block against the dense spectrum ({zeros} zeros: rotations and the bias)", worst, 1e-14)
