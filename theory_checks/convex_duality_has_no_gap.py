"""Cross entropy and label smoothing, d >= K - 1, K c + alpha < 1: the ETF of closed-form margin is a global minimiser,
with or without bias.

Theme: minimisers

Source: Zhu et al. 2021, Theorem 3.1 (cross entropy); Zhou et al. 2022 (all losses; label smoothing)

Evidence: symbolic, derived here. Off-class probability r = c + alpha/K, label p = 1 - (K - 1) r, margin a = log(p / r).
The gradient in the logits is G = (c / N)(11' - K Y), of spectral norm s = sqrt(decay_W decay_H) and with zero sum over
samples: feasible for the dual of min g(Z + b) + s |Z|_*, whose value there is the entropy of p. It equals the primal
value for all K, n, decays and alpha, so nothing lies below (weak duality). Uniqueness is not part of this row.

False twin: margin log(1/c - K + 1) also for alpha > 0.
"""

import sympy

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, step


def check() -> Verdict:
    """With the off-class probability c + alpha/K."""
    return _verdict(smoothing=1)


def refuted() -> Verdict:
    """With the off-class probability c."""
    return _verdict(smoothing=0)


def _verdict(smoothing: int) -> Verdict:
    K, n, s, alpha = sympy.symbols("K n s alpha", positive=True)
    c = s * sympy.sqrt(n)
    r = c + smoothing * alpha / K
    p = 1 - (K - 1) * r
    log_p, log_r = sympy.symbols("log_p log_r", real=True)
    a = log_p - log_r
    primal = -log_p + alpha * (K - 1) * a / K + c * (K - 1) * a
    dual = -p * log_p - (K - 1) * r * log_r
    off, own = r - alpha / K, p - (1 - alpha) - alpha / K  # of N G, probability minus target
    return Verdict.of(
        "symbolic",
        [
            step("N G is c off the label", is_zero(off - c)),
            step("and -(K - 1) c on it", is_zero(own + (K - 1) * c)),
            step("its sum over samples is zero (feasible with a free bias)", is_zero((K - 1) * n * off + n * own)),
            # |11' - K Y| = K sqrt(n): `collapse_is_global_without_bias`.
            step("|G| = s (dual feasible)", is_zero(c * K * sympy.sqrt(n) / (n * K) - s)),
            step("the margin is positive: p - r = 1 - K c - alpha", is_zero(p - r - (1 - K * c - alpha))),
            step("primal - dual = 0", is_zero(sympy.expand(primal - dual))),
        ],
        sizes="all K >= 2, n >= 1, d >= K - 1, decays with K c + alpha < 1, any decay of the bias",
    )
