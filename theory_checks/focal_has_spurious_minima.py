"""Focal loss, K = 30, gamma = 3, c = 0.0409664: local minima that are no ETF lie above it, with and without bias.

Source: Zhou et al. 2022 (all losses), landscape of focal loss: benign near the optimum only; this counterexample is
ours

Evidence: interval. States with m classes on a simplex and the other K - m together, at n = 1, c = decay_W = decay_H.
Near a numerical state Krawczyk's operator in balls proves a true critical point, and balls prove its Hessian positive
definite up to rotations (and the free constant of the bias), `ufm/focal_certificate.py`; its value is certified to lie
above that of an explicit ETF at the same decays.

False twin: the same at a third of the decay, where such states are critical but have negative curvature (measured).
"""

import math

import torch
from flint import arb

from theory_checks.verdict import Finding, Verdict, positive, step
from ufm.focal_certificate import PartialState, prove_minimum
from ufm.focal_window import TwoLevels
from ufm.margin_enclosure import focal_value_ball
from ufm.prediction import predict
from ufm.problem import Problem

K, GAMMA, STRENGTH = 30, 3.0, 0.0409664
ACTIVE = [10, 22, 28]


def check() -> Verdict:
    """Inside the window."""
    return _verdict(STRENGTH)


def refuted() -> Verdict:
    """Far below it."""
    return _verdict(STRENGTH / 3)


def _verdict(c: float) -> Verdict:
    findings = [finding for decay_b in (0.0, None) for finding in _states(c, decay_b)]
    return Verdict.of(
        "interval",
        findings,
        sizes="every d >= m + 1 (more empty columns repeat a block); "
        f"K = {K}, gamma = {GAMMA:g}, c = {c:.7g}, m in {ACTIVE}, n = 1, free bias and none",
        margin_is="least certified height above the ETF",
    )


def _states(c: float, decay_b: float | None) -> list[Finding]:
    states = TwoLevels(K, GAMMA, decay_b).states(torch.tensor([c], dtype=torch.float64))
    etf = _etf_value(c)
    findings = []
    for m in ACTIVE:
        columns = (states.value, states.omega, states.eta, states.bias)
        found = [[float(column[m - 1, kind, 0]) for column in columns] for kind in range(2)]
        value, omega, eta, bias = min(found, key=lambda state: (math.isnan(state[0]), state[0]))
        name = f"m = {m}, {'no' if decay_b is None else 'free'} bias"
        if math.isnan(value):
            findings.append(step(f"{name}: such a state was found", False))
            continue
        proof = prove_minimum(PartialState(K, GAMMA, c, decay_b, m, omega, eta, bias))
        findings.append(step(f"{name}: a strict local minimum, value {proof.value}", proof.is_minimum))
        findings.append(positive(f"{name}: above the ETF by at least", proof.value_low - etf))
    return findings


def _etf_value(c: float) -> float:
    """An upper bound of the ETF's value: that of the ray at a float near its margin."""
    from ufm.losses import Focal

    a = arb(predict(Problem(Focal(GAMMA), K, K, 1, c, c, None)).margin)
    return float((focal_value_ball(a, K, arb(GAMMA)) + (K - 1) * arb(c) * a).upper())
