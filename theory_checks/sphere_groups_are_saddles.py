"""On unit spheres G equal groups of classes on a G-simplex, h = w, are a strict saddle for every tau > 0 if d >= G.

Source: Yaras et al. 2022 (normalised features), other critical points are strict saddles: for these; derived here

Evidence: symbolic. a is a unit vector orthogonal to the G group vectors. Classes j of one group of size m >= 2 move by
s_j a, their features alike, with sum s_j = 0. Logits change only at second order, and the second derivative along these
great circles is 2 (tau/K) (rho - 1) sum s_j^2, rho = (1 - P) G/(G - 1), P the probability of a sample's own group (P =
1/(1 + (G - 1) e^(-tau G/(G - 1)))). rho < 1 iff P > 1/G, which holds for every tau > 0. Along explicit circles the
derivative is computed from the loss itself, for one pair and n = 1; the negative count (d - 1)(K - G) is measured once.

False twin: the opposite movement of the features, whose curvature is 2 (tau/K)(rho + 1).
"""

import sympy
import torch
from sympy import Expr

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step

GROUPS = [(2, 2), (2, 3), (3, 2), (4, 2)]
"""(G, m)."""
CASE = (4, 2, 6, 2.0)
"""K, G, d, tau of the spectrum."""


def check() -> Verdict:
    """Features move with their classifiers."""
    return _verdict(side=1)


def refuted() -> Verdict:
    """Features move against them."""
    return _verdict(side=-1)


def _verdict(side: int) -> Verdict:
    tau, spare, K = sympy.symbols("tau spare K", positive=True)
    G = 2 + sympy.Symbol("more", nonnegative=True)
    group = 1 / (1 + (G - 1) / (1 + spare))  # e^(tau G/(G - 1)) = 1 + spare > 1
    form = 2 * tau / K * ((1 - group) * G / (G - 1) - side)
    (kind, negative) = _negative_count()
    return Verdict.of(
        "symbolic",
        [
            *(
                step(
                    f"2 (tau/K)(rho - 1) sum s_j^2 is the second derivative of the loss, G = {groups}, m = {m}",
                    is_zero(_second_derivative(groups, m, tau, side) - _formula(groups, m, tau)),
                )
                for groups, m in GROUPS
            ),
            step("it is negative for all G >= 2, tau > 0", is_positive(sympy.simplify(-form))),
            step(f"measured: {negative} negative eigenvalues at (K, G, d, tau) = {CASE}", negative == kind),
        ],
        sizes=f"all tau > 0, G, m >= 2, d >= G; derivatives at (G, m) in {GROUPS}, n = 1",
    )


def _formula(groups: int, m: int, tau: Expr) -> Expr:
    group = 1 / (1 + (groups - 1) * sympy.exp(-tau * sympy.Rational(groups, groups - 1)))
    return 2 * tau / (groups * m) * ((1 - group) * sympy.Rational(groups, groups - 1) - 1) * 2


def _second_derivative(groups: int, m: int, tau: Expr, side: int) -> Expr:
    """Classes 0 and 1 turn by +-t towards a; only inner products matter: cosines between groups are -1/(G - 1)."""
    t, K = sympy.Symbol("t", real=True), groups * m
    signs = [1, -1] + [0] * (K - 2)

    def product(j: int, y: int) -> Expr:
        cosine = sympy.Integer(1) if j // m == y // m else sympy.Rational(-1, groups - 1)
        angles = t * signs[j], side * t * signs[y]
        return cosine * sympy.cos(angles[0]) * sympy.cos(angles[1]) + sympy.sin(angles[0]) * sympy.sin(angles[1])

    total = sympy.Integer(0)
    for y in range(K):
        logits = [tau * product(j, y) for j in range(K)]
        total += sympy.log(sum(sympy.exp(z - logits[y]) for z in logits)) / K
    return sympy.diff(total, t, 2).subs(t, 0)


def _negative_count() -> tuple[int, int]:
    """(d - 1)(K - G), and the negative eigenvalues of the Hessian in tangent coordinates, beyond rounding."""
    K, G, d, tau = CASE
    labels = torch.arange(K)
    points = torch.zeros(K, d, dtype=torch.float64)
    points[:, 0] = torch.tensor([1.0] * (K // G) + [-1.0] * (K // G), dtype=torch.float64)

    def value(tangent: torch.Tensor) -> torch.Tensor:
        moved = points.repeat(2, 1) + torch.nn.functional.pad(tangent.view(2 * K, d - 1), (1, 0))
        unit = torch.nn.functional.normalize(moved, dim=1)
        return torch.nn.functional.cross_entropy(tau * unit[K:] @ unit[:K].T, labels)

    hessian = torch.func.hessian(value)(torch.zeros(2 * K * (d - 1), dtype=torch.float64))
    eigenvalues = torch.linalg.eigvalsh(hessian)
    return (d - 1) * (K - G), int((eigenvalues < -1e-10 * eigenvalues[-1]).sum())
