"""Focal loss with a free bias, K = 30, gamma = 3, c = 0.041229: no point of the ETF ray, nor zero, is a global
minimiser.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), global minimisers of focal loss: too strong with a bias and many classes
(counterexample)

Evidence: interval. 22 classes on a simplex with margin t, 8 with zero weights and features, bias higher by B on the 22:
at t = 0.8142, B = 0.04297 the objective is below every F(a), a >= 0 (balls over [0, 3]; beyond, the penalty alone is
higher); c, t and B are exactly these decimals. Its value is cross-checked with the model. For (K - 1) c <= 1 collapse
is global also with a bias (`focal_with_bias_collapses_for_small_decays`); without bias always.

False twin: the same state with B = 0.
"""

import torch

from theory_checks.verdict import Finding, Verdict, cross_check, positive, step
from ufm.model.losses import Focal
from ufm.model.model import Point
from ufm.model.problem import Problem

K, GAMMA, RESOLVED = 30, 3, 22
C, T = "0.041229", "0.8142"


def check() -> Verdict:
    """With the bias."""
    return _verdict("0.04297")


def refuted() -> Verdict:
    """Without it."""
    return _verdict("0")


def _verdict(bias: str) -> Verdict:
    from theory_checks.focal_ray import Ray
    from theory_checks.intervals import least, positive_on

    ray, m = Ray(K, GAMMA), RESOLVED
    c, t, B = ray.ball(C), ray.ball(T), ray.ball(bias)
    resolved = ray.focal((m - 1) * (-t).exp() + (K - m) * (-(t * (m - 1) / m + B)).exp())
    others = ray.focal(K - m - 1 + m * B.exp())
    partial = (m * resolved + (K - m) * others) / K + c * (m - 1) * t
    above = positive_on(lambda a: ray.loss(a) + (K - 1) * c * a - partial, 0.0, 3.0)
    return Verdict.of(
        "interval",
        [
            positive(f"F(a) - f(partial collapse) on [0, 3] ({above.balls} balls), at least", least(above)),
            step("beyond 3 the penalty alone is higher", (K - 1) * c * ray.ball(3) > partial),
            _value_in_the_model(float(partial.mid()), float(B.mid())),
        ],
        margin_is="certified difference of the objectives",
        sizes=f"K = {K}, gamma = {GAMMA}, c = {C}, all a >= 0; any n and d >= K - 1",
    )


def _value_in_the_model(value: float, bias: float) -> Finding:
    decay = float(C)
    problem = Problem(Focal(float(GAMMA)), K=K, d=K, n=1, decay_W=decay, decay_H=decay, decay_b=0.0)
    on = torch.zeros(K, dtype=torch.float64)
    on[:RESOLVED] = 1.0
    W = float(T) ** 0.5 * (torch.diag(on) - torch.outer(on, on) / RESOLVED)
    found = problem.value(problem.pack(Point(W, W, bias * on)))
    return cross_check("its value by the formula against the model's", abs(float(found) - value), 1e-13)
