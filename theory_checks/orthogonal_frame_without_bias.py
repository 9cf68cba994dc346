"""Squared error without bias, d >= K: W W' = (1 - K c) sqrt(n decay_H/decay_W) I, w_k parallel to h_k; zero iff K c >=
1.

Theme: squared error

Source: Tirer and Bruna 2022, regularised squared error without bias

Evidence: symbolic, derived here: each of the K singular values sqrt(n) of Y decouples (von Neumann), and (x - sqrt
n)^2/(2N) + s x with s = sqrt(decay_W decay_H) is least at x = sqrt(n) - N s = sqrt(n)(1 - K c), strictly convex; norms
from decay_W |W|^2 = decay_H |H|^2. Numeric cross-check: the model minimised from random starts.

False twin: the threshold K c >= 0.99.
"""

import sympy
import torch

from theory_checks.random_starts import all_converged, starts_at_scales
from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.losses import SquaredError
from ufm.model.problem import Problem
from ufm.solve.minimise import minimise


def check() -> Verdict:
    """Threshold K c = 1."""
    return _verdict(sympy.Integer(1))


def refuted() -> Verdict:
    """Threshold K c = 0.99."""
    return _verdict(sympy.Rational(99, 100))


def _verdict(threshold: sympy.Expr) -> Verdict:
    K, n, lW, lH, x = sympy.symbols("K n decay_W decay_H x", positive=True)
    N, s, c = n * K, sympy.sqrt(lW * lH), sympy.sqrt(n * lW * lH)
    energy = (x - sympy.sqrt(n)) ** 2 / (2 * N) + s * x
    best = sympy.sqrt(n) * (1 - K * c)
    square_w, square_h = (1 - K * c) * sympy.sqrt(n * lH / lW), (1 - K * c) * sympy.sqrt(lW / (n * lH))
    slope_at_zero = sympy.diff(energy, x).subs(x, 0)  # >= 0 iff zero is the minimiser on x >= 0
    at_threshold = sympy.simplify(slope_at_zero.subs(lH, (threshold / K) ** 2 / (n * lW)))
    return Verdict.of(
        "symbolic",
        [
            step("the singular value sqrt(n)(1 - K c) is stationary", is_zero(sympy.diff(energy, x).subs(x, best))),
            step("the energy is strictly convex", is_positive(sympy.diff(energy, x, 2))),
            step("its slope at zero vanishes at the threshold", is_zero(at_threshold)),
            step("|w_k| |h_k| is the logit 1 - K c", is_zero(square_w * square_h - (1 - K * c) ** 2)),
            step("decay_W |W|^2 = decay_H |H|^2", is_zero(lW * K * square_w - lH * N * square_h)),
            *_numeric(),
        ],
        sizes="all K, n, d >= K, decays > 0; cross-check at K = 4, d = 6, n = 3",
        starts=12,
    )


def _numeric() -> list[Finding]:
    problem = Problem(SquaredError(), K=4, d=6, n=3, decay_W=5e-3, decay_H=1e-3, decay_b=None)
    ends = minimise(problem, starts_at_scales(problem.size, 12), tolerance=1e-11)
    W, _, _ = problem.unpack(ends.x)
    scale = (1 - 4 * (3 * 5e-6) ** 0.5) * (3 * 1e-3 / 5e-3) ** 0.5
    worst = float((W @ W.mT - scale * torch.eye(4, dtype=torch.float64)).abs().max())
    # A gradient of 1e-11 over the least curvature across the rotations, 1e-3, leaves 1e-8 in W and
    # with |w| < 1 less than 1e-7 in W W'.
    return [all_converged(ends), cross_check("W W' against the formula", worst, 1e-7)]
