"""One singular direction of a product of M factors under squared error: active or zero.

With sigma the target's singular value, a direction costs (x - sigma)^2/2 + (M/2) t x^(2/M) in suitable units.
x = u^M > 0 is stationary iff u^(2M-2) - sigma u^(M-2) + t = 0; for M > 2 the larger root and zero are both local minima
(Tirer and Bruna 2022 for M = 3, Ergen and Pilanci 2021; threshold for any M in
`theory_checks/deep_linear_threshold_of_the_zero_solution.py`).
"""

from ufm.theory.roots import root


def stationary_root(sigma: float, strength: float, M: int) -> float:
    """The largest root u of u^(2M-2) - sigma u^(M-2) + strength = 0, or 0 if there is none (M >= 2)."""

    def equation(u: float) -> float:
        return u ** (2 * M - 2) - sigma * u ** (M - 2) + strength

    least = (sigma * (M - 2) / (2 * M - 2)) ** (1 / M)  # where the equation's left side is least
    if equation(least) >= 0:
        return 0.0
    most = sigma ** (1 / M)
    return root(equation, least, most) if equation(most) > 0 else most  # up to rounding, at small strengths


def energy(u: float, sigma: float, strength: float, M: int) -> float:
    """(x - sigma)^2/2 + (M/2) strength x^(2/M) at x = u^M."""
    return (u**M - sigma) ** 2 / 2 + M / 2 * strength * u * u


def best_root(sigma: float, strength: float, M: int) -> float:
    """The root where it is lower than zero, else 0."""
    u = stationary_root(sigma, strength, M)
    return u if energy(u, sigma, strength, M) < sigma**2 / 2 else 0.0
