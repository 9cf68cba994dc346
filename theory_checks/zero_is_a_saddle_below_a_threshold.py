"""In (W, H) zero is a strict saddle iff c < 1/K (cross entropy), (1 - alpha)/K (smoothing), S(1/K)/(K - 1) (focal).

Theme: critical points

Source: Zhou et al. 2022 (all losses); Zhu et al. 2021; the constants are derived here, c = sqrt(n decay_W decay_H)

Evidence: symbolic. At zero logits (a constant bias changes nothing) the gradient of a sample's loss is -k (e_y - 1/K),
with k = 1, 1 - alpha and S(1/K) K/(K - 1), S(p) = (1 - p)^g (1 - p - g p log p), so G has singular values k/(K sqrt n),
K - 1 times (the gradient for every K: the label, one other class, and K - 2 more at logit 0). W and H enter the Hessian
only through G and the decays, in blocks [[decay_W, -s], [-s, decay_H]]: negative determinant iff k > K c; at equality
the second order does not decide. Cross-check: the least eigenvalue of the dense Hessian is that of the block.

False twin: k = S(1/K) for focal loss.
"""

import math

import sympy
from sympy import Expr, Matrix

from theory_checks.symbols import is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.problem import Problem

CASES = [(3, 3, 2, 5e-3, 1e-3), (4, 5, 2, 5e-3, 1e-3), (6, 4, 1, 2e-3, 3e-3), (5, 5, 3, 0.2, 0.1)]
ALPHA, GAMMA = 0.1, 2.0


def check() -> Verdict:
    """With the factor K/(K - 1)."""
    return _verdict(with_factor=True)


def refuted() -> Verdict:
    """Without."""
    return _verdict(with_factor=False)


def _verdict(with_factor: bool) -> Verdict:
    alpha, gamma, n, c, s, decay_W, decay_H, K = sympy.symbols("alpha gamma n c s decay_W decay_H K", positive=True)
    strength = {
        "cross entropy": sympy.Integer(1),
        "label smoothing": 1 - alpha,
        "focal loss": _focal_slope(1 / K, gamma) * (K / (K - 1) if with_factor else 1),
    }
    gradients = [
        step(f"{name}: gradient at zero logits, every K", _is_gradient(name, K, value, alpha, gamma))
        for name, value in strength.items()
    ]
    block = Matrix([[decay_W, -s], [-s, decay_H]])
    singular = sympy.Symbol("k", positive=True) / (K * sympy.sqrt(n))
    determinant = block.det().subs({s: singular, decay_W: c**2 / (n * decay_H)})
    return Verdict.of(
        "symbolic",
        [
            *gradients,
            step(
                "K^2 n det = (K c - k)(K c + k)",
                is_zero(
                    determinant * K**2 * n
                    - (K * c - sympy.Symbol("k", positive=True)) * (K * c + sympy.Symbol("k", positive=True))
                ),
            ),
            *(finding for case in CASES for finding in _against_dense(case, with_factor)),
        ],
        sizes=f"all K, n, decays, alpha, gamma > 0; spectra at (K, d, n, decays) = {CASES}",
        margin_is="identities are exact; decimal digits of the cross-check",
    )


def _focal_slope(p: Expr, gamma: Expr) -> Expr:
    return (1 - p) ** gamma * (1 - p - gamma * p * sympy.log(p))


def _is_gradient(name: str, K: Expr, strength: Expr, alpha: Expr, gamma: Expr) -> bool:
    """The derivatives in the label's logit and in that of another class, the other K - 2 logits being zero."""
    z = sympy.symbols("label other", real=True)
    lse = sympy.log(sympy.exp(z[0]) + sympy.exp(z[1]) + K - 2)
    log_p = z[0] - lse
    losses = {
        "cross entropy": -log_p,
        "label smoothing": -(1 - alpha) * log_p - alpha / K * (sum(z) - K * lse),
        "focal loss": -((1 - sympy.exp(log_p)) ** gamma) * log_p,
    }
    expected = [-strength * (1 - 1 / K), strength / K]
    slopes = [sympy.diff(losses[name], entry).subs({z[0]: 0, z[1]: 0}) for entry in z]
    return all(is_zero(slope - value) for slope, value in zip(slopes, expected, strict=True))


def _against_dense(case: tuple[int, int, int, float, float], with_factor: bool) -> list[Finding]:
    import torch

    from ufm.model.losses import CrossEntropy, Focal, LabelSmoothing
    from ufm.solve.hessian import dense_hessian

    K, _, n, decay_W, decay_H = case
    focal = (1 - 1 / K) ** GAMMA * (1 - 1 / K + GAMMA / K * math.log(K)) * (K / (K - 1) if with_factor else 1)
    findings = []
    for loss, k in ((CrossEntropy(), 1.0), (LabelSmoothing(ALPHA), 1 - ALPHA), (Focal(GAMMA), focal)):
        problem = Problem(loss, *case, decay_b=None)
        zero = torch.zeros(1, problem.size, dtype=torch.float64)
        measured = float(torch.linalg.eigvalsh(dense_hessian(problem, zero))[0, 0])
        root = math.hypot((decay_W - decay_H) / 2, k / (K * math.sqrt(n)))
        worst = abs(measured - (decay_W + decay_H) / 2 + root)
        findings.append(cross_check(f"{loss}, K = {K}, n = {n}: least eigenvalue {measured:.6g}", worst, 1e-14))
    return findings
