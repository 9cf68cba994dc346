"""Deep linear net on whitened data, three cases with L = 2, 3, 4 layers: every layer has the singular values u,
adjacent layers are aligned, and f is closed form.

Theme: more layers

Source: Ergen and Pilanci 2021 (convex duality), deep linear networks with whitened data

Evidence: numeric, 40 starts each for L = 2, 3, 4 layers. A singular value sigma of X'Y gives u, the largest root of
u^(2L-2) - sigma u^(L-2) + beta = 0, if it beats zero; the best start is compared with the closed form and its layers
with u and with each other's singular vectors. All starts of these cases end at that value.

False twin: soft-thresholding of sigma by beta for every L, the law of two layers.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from theory_checks.random_starts import minimise_from
from theory_checks.verdict import DIGITS, Finding, Verdict, deviation, step
from ufm.model.starts import normal_starts
from ufm.theory.deep_direction import energy, stationary_root

CASES = ((2, (3.0, 2.0, 1.0), 0.3), (3, (3.0, 2.0, 1.0), 0.1), (4, (4.0, 3.0, 2.0), 0.05))
"""Layers, singular values of X'Y, beta."""
STARTS = 40


def check() -> Verdict:
    """The law of L layers."""
    return _verdict(lambda L: L)


def refuted() -> Verdict:
    """The law of two."""
    return _verdict(lambda L: 2)


def _verdict(law: Callable[..., Any]) -> Verdict:
    findings = [finding for case in CASES for finding in _trained(*case, law)]
    sizes = "; ".join(f"L = {L}, sigma = {sigmas}, beta = {beta}" for L, sigmas, beta in CASES)
    return Verdict.of("numeric", findings, margin_is=DIGITS, sizes=sizes, starts=STARTS * len(CASES))


def _trained(L: int, sigmas: tuple[float, ...], beta: float, law: Callable[..., Any]) -> list[Finding]:
    size = len(sigmas)
    target = torch.diag(torch.tensor(sigmas, dtype=torch.float64))  # whitened: X drops out up to rotation

    def value(x: torch.Tensor) -> torch.Tensor:
        layers = x.view(len(x), L, size, size).unbind(1)
        product = layers[0]
        for layer in layers[1:]:
            product = product @ layer
        return (product - target).square().sum((1, 2)) / 2 + beta / 2 * x.square().sum(1)

    ends = minimise_from(value, normal_starts(L * size * size, 0, 0, STARTS), tolerance=1e-9)
    best = int(torch.where(ends.is_converged, ends.value, torch.inf).argmin())
    u = np.array([_root(law(L), sigma, beta) for sigma in sigmas])
    minimum = sum(energy(root, sigma, beta, law(L)) for root, sigma in zip(u.tolist(), sigmas, strict=True))
    layers = [layer.numpy() for layer in ends.x[best].view(L, size, size)]
    svds = [np.linalg.svd(layer) for layer in layers]
    singular = max(np.abs(s - u).max() for _, s, _ in svds)
    aligned = max(np.abs(np.abs(right @ left) - np.eye(size)).max() for (_, _, right), (left, _, _) in pairwise(svds))
    reached = int((ends.value < ends.value[best] + 1e-9).sum())
    return [
        step(
            f"L = {L}: {int(ends.is_converged.sum())} of {STARTS} converged, {reached} at the lowest value",
            reached == STARTS,
        ),
        # |gradient| 1e-9 over curvature 1e-2 gives 1e-7 in the layers and its square in f.
        deviation(f"L = {L}: |f - closed form {minimum:.9f}|", abs(float(ends.value[best]) - minimum), 1e-12),
        deviation(f"L = {L}: singular values of the layers", float(singular), 1e-6),
        deviation(f"L = {L}: |<v_l, u_(l+1)>| - 1", float(aligned), 1e-6),
    ]


def _root(L: int, sigma: float, beta: float) -> float:
    """u, or 0 where zero is cheaper."""
    u = stationary_root(sigma, beta, L)
    return u if energy(u, sigma, beta, L) < sigma**2 / 2 else 0.0
