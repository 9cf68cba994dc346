"""At the minimiser the loss's Hessian in W (or H) has condition number K - (K - 1)(K c + delta): less with smoothing.

Source: Guo et al. 2024, condition number (which Hessian the paper means was not to be had; this is one on which it
holds)

Evidence: symbolic for all K >= 3. Per sample, diag(p) - p p' with label probability p and r elsewhere has the
eigenvalues K p r on e_y - 1/K, r on the other K - 2 directions and 0 on 1. The H-block is a multiple of it between
balanced factors. The W-block is diag(A_1..A_K) on matrices with columns X_k and sum X_k = 0: X = I - 11'/K has K p r,
columns orthogonal to 1 and e_k have r, and between lie all others orthogonal to the kernel. So both blocks have the
ratio K p. With the decays added the order is the other way round: `label_smoothing_worsens_the_hessian_with_decays`.

False twin: the ratio p.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, step


def check() -> Verdict:
    """Ratio K p."""
    return _verdict(lambda K, p: K * p)


def refuted() -> Verdict:
    """Ratio p."""
    return _verdict(lambda K, p: p)


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
        ],
        sizes="all K >= 3, n, decays with K c + delta < 1",
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
