"""Cross entropy and label smoothing at their ETF, K c + alpha < 1: the Hessian is positive but for rotations and a
constant in a free bias.

Theme: critical points

Source: Zhu et al. 2021, Theorem 3.1 (the minimiser is unique up to rotation: here its second-order part)

Evidence: symbolic, derived here, for all K >= 2, n, d >= K - 1, decays (equal or not) and any decay of the bias. With P
= I - 11'/K the gradient in the logits is G = -s Q, Q = P Y'/sqrt n, Q Q' = P (`convex_duality_has_no_gap`). So along
(A, B, b) in (W, H, bias) the decays of W and H and 2 <G, A B'> add up to |sqrt(decay_W) A - sqrt(decay_H) Q B|^2 +
decay_H (|B|^2 - |Q B|^2) >= 0, which is zero iff B = Q'X, A = sqrt(decay_H/decay_W) X with 1'X = 0. The loss adds the
variance, under each sample's softmax, of the change of its logits: zero iff these change all alike. With W a multiple
of V', V'V = P, the change at the class means is D = t (X V + V'X') + b 1', t > 0; if its columns are constant, D 1 = K
b makes b constant, and then X V is skew. The centred X with X V skew (X V + V'X' takes every symmetric centred value S,
at X = S V'/2) have the dimension of the orbit of rotations, all of whose directions are of this kind. Cross-check:
number of zeros and the least other eigenvalue of dense Hessians.

False twin: no zeros but the rotations, also with a free bias.
"""

import sympy
import torch

from theory_checks.symbols import is_zero
from theory_checks.verdict import Finding, Verdict, step
from ufm.model.losses import CrossEntropy, LabelSmoothing
from ufm.model.problem import Problem
from ufm.solve.hessian import dense_hessian
from ufm.theory.prediction import predict, predicted_point

PROBLEMS = [
    Problem(CrossEntropy(), K=3, d=2, n=1, decay_W=0.02, decay_H=0.005, decay_b=None),
    Problem(CrossEntropy(), K=4, d=6, n=3, decay_W=2e-3, decay_H=2e-3, decay_b=0.0),
    Problem(CrossEntropy(), K=5, d=7, n=2, decay_W=1e-4, decay_H=1e-1, decay_b=0.0),
    Problem(LabelSmoothing(0.2), K=4, d=4, n=2, decay_W=1e-2, decay_H=1e-3, decay_b=0.03),
]


def check() -> Verdict:
    """One more zero where the bias is free."""
    return _verdict(of_bias=1)


def refuted() -> Verdict:
    """Rotations alone."""
    return _verdict(of_bias=0)


def _verdict(of_bias: int) -> Verdict:
    K, n, s, lW, lH, d, w = sympy.symbols("K n s decay_W decay_H d w", positive=True)
    h = w * sympy.sqrt(lW / (n * lH))  # W = w V', class means h V', by balance
    root = sympy.sqrt(lW * lH)
    AA, BB, AQB, QBQB = sympy.symbols("AA BB AQB QBQB", real=True)  # squares and inner products of A, B and Q B
    decays = lW * AA + lH * BB - 2 * root * AQB
    squares = (lW * AA - 2 * root * AQB + lH * QBQB) + lH * (BB - QBQB)
    mass, first, second = sympy.symbols("mass first second", real=True)  # sums of p_j, p_j v_j and p_j v_j^2
    pairs = (mass * second - 2 * first**2 + second * mass) / 2  # the sum over j, k of p_j p_k (v_j - v_k)^2 / 2
    r = K - 1
    skew = r * d - r * (r + 1) / 2  # X V + V'X' = 0 is an equation of symmetric matrices that vanish on 1
    return Verdict.of(
        "symbolic",
        [
            step("G = (c/N)(11' - K Y') = -s Q", is_zero(s * sympy.sqrt(n) * K * sympy.sqrt(n) / (n * K) - s)),
            step("the decays and the coupling are two squares", is_zero(decays - squares)),
            step("the softmax's form is that of squared differences", is_zero(pairs.subs(mass, 1) - second + first**2)),
            step("A H' and W B' enter D with one factor t", is_zero(sympy.sqrt(lH / lW) * h - w / sympy.sqrt(n))),
            step("X with X V skew: (K - 1)(2 d - K)/2 dimensions", is_zero(skew - r * (2 * d - K) / 2)),
            *(_dense(problem, of_bias) for problem in PROBLEMS),
        ],
        sizes="all K >= 2, n, d >= K - 1, decays, 0 <= alpha, K c + alpha < 1; spectra at the problems shown",
    )


def _dense(problem: Problem, of_bias: int) -> Finding:
    """The zeros are the rotations and the bias; the next eigenvalue is far above rounding."""
    matrix = dense_hessian(problem, predicted_point(problem, predict(problem))[None])[0]
    spectrum = torch.linalg.eigvalsh(matrix)
    zeros = (problem.K - 1) * (2 * problem.d - problem.K) // 2 + of_bias * (problem.decay_b == 0)
    rounding = 1e-13 * float(spectrum[-1])
    least = float(spectrum[zeros])
    holds = float(spectrum[:zeros].abs().max()) < rounding and least > 1e6 * rounding
    name = f"{problem.loss}, K = {problem.K}, d = {problem.d}, n = {problem.n}, decay_b = {problem.decay_b}"
    return step(f"{name}: {zeros} zeros, then {least:.3g}", holds)
