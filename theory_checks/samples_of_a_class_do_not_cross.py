"""A loss psi(x), any critical point: two samples of one class, the one with the larger p_y having the smaller or equal
psi', have the same feature.

Theme: critical points

Source: Zhou et al. 2022 (all losses), within-class collapse of the minimisers; at every critical point derived here

Evidence: symbolic, derived here, for any W, b, n and d, balanced or not; psi' >= 0, decay_H > 0. No second order is
used. Checked by algebra: the sum of step 3 as a sum of terms that are not positive, convexity of x along a line, and
the lemma's conclusion at an ETF. Read on paper, for x(h) = log sum_{j != y} e^{w_j'h + b_j} - w_y'h - b_y:
1. Stationarity in h_i: decay_H h_i = -(S_i/N) grad x(h_i), S = psi'(x).
2. Let x_j <= x_i, 0 <= S_j <= S_i, D = h_j - h_i, A = <grad x(h_i), D>, B = <grad x(h_j), D>. x is convex (a
   log-sum-exp of linear functions less a linear one), so A <= x_j - x_i <= 0 and A <= B. Both samples share x because
   they share y.
3. N decay_H |D|^2 = S_i A - S_j B. With A = -a, B = A + t, S_i = S_j + e (a, t, e >= 0) it is -(e a + S_j t) <= 0.
Cross entropy has S rising with x, so it always applies: every critical point is collapsed within classes.

False twin: two samples of any classes. At an ETF they have equal p_y and psi', and different features.
"""

import sympy
import torch

from theory_checks.symbols import is_zero
from theory_checks.verdict import Verdict, cross_check, step
from ufm.model.losses import Focal
from ufm.model.problem import Problem
from ufm.theory.prediction import predict, predicted_point

ETF = Problem(Focal(3.0), K=4, d=4, n=3, decay_W=5e-3, decay_H=1e-3, decay_b=0.0)


def check() -> Verdict:
    """Of one class."""
    return _verdict(of_one_class=True)


def refuted() -> Verdict:
    """Of any."""
    return _verdict(of_one_class=False)


def _verdict(of_one_class: bool) -> Verdict:
    a, t, e, slope = sympy.symbols("a t e S_j", nonnegative=True)
    A, B, steeper = -a, -a + t, slope + e
    total = steeper * A - slope * B
    return Verdict.of(
        "symbolic",
        [
            step("S_i A - S_j B = -(e a + S_j t)", is_zero(total + e * a + slope * t)),
            step("it is not positive", sympy.expand(total).is_nonpositive),
            step("x is convex along a line: its second derivative is a variance", _is_variance()),
            cross_check("equal order and slope at an ETF, features apart by", _apart(of_one_class), 1e-14),
        ],
        sizes="every loss psi(x) with psi' >= 0; every K, d, n, decay (variance: 3 classes); an ETF at K = 4, n = 3",
    )


def _is_variance() -> bool:
    """Of log sum_j e^{a_j + t d_j}, the mean of d^2 less the square of the mean of d, at three classes."""
    t = sympy.Symbol("t", real=True)
    at, along = sympy.symbols("a:3", real=True), sympy.symbols("d:3", real=True)
    total = sum(sympy.exp(x + t * d) for x, d in zip(at, along, strict=True))
    w = [sympy.exp(x + t * d) / total for x, d in zip(at, along, strict=True)]
    mean = sum(p * d for p, d in zip(w, along, strict=True))
    variance = sum(p * (d - mean) ** 2 for p, d in zip(w, along, strict=True))
    return is_zero(sympy.diff(sympy.log(total), t, 2) - variance)


def _apart(of_one_class: bool) -> float:
    """The largest distance of the features of two samples that the sentence calls equal."""
    H, labels = ETF.unpack(predicted_point(ETF, predict(ETF))).H, ETF.labels()
    together = (labels[:, None] == labels) | (not of_one_class)
    return float((torch.cdist(H, H) * together).max())
