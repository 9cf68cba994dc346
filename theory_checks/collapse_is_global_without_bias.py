"""Balanced classes, no bias: no point of the model with cross entropy, label smoothing or focal loss lies below the ETF
ray's best.

Theme: minimisers

Source: Zhou et al. 2022 (all losses), global minimisers

Evidence: symbolic, derived here; uses `softmax_losses_are_contrastive`. Let t_i = sum_j (z_ij - z_iy). The matrix M =
(11' - K Y) D, D = diag(sign t_i), has <Z, M> = sum |t_i| and M M' = n (K^2 I - K 11'), so |M|_2 = K sqrt(n) and s |Z|_*
>= (c / N) sum |t_i| with s = sqrt(decay_W decay_H), c = s sqrt(n). Hence f >= (1/N) sum [phi(t_i) + c |t_i|], which the
ETF with the best t attains. Any d >= K - 1 and any gamma; with a trainable bias the statement is false for focal loss
(`focal_with_bias_can_beat_collapse`).

False twin: the spectral norm K n instead of K sqrt(n).
"""

import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With |M|_2 = K sqrt(n)."""
    return _verdict(sympy.Rational(1, 2))


def refuted() -> Verdict:
    """With |M|_2 = K n."""
    return _verdict(sympy.Integer(1))


def _verdict(power_of_n: sympy.Expr) -> Verdict:
    K, n, s, a = sympy.symbols("K n s a", positive=True)
    norm = K * n**power_of_n
    diagonal = n * ((K - 1) + (1 - K) ** 2)  # entries of n sum_k (1 - K e_k)(1 - K e_k)'
    beside = n * ((K - 2) + 2 * (1 - K))
    on_simplex, on_ones = diagonal - beside, diagonal + (K - 1) * beside
    c = s * sympy.sqrt(n)
    bound = s / norm * (n * K) * (K - 1) * a / (n * K)  # (s / |M|) mean of N |t| at |t| = (K - 1) a, per sample
    nuclear = a * sympy.sqrt(n) * (K - 1)  # of a (I - 11'/K) (x) 1_n', K - 1 singular values a sqrt(n)
    return Verdict.of(
        "symbolic",
        [
            step("M M' has the eigenvalue |M|^2 on the simplex", is_zero(on_simplex - norm**2)),
            step("and 0 on 1", is_zero(on_ones)),
            step("the bound on s |Z|_* is (c / N) sum |t_i|", is_zero(s / norm * n * K - c)),
            step("the ETF of margin a attains it", is_zero(s * nuclear - n * K * bound)),
        ],
        sizes="all K >= 2, n >= 1, d >= K - 1, decays > 0, gamma >= 0, 0 <= alpha < 1",
    )
