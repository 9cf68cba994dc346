"""Spheres, d >= 2: where all features and weights coincide, the Riemannian Hessian has exactly the eigenvalues
+-tau/(K sqrt n) and 0.

Theme: spheres and codes

Source: Yaras et al. 2022 (normalised features), strict saddles; this point for every temperature, derived here

Evidence: symbolic. With tangent vectors a_k, g_i at the common point, <w_j, h_i> = 1 - |a_j - g_i|^2/2 to second order
and nothing at first; all probabilities are 1/K. The second-order term is (tau/2N) sum_i [|a_y - g_i|^2 - mean_j |a_j -
g_i|^2] = -(tau/N) sum_i <a_y - mean a, g_i>, whose matrix couples a and g by -(tau/N)(I - 11'/K) (x) 1_n' per tangent
dimension: eigenvalues +-tau/(K sqrt n), (K - 1)(d - 1) times each. Numeric cross-check with the Hessian at K = 4, d =
6, n = 2.

False twin: eigenvalues +-tau/K.
"""

import sympy
import torch

from theory_checks.symbols import is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step


def check() -> Verdict:
    """tau/(K sqrt n)."""
    return _verdict(sympy.Rational(1, 2))


def refuted() -> Verdict:
    """tau/K."""
    return _verdict(sympy.Integer(0))


def _verdict(power: sympy.Expr) -> Verdict:
    K, n, tau = sympy.symbols("K n tau", positive=True)
    claimed = tau / (K * n**power)
    # A sample with tangent g, its class's a; the mean and the mean square of all K. Inner products act like products.
    a, g, mean, square = sympy.symbols("a g mean square", real=True)
    form = ((a - g) ** 2 - (square - 2 * mean * g + g**2)) / 2
    coupling = -(a - mean) * g
    # |(I - 11'/K) (x) 1_n'| = sqrt(n): the square is n (I - 11'/K).
    norm = tau / (n * K) * sympy.sqrt(n)
    return Verdict.of(
        "symbolic",
        [
            step(
                "a sample's second-order term is -<a_y - mean a, g> and (|a_y|^2 - mean |a|^2)/2, zero in sum",
                is_zero(form - coupling - (a**2 - square) / 2),
            ),
            step("its norm is the claimed eigenvalue", is_zero(norm - claimed)),
            _dense(power),
        ],
        sizes="all K >= 2, n, d >= 2, tau > 0; cross-check K = 4, d = 6, n = 2, tau = 5",
    )


def _dense(power: sympy.Expr) -> Finding:
    """f of normalised variables has on unit vectors the Riemannian Hessian, and zeros along the radii."""
    K, d, n, tau = 4, 6, 2, 5.0
    x = torch.zeros((K + K * n) * d, dtype=torch.float64)
    x[::d] = 1.0
    labels = torch.arange(K).repeat_interleave(n)

    def value(x: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize(x.view(-1, d), dim=1)
        return torch.nn.functional.cross_entropy(tau * unit[K:] @ unit[:K].T, labels)

    hessian = torch.func.hessian(value)(x)
    eigenvalues = torch.linalg.eigvalsh(hessian)
    expected = torch.zeros_like(eigenvalues)
    count = (K - 1) * (d - 1)
    expected[:count], expected[-count:] = -tau / (K * n ** float(power)), tau / (K * n ** float(power))
    return cross_check("spectrum against the dense Hessian", float((eigenvalues - expected).abs().max()), 1e-13)
