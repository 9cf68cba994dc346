"""Focal loss, K = 30, gamma = 3, n = 1, d >= 29, decays 0.0409664: local minima that are no ETF lie above it, with and
without bias.

Theme: focal loss

Source: Zhou et al. 2022 (all losses), landscape of focal loss: benign near the optimum only; this counterexample is
ours

Evidence: interval. States with m classes on a simplex and the other K - m together, at n = 1 and c = decay_W =
decay_H, the double next to 0.0409664. Near a numerical state Krawczyk's operator in balls, on all points with its
symmetry, proves a true critical point, over whose ball the full gradient contains 0; balls prove its Hessian positive
definite up to rotations (and the free constant of the bias), `ufm/proof/focal_certificate.py`. Its value is certified
to lie above that of an explicit ETF at the same decays. Without a bias the features at m = 10 and 22 have a part that
is common to all classes and does a bias's work.

False twin: without that part, at the critical point of the states that lack it (m = 10, 22, no bias).
"""

import math

import torch
from flint import arb
from jaxtyping import Float
from torch import Tensor

from theory_checks.verdict import Finding, Verdict, positive, step
from ufm.model.losses import Focal
from ufm.model.problem import Problem
from ufm.proof.focal_certificate import prove_minimum, state_found
from ufm.proof.margin_enclosure import focal_value_ball
from ufm.theory.focal_window import TwoLevels
from ufm.theory.prediction import predict

K, GAMMA, STRENGTH = 30, 3.0, 0.0409664
ACTIVE = [10, 22, 28]


def check() -> Verdict:
    """On all points with the symmetry."""
    return _verdict(TwoLevels)


def refuted() -> Verdict:
    """Without the features' common part."""
    return _verdict(WithoutCommonPart)


class WithoutCommonPart(TwoLevels):
    """The states at angle 0: the points searched are fixed by no symmetry unless the bias is free."""

    def value(self, x: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch"]:
        """f at angle 0."""
        return super().value(x * (torch.arange(6) != 3))


def _verdict(levels: type[TwoLevels]) -> Verdict:
    findings = [finding for decay_b in (0.0, None) for finding in _states(levels(K, GAMMA, decay_b))]
    return Verdict.of(
        "interval",
        findings,
        sizes="every d >= m + 1 (more empty columns repeat a block); "
        f"K = {K}, gamma = {GAMMA:g}, c = {STRENGTH}, m in {ACTIVE}, n = 1, free bias and none",
        margin_is="least certified height above the ETF",
    )


def _states(levels: TwoLevels) -> list[Finding]:
    states = levels.states(torch.tensor([STRENGTH], dtype=torch.float64))
    etf = _etf_value(STRENGTH)
    findings = []
    for m in ACTIVE:
        lowest = int(states.value[m - 1, :, 0].nan_to_num(nan=math.inf).argmin())
        state = state_found(levels, states, m, lowest)
        name = f"m = {m}, {'no' if levels.decay_b is None else 'free'} bias"
        if state is None:
            findings.append(step(f"{name}: such a state was found", False))
            continue
        proof = prove_minimum(state)
        text = f"{name}: a strict local minimum, value {proof.value}" + f" ({proof.reason})" * bool(proof.reason)
        findings.append(step(text, proof.is_minimum))
        findings.append(positive(f"{name}: above the ETF by at least", proof.value_low - etf))
    return findings


def _etf_value(c: float) -> float:
    """An upper bound of the ETF's value: that of the ray at a float near its margin."""
    a = arb(predict(Problem(Focal(GAMMA), K, K, 1, c, c, None)).margin)
    return float((focal_value_ball(a, K, arb(GAMMA)) + (K - 1) * arb(c) * a).upper())
