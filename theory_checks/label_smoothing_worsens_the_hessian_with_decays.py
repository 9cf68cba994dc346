"""With the decays in it, the Hessian in H is worse conditioned with smoothing than without: K = 10, 100, d > K - 1,
1e-4 <= K c <= 0.125, smoothing 0.01 to 0.5.

Theme: label smoothing

Source: Guo et al. 2024, condition number: on this Hessian the order is the opposite of the one claimed for the loss
alone

Evidence: interval, for all K c in [2^-14, 1/8] and delta in [1/128, 1/2] against delta = 0, K = 10 and 100 (that it
rises all the way is not part of the claim). For d > K - 1 the H-block's least eigenvalue is decay_H, and its condition
number 1 + a p (1 + delta/(K c)), a the margin, p the label's probability. Elsewhere the order may be the opposite: K c
= 0.5, delta = 0.2, K = 10; delta near 1; at d = K - 1 the block has no empty direction. Numeric cross-check at K = 10,
d = 11, n = 2: the blocks of the dense Hessian.

False twin: the claim for K c up to 0.15.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from theory_checks.verdict import Finding, Verdict, cross_check, positive, step
from ufm.model.losses import LabelSmoothing
from ufm.model.problem import Problem
from ufm.solve.hessian import dense_hessian
from ufm.theory.prediction import predict, predicted_point

SMALLEST, SMOOTHINGS = 2.0**-14, (2.0**-7, 0.5)
"""Ends of the ranges, exact in binary, beyond those of the claim."""


def check() -> Verdict:
    """K c <= 1/8."""
    return _verdict(0.125)


def refuted() -> Verdict:
    """K c <= 0.15."""
    return _verdict(0.15)


def _verdict(largest: float) -> Verdict:
    from flint import arb

    from theory_checks.intervals import ball, least, positive_on

    def excess(K: int, kc: arb, delta: arb) -> arb:
        """Condition number less one."""
        off = (kc + delta) / K
        return (1 / off - K + 1).log() * (1 - (K - 1) * off) * (1 + delta / kc)

    def rise(K: int, kc: arb, delta: arb) -> arb:
        return excess(K, kc, delta) - excess(K, kc, arb(0))

    findings = []
    strips = 400
    for K in (10, 100):
        edges = [SMALLEST * (largest / SMALLEST) ** (i / strips) for i in range(strips)] + [largest]
        covers = [positive_on(partial(rise, K, ball(*strip)), *SMOOTHINGS) for strip in pairwise(edges)]
        balls = sum(cover.balls for cover in covers)
        findings.append(
            positive(f"K = {K}: difference of the condition numbers ({balls} balls), at least", least(*covers))
        )
    reverse = excess(10, arb("0.5"), arb(0)) - excess(10, arb("0.5"), arb("0.2"))
    findings.append(step("the opposite order at K = 10, K c = 0.5, delta = 0.2", reverse > 0))
    return Verdict.of(
        "interval",
        [*findings, _dense(excess)],
        margin_is="difference of the condition numbers, lower bound",
        sizes=f"K = 10, 100; K c in [{SMALLEST}, {largest}], delta in {list(SMOOTHINGS)}",
    )


def _dense(excess: Callable[..., Any]) -> Finding:
    """The formula against eigenvalues of the dense Hessian."""
    from flint import arb

    worst = 0.0
    for delta in (0.0, 0.05, 0.1):
        problem = Problem(LabelSmoothing(delta), K=10, d=11, n=2, decay_W=5e-4, decay_H=5e-4)
        prediction = predict(problem)
        matrix = dense_hessian(problem, predicted_point(problem, prediction)[None])[0]
        features = slice(10 * 11, 10 * 11 + 20 * 11)
        eigenvalues = torch.linalg.eigvalsh(matrix[features, features])
        formula = 1 + float(excess(10, arb(10 * prediction.c), arb(delta)).mid())
        worst = max(worst, abs(float(eigenvalues[-1] / eigenvalues[0]) / formula - 1))
    return cross_check("formula against the dense Hessian, relative", worst, 1e-9)
