"""With equal class sizes a residual stream of J batch normalisations behind a ReLU pays at least k = K/((K - 1) J) for
its features: |theta|^2 >= k mean_k |mu_k - mu_G|^2, theta their scales and shifts, and some networks pay no more.

Theme: trained networks

Source: Zhu et al. 2021 (features with a decay of their own); what a network pays is derived here,
for ResNets whose projections are normalised and whose blocks end in a ReLU

Evidence: symbolic, derived here, for all K >= 2, J >= 1 and eps >= 0. Per channel, root mean squares over images and
pixels: |h| <= |x_J| <= sum |u_j| <= sum t_j <= sqrt(J sum t_j^2), t_j^2 = gamma_j^2 + beta_j^2. Checked are the
moments, Cauchy as a sum of squares, what class means without negative inner products have in common, and the price
of the constructed network (J equal maps, each a/J times the one-hot label). In this docstring alone: Jensen (pooling;
class means against their samples), |relu u| <= |u|, the triangle inequality.

False twin: J - 1 normalisations.
"""

from collections.abc import Callable
from typing import Any

import sympy

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """J of them."""
    return _verdict(lambda J: J)


def refuted() -> Verdict:
    """One too few."""
    return _verdict(lambda J: J - 1)


def _verdict(counted: Callable[..., Any]) -> Verdict:
    q, J, gamma, v, eps, a = sympy.symbols("q J gamma v eps a", positive=True)
    beta, first = sympy.symbols("beta first", real=True)
    second, squares, products = sympy.symbols("second squares products", positive=True)
    K = q + 1
    price = K / ((K - 1) * counted(J))
    moment = gamma**2 * v / (v + eps) + beta**2
    spread = second - 2 * (first / J) * first + J * (first / J) ** 2  # sum (t_j - mean t)^2
    centred = squares / K - (squares + 2 * products) / K**2  # mean |mu_k|^2 - |mu_G|^2
    mean, variance = a / (J * K), (a / J) ** 2 * (1 / K - 1 / K**2)  # of one map of the constructed network
    paid = J * K * (variance + mean**2)
    between = a**2 / K * (K - 1)
    return Verdict.of(
        "symbolic",
        [
            step("eps > 0: gamma^2 + beta^2 exceeds the mean square", is_positive(gamma**2 + beta**2 - moment)),
            step("eps = 0: it is the mean square", is_zero(gamma**2 + beta**2 - moment.subs(eps, 0))),
            step("J sum t^2 - (sum t)^2 = J sum (t - mean)^2", is_zero(J * second - first**2 - J * spread)),
            step(
                "mean |mu|^2 exceeds K/(K-1) of the centred by the inner products",
                is_zero(squares / K - K / (K - 1) * centred - 2 * products / (K * (K - 1))),
            ),
            step("the constructed network pays the price", is_zero(paid - price * between)),
            step("the chain's factors are the price", is_zero(K / (K - 1) / J - price)),
        ],
        sizes="all K >= 2, J >= 1, eps >= 0",
    )
