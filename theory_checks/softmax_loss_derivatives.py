"""Cross entropy and focal loss have logit gradient psi' u and Hessian psi'' u u' + psi' (diag w - w w').

Theme: minimisers

Source: Zhou et al. 2022 (all losses), the losses; their derivatives are derived here

Evidence: symbolic. With x = log sum_{j != y} e^{z_j} - z_y, 1 - p = e^x/(1 + e^x): for every function psi(x) the
gradient is psi' u and the Hessian psi'' u u' + psi' (diag w - w w'), w the softmax over j != y and u = w - e_y, for
every K: the entries of a label and two other classes, with a symbol for all other exponentials, stand for all. Focal
loss (1 - p)^g (-log p) has psi' = (1 - p)^g (1 - p - g p log p) and psi'' = p (1 - p)^g [(2 g + 1)(1 - p) - g (g p - (1
- p)) log p]; cross entropy is g = 0. Cross-check: `ufm/model/losses.py` against these formulas at 40 digits, for
deficits between -30 and 30.

False twin: psi'' with g + 1 in place of 2 g + 1.
"""

import sympy
from sympy import Expr, Matrix

from theory_checks.symbols import is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step

GAMMAS = [0.5, 1.0, 2.0, 3.0, 10.0]
ALLOWED = 1e-12
"""Relative: rounding of the exponent g log(1 - p), of size at most 10 x 30, times the unit 1e-16, and a few steps."""


def check() -> Verdict:
    """With the right constant."""
    return _verdict(factor=2)


def refuted() -> Verdict:
    """With a wrong one."""
    return _verdict(factor=1)


def _verdict(factor: int) -> Verdict:
    x, g = sympy.Symbol("x", real=True), sympy.Symbol("g", positive=True)
    log_p = -sympy.log(1 + sympy.exp(x))
    q = sympy.exp(x) / (1 + sympy.exp(x))
    p = 1 / (1 + sympy.exp(x))
    focal = q**g * -log_p
    slope = q**g * (q - g * p * log_p)
    curvature = p * q**g * ((factor * g + 1) * q - g * (g * p - q) * log_p)
    return Verdict.of(
        "symbolic",
        [
            step("gradient and Hessian for every psi, every K", _is_derivative()),
            step("psi' of focal loss", is_zero((sympy.diff(focal, x) - slope) / q**g)),
            step("psi'' of focal loss", is_zero(sympy.expand_log((sympy.diff(slope, x) - curvature) / q**g))),
            step("cross entropy is g = 0", is_zero(slope.subs(g, 0) - q) and is_zero(curvature.subs(g, 0) - p * q)),
            *(_against_code(x, g, slope, curvature, gamma) for gamma in GAMMAS),
        ],
        sizes=f"all logits, all K, all gamma > 0; code at gamma in {GAMMAS}",
        margin_is="identities are exact; decimal digits of the cross-check",
    )


def _is_derivative() -> bool:
    """For an undefined function of the deficit; the label's logit, two others (K = 2: one), the sum of the rest."""
    z = sympy.symbols("z:3", real=True)
    rest = sympy.Symbol("rest", nonnegative=True)
    x = sympy.Symbol("x")
    psi = sympy.Function("psi")
    total = sympy.exp(z[1]) + sympy.exp(z[2]) + rest
    deficit = sympy.log(total) - z[0]
    w = Matrix([0, sympy.exp(z[1]) / total, sympy.exp(z[2]) / total])
    u = w - Matrix([1, 0, 0])
    slope, curvature = (sympy.diff(psi(x), x, order).subs(x, deficit).doit() for order in (1, 2))
    gradient = Matrix([sympy.diff(psi(deficit), entry).doit() for entry in z])
    hessian = gradient.jacobian(Matrix(z))
    first, second = gradient - slope * u, hessian - curvature * u * u.T - slope * (sympy.diag(*w) - w * w.T)
    return all(is_zero(entry.doit()) for entry in [*first, *second])


def _against_code(x: Expr, g: Expr, slope: Expr, curvature: Expr, gamma: float) -> Finding:
    import torch

    from ufm.model.losses import Focal

    points = torch.linspace(-30, 30, 13, dtype=torch.float64)
    worst = 0.0
    for formula, code in ((slope, Focal(gamma).slope(points)), (curvature, Focal(gamma).curvature(points))):
        for point, value in zip(points.tolist(), code.tolist(), strict=True):
            exact = formula.subs({g: sympy.Rational(gamma), x: sympy.Rational(point)}).evalf(40)
            worst = max(worst, float(abs(sympy.Rational(value) / exact - 1)))
    return cross_check(f"gamma = {gamma:g}: slope and curvature in the code, relative", worst, ALLOWED)
