"""On unit spheres, for equal class sizes, G >= 2 groups of m >= 2 classes each on a G-simplex, h = w, are a strict
saddle for every tau > 0 if d >= G.

Theme: spheres and codes

Source: Yaras et al. 2022 (normalised features), other critical points are strict saddles: for these; derived here

Evidence: symbolic. a is a unit vector orthogonal to the G group vectors. Classes j of one group of size m >= 2 move by
s_j a, their features alike, with sum s_j = 0. Logits change only at second order, and the second derivative along these
great circles is 2 (tau/K) (rho - 1) sum s_j^2, rho = (1 - P) G/(G - 1), P the probability of a sample's own group (P =
1/(1 + (G - 1) e^(-tau G/(G - 1)))). rho < 1 iff P > 1/G, which holds for every tau > 0. Along explicit circles of one
pair the derivative is computed from the loss itself, for all G, m and tau. The point is critical: by symmetry the
gradient at a vector is a combination of its own group vector and, with one weight, of the sum of the others, which is
minus it, so radial. Measured once: a gradient of zero, and (d - 1)(K - G) negative eigenvalues.

False twin: the opposite movement of the features, whose curvature is 2 (tau/K)(rho + 1).
"""

import sympy
import torch
from sympy import Expr

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step

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
    expected, negative, slope = _measured()
    return Verdict.of(
        "symbolic",
        [
            step(
                "2 (tau/K)(rho - 1) sum s_j^2 is the second derivative of the loss, all G and m",
                is_zero(_second_derivative(side) - _formula()),
            ),
            step("it is negative for all G >= 2, tau > 0", is_positive(sympy.simplify(-form))),
            step(f"measured at (K, G, d, tau) = {CASE}: largest slope {slope:.1g}", slope < 1e-15),
            step(f"and {negative} negative eigenvalues", negative == expected),
        ],
        sizes=f"all tau > 0, G, m >= 2, n, d >= G; spectrum at (K, G, d, tau) = {CASE}, n = 1",
    )


def _formula() -> Expr:
    """For s = (1, -1), with the symbols of `_second_derivative`."""
    tau, G, m = sympy.symbols("tau G m", positive=True)
    group = 1 / (1 + (G - 1) * sympy.exp(-tau * G / (G - 1)))
    return 2 * tau / (G * m) * ((1 - group) * G / (G - 1) - 1) * 2


def _second_derivative(side: int) -> Expr:
    """Two classes of one group turn by t and -t towards a, their features by `side` times that.

    Cosines are 1 within a group and -1/(G - 1) between groups; an angle t takes the factor cos t from them, and adds
    the product of the sines.
    """
    tau, G, m = sympy.symbols("tau G m", positive=True)
    t = sympy.Symbol("t", real=True)
    apart, c, s = -1 / (G - 1), sympy.cos(t), sympy.sin(t)

    def loss(own: Expr, others: list[tuple[Expr, Expr]]) -> Expr:
        """Of a sample whose own class has the inner product `own`; (how many, inner product) of the others."""
        return sympy.log(sum(count * sympy.exp(tau * (product - own)) for count, product in [(1, own), *others]))

    one = sympy.Integer(1)
    turned = loss(c**2 + side * s**2, [(one, c**2 - side * s**2), (m - 2, c), ((G - 1) * m, apart * c)])
    beside = loss(one, [(m - 3, one), (2 * one, c), ((G - 1) * m, apart)])
    outside = loss(one, [(m - 1, one), (2 * one, apart * c), ((G - 1) * m - 2, apart)])
    total = (2 * turned + (m - 2) * beside + (G - 1) * m * outside) / (G * m)
    return sympy.diff(total, t, 2).subs(t, 0)


def _measured() -> tuple[int, int, float]:
    """(d - 1)(K - G); in tangent coordinates the Hessian's negative eigenvalues beyond rounding, the largest slope."""
    K, G, d, tau = CASE
    labels = torch.arange(K)
    points = torch.zeros(K, d, dtype=torch.float64)
    points[:, 0] = torch.tensor([1.0] * (K // G) + [-1.0] * (K // G), dtype=torch.float64)

    def value(tangent: torch.Tensor) -> torch.Tensor:
        moved = points.repeat(2, 1) + torch.nn.functional.pad(tangent.view(2 * K, d - 1), (1, 0))
        unit = torch.nn.functional.normalize(moved, dim=1)
        return torch.nn.functional.cross_entropy(tau * unit[K:] @ unit[:K].T, labels)

    still = torch.zeros(2 * K * (d - 1), dtype=torch.float64)
    eigenvalues = torch.linalg.eigvalsh(torch.func.hessian(value)(still))
    negative = int((eigenvalues < -1e-10 * eigenvalues[-1]).sum())
    return (d - 1) * (K - G), negative, float(torch.func.grad(value)(still).abs().max())
