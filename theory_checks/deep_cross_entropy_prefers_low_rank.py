"""With a hidden linear layer, no bias and even K >= 6, cross entropy is never least at a simplex of margin a > 0: a
cross-polytope is lower.

Theme: more layers

Source: Garrod and Keating 2024 (low-rank bias of deep models, cross entropy; Sukenik et al. 2024 with ReLU); this
statement and its proof are derived here

Evidence: symbolic, for M >= 3 factors, all decays and n, d >= K - 1, b = 0. At the same margin a > 0 compare the
simplex, K - 1 singular values a sqrt n, with K/2 opposite pairs of classes on orthogonal axes, K/2 singular values 2 a
sqrt n. A product with singular values x costs (M/2) lam sum x^(2/M): the pairs' penalty is K 2^(2/M)/(2 (K - 1)) of the
simplex's, less than 1, and their loss is lower too, since the opposite class has the margin 2 a. The same holds for
every loss that falls with p_y, so for focal loss. Numeric cross-check: random starts at K = 6, M = 3.

False twin: M = 2, the model without a hidden layer, where the factor is K/(K - 1) > 1.
"""

import math

import sympy
import torch
from scipy.optimize import minimize_scalar

from theory_checks.symbols import is_positive, is_zero
from theory_checks.verdict import Finding, Verdict, cross_check, step
from ufm.model.deep import DeepProblem
from ufm.model.losses import CrossEntropy
from ufm.model.starts import normal_starts
from ufm.solve.minimise import minimise
from ufm.theory.deep_prediction import deep_target

K_CHECKED, DECAY, STARTS = 6, 0.01, 16


def check() -> Verdict:
    """Three factors or more."""
    return _verdict(3)


def refuted() -> Verdict:
    """Two."""
    return _verdict(2)


def _verdict(least: int) -> Verdict:
    a, q, M, spare = sympy.symbols("a q M spare", positive=True)
    K = q + 1
    logs = sympy.log(K) - sympy.log(q) + (2 / M - 1) * sympy.log(2)  # of the ratio of the penalties
    worst = sympy.logcombine(logs.subs({q: 5, M: least}), force=True)
    simplex = 1 + q * sympy.exp(-a)
    pairs = 1 + (q - 1) * sympy.exp(-a) + sympy.exp(-2 * a)
    ratio = (K / 2) * (2 * a) ** (2 / M) / (q * a ** (2 / M))
    return Verdict.of(
        "symbolic",
        [
            *(step(f"K = {k}: the pairs' singular values are 2 a, K/2 times", _has_pairs(k)) for k in (4, 6, 8)),
            step("log of the ratio of the penalties", is_zero(sympy.expand_log(sympy.log(ratio), force=True) - logs)),
            step("it falls with M", is_positive(-sympy.diff(logs, M))),
            step("it falls with K", is_positive(sympy.simplify(-sympy.diff(logs, q)))),
            step(f"it is negative at K = 6, M = {least}: 6/5 < 2^(1 - 2/M)", worst.is_negative),
            step(
                "the pairs' loss is lower: e^-a > e^-2a",
                is_positive(sympy.factor((simplex - pairs).subs(a, sympy.log(1 + spare)))),
            ),
            *_measured(),
        ],
        sizes=f"all even K >= 6, M >= 3, n, decays, d >= K - 1 (singular values: K = 4, 6, 8); K = {K_CHECKED}, M = 3",
    )


def _has_pairs(K: int) -> bool:
    a = sympy.Symbol("a", positive=True)
    block = sympy.Matrix([[a, -a], [-a, a]])
    return sympy.diag(*[block] * (K // 2)).singular_values().count(2 * a) == K // 2


def _measured() -> list[Finding]:
    """The lowest of a few random starts is the best such point."""
    problem = DeepProblem(CrossEntropy(), K_CHECKED, K_CHECKED, 1, DECAY, DECAY, None, (DECAY,))
    ends = minimise(problem, normal_starts(problem.size, 0, 0, STARTS), 1e-9, 3000)

    def pairs(a: float) -> float:
        loss = math.log1p((K_CHECKED - 2) * math.exp(-a) + math.exp(-2 * a))
        return loss + K_CHECKED / 2 * 1.5 * DECAY * (2 * a) ** (2 / 3)

    best = float(minimize_scalar(pairs, bounds=(1.0, 20.0), method="bounded", options={"xatol": 1e-10}).fun)
    lowest = float(torch.where(ends.is_converged, ends.value, math.inf).min())
    simplex = deep_target(problem).value
    return [
        cross_check(f"lowest of {STARTS} starts, {lowest:.9f}, less the best pairs", abs(lowest - best), 1e-10),
        step(f"the best simplex has {simplex:.9f}", simplex > lowest + 1e-3),
    ]
