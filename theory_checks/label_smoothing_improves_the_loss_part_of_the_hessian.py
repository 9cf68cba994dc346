"""At the minimiser, K >= 3 and K c + delta < 1, the loss's Hessian in W (or in H) has, off its kernel, the condition
number K - (K - 1)(K c + delta): less with smoothing.

Theme: label smoothing

Source: Guo et al. 2024, condition number (which Hessian the paper means is not known to us; this is one on which it
holds)

Evidence: symbolic for all K >= 3, n, d >= K - 1 and decays. Per sample, diag(p) - p p' with label probability p and r
elsewhere has the eigenvalues K p r on e_y - 1/K, r on the other K - 2 directions and 0 on 1. The H-block is a multiple
of it between balanced factors. The W-block is diag(A_1..A_K) on matrices with columns X_k and sum X_k = 0. Those
orthogonal to its kernel have columns orthogonal to 1, so its eigenvalues lie between: X = I - 11'/K has K p r, and the
matrix with columns e_(k+1) - e_(k-1) (indices mod K) has r. So both blocks have the ratio K p. With the decays added
the order is the other way round: `label_smoothing_worsens_the_hessian_with_decays`. Cross-check: blocks of dense
Hessians.

False twin: the ratio (K - 1) p, without the label's own share.
"""

from collections.abc import Callable
from typing import Any

import sympy
import torch

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.losses import LabelSmoothing
from ufm.model.problem import Problem
from ufm.solve.hessian import dense_hessian
from ufm.theory.prediction import predict, predicted_point


def check() -> Verdict:
    """Ratio K p."""
    return _verdict(lambda K, p: K * p)


def refuted() -> Verdict:
    """Ratio (K - 1) p."""
    return _verdict(lambda K, p: (K - 1) * p)


def _verdict(ratio: Callable[..., Any]) -> Verdict:
    K, c, delta = sympy.symbols("K c delta", positive=True)
    r = c + delta / K
    p = 1 - (K - 1) * r
    kappa = ratio(K, p)
    return Verdict.of(
        "symbolic",
        [
            *_eigenvectors(K, p, r),
            step("the quotient is the claimed one", is_zero(K * p * r / r - kappa)),
            step("it is K - (K - 1)(K c + delta)", is_zero(kappa - (K - (K - 1) * (K * c + delta)))),
            step("it falls as delta rises", is_positive(-sympy.diff(kappa, delta).subs(K, c + 2))),
            *(_dense(alpha, ratio) for alpha in (0.0, 0.3)),
        ],
        sizes="all K >= 3, n, d >= K - 1, decays with K c + delta < 1; blocks at K = 5, d = 6, n = 2",
    )


def _eigenvectors(K: sympy.Expr, p: sympy.Expr, r: sympy.Expr) -> list[Finding]:
    """Vectors (x, y, y', z, .., z) with x at the label and K - 3 equal last entries stand for all."""
    vectors = {
        "e_y - 1/K: eigenvalue K p r": ((K - 1, -1, -1, -1), K * p * r),
        "one other class against another: eigenvalue r": ((0, 1, -1, 0), r),
        "1: eigenvalue 0": ((1, 1, 1, 1), sympy.Integer(0)),
    }
    found = []
    for text, (v, eigenvalue) in vectors.items():
        inner = p * v[0] + r * (v[1] + v[2] + (K - 3) * v[3])
        entries = (weight * (entry - inner) - eigenvalue * entry for weight, entry in zip((p, r, r, r), v, strict=True))
        found.append(step(text, all(is_zero(entry) for entry in entries)))
    return found


def _dense(alpha: float, ratio: Callable[..., Any]) -> Finding:
    """Extreme eigenvalues of both blocks less their decay, off the kernel."""
    K, d, n = 5, 6, 2
    problem = Problem(LabelSmoothing(alpha), K=K, d=d, n=n, decay_W=4e-3, decay_H=1e-3)
    prediction = predict(problem)
    matrix = dense_hessian(problem, predicted_point(problem, prediction)[None])[0]
    worst = 0.0
    for block, decay in ((slice(0, K * d), 4e-3), (slice(K * d, K * (1 + n) * d), 1e-3)):
        eigenvalues = torch.linalg.eigvalsh(matrix[block, block]) - decay
        kept = eigenvalues[eigenvalues > 1e-9 * eigenvalues[-1]]
        worst = max(worst, abs(float(kept[-1] / kept[0]) / ratio(K, prediction.p_y) - 1))
    return cross_check(f"alpha = {alpha}: blocks of the dense Hessian, relative", worst, 1e-10)
