"""Focal loss, free bias, n = 1, five (K, gamma) with K = 20 to 100: at c_x "K - 1 classes on a simplex, one at zero"
turns from a strict saddle into a strict local minimum, though zero is no minimum yet; shown at c_x (1 -+ 1e-4) for K =
20 and 30.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: local only; threshold and states are ours

Evidence: interval. With S as a function of the margin c_x = S(-A)/(K - 1), A > 0 the root of S((K - 1) A) = S(-A), in a
ball. The state has margin t on its simplex and the bias B above that of the class at zero, whose label has the odds
e^-B/(K - 1) and the slope S(-B). On vectors e in label space and their product with a feature direction a that W leaves
empty the Hessian is [[decay_W, G], [G', decay_H]]; G has s on the simplex and S(-B) K/((K - 1) N) on (1, .., 1, 1 - K),
by the zero row sum of the bias. So with equal decays there is the eigenvalue c - S(-B)/(K - 1), d - K + 2 times.
Krawczyk's operator on all points with the symmetry and the full gradient prove a true critical point, from which this
eigenvalue is evaluated in balls; above c_x the whole Hessian is proved positive definite up to rotations and the free
constant (`ufm/proof/focal_certificate.py`). Below S(1/K)/(K - 1) zero is a strict saddle
(`zero_is_a_saddle_below_a_threshold`). Where the landscape is proved benign up to c_x: (30, 3), (50, 3), (100, 3),
since e <= a (`focal_landscape_is_benign_up_to_partial_collapse`); at (20, 3) and (30, 1) up to 0.99986 and 0.99991 c_x.

False twin: K - 2 classes on a simplex. At c_x (1 + 1e-4) that state is still a saddle.
"""

import math

import torch
from flint import arb

from theory_checks.intervals import Ball, root_between
from theory_checks.verdict import Finding, Verdict, positive, step
from ufm.proof.ball_losses import focal_slope_ball
from ufm.proof.focal_certificate import PartialState, prove_minimum
from ufm.theory.focal_window import TwoLevels

BRACKETS = {
    (20, 3.0): (0.012, 0.02),
    (30, 1.0): (0.014, 0.02),
    (30, 3.0): (0.03, 0.04),
    (50, 3.0): (0.03, 0.04),
    (100, 3.0): (0.02, 0.03),
}
"""Where A lies."""
SEEN = ((20, 3.0), (30, 1.0), (30, 3.0))
"""Whose Hessian is looked at."""
STEP = 1e-4


def check() -> Verdict:
    """One class at zero."""
    return _verdict(1)


def refuted() -> Verdict:
    """Two."""
    return _verdict(2)


def _verdict(at_zero: int) -> Verdict:
    findings = [finding for case in BRACKETS for finding in (_onset_lies_below_zero(*case), _reach(*case))]
    findings += [finding for case in SEEN for finding in turns(*case, case[0] - at_zero)]
    return Verdict.of(
        "interval",
        findings,
        sizes=f"(K, gamma) = {list(BRACKETS)}; Hessians at {list(SEEN)}, n = 1, equal decays, every d >= K",
        margin_is="least of: modulus of the eigenvalue that changes sign, c_low - c_x, D (K + a) - 1",
    )


def onset(K: int, gamma: float) -> tuple[Ball, Ball]:
    """A and c_x."""
    A = root_between(
        lambda A: focal_slope_ball(-A, K, arb(gamma)) - focal_slope_ball((K - 1) * A, K, arb(gamma)),
        *BRACKETS[K, gamma],
    )
    return A, focal_slope_ball(-A, K, arb(gamma)) / (K - 1)


def _onset_lies_below_zero(K: int, gamma: float) -> Finding:
    c = onset(K, gamma)[1]
    gap = focal_slope_ball(arb(0), K, arb(gamma)) / (K - 1) - c
    return positive(f"K = {K}, gamma = {gamma:g}: c_x in {c.str(11)}, below c_low by at least", float(gap.lower()))


def _reach(K: int, gamma: float) -> Finding:
    """How near c_x the landscape is proved benign: up to it if D (K + a) >= 1 at a = (K - 1) A, else up to S at e."""
    A, c = onset(K, gamma)
    name = f"K = {K}, gamma = {gamma:g}:"
    surplus = _relative_fall((K - 1) * A, K, arb(gamma)) * (K + (K - 1) * A) - 1
    if surplus > 0:
        return positive(f"{name} benign up to c_x: D (K + a) - 1, at least", float(surplus.lower()))
    e = root_between(lambda a: _relative_fall(a, K, arb(gamma)) * (K + a) - 1, float((K - 1) * A), 4.0)
    share = focal_slope_ball(-e / (K - 1), K, arb(gamma)) / (K - 1) / c
    return step(f"{name} benign up to {share.str(8)} c_x", share > arb("0.9998"))


def _relative_fall(a: Ball, K: int, gamma: Ball) -> Ball:
    """D = -S'/S."""
    odds = (K - 1) * (-a).exp()
    p, q, log = 1 / (1 + odds), odds / (1 + odds), (1 + odds).log()
    return p * (gamma * (gamma * p - q) * log + (2 * gamma + 1) * q) / (q + gamma * p * log)


def turns(K: int, gamma: float, m: int) -> list[Finding]:
    """A saddle below c_x, a minimum above."""
    findings = []
    for sign, name in ((-1, "below"), (1, "above")):
        c = float(onset(K, gamma)[1].mid()) * (1 + sign * STEP)
        state = near_onset(K, gamma, m, c)
        proof = prove_minimum(state)
        slope = focal_slope_ball(arb(-state.bias, min(proof.radius, 1.0)), K, arb(gamma))
        eigenvalue = sign * (arb(c) - slope / (K - 1))
        case = f"K = {K}, gamma = {gamma:g}, {name} c_x, m = {m}"
        findings.append(
            step(
                f"{case}: {'a strict local minimum' if sign > 0 else 'critical'}",
                proof.is_minimum if sign > 0 else proof.is_critical,
            )
        )
        if m == K - 1:
            text = f"{case}: {'' if sign > 0 else 'minus '}the eigenvalue {eigenvalue.str(8)}, at least"
            findings.append(positive(text, float(eigenvalue.lower())))
    return findings


def near_onset(K: int, gamma: float, m: int, c: float) -> PartialState:
    """The critical point near the margin (K - 1) A and the bias A that the state has at c_x."""
    A = float(onset(K, gamma)[0].mid())
    x = torch.tensor([[math.sqrt((K - 1) * A), 0.0, A, 0.0, m, c]], dtype=torch.float64)
    levels = TwoLevels(K, gamma, 0.0)
    omega, eta, bias, angle, *_ = levels.polished(levels.polished(x))[0].tolist()
    return PartialState(K, gamma, c, 0.0, m, omega, eta, bias, angle)
