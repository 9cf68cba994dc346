"""The minimum with unequal class sizes: in general without a closed form, but a convex relaxation certifies it.

Features collapse to one per class for every convex loss (averaging the samples of a class cannot raise the relaxed
objective). What else is known: with cross entropy, classes of the same size n_k share one classifier row exactly when
n_k <= N^2 decay_W decay_H (minority collapse; Fang et al. 2021, threshold derived in
`theory_checks/minority_classes_collapse_at_an_exact_decay.py`), as decays fall to zero the logits turn into
a (Y - 1/K) (SELI; Thrampoulidis et al. 2022), and squared error without bias has the singular values
(sqrt(n_k) - N s)_+ (Dang et al. 2023).
"""

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from ufm.arguments import instance, takes
from ufm.errors import check
from ufm.model.model import Point
from ufm.model.problem import Problem
from ufm.model.target import NoPrediction, Target
from ufm.solve.units import Units, own_units
from ufm.theory.certificate import certify
from ufm.theory.collapsed import CollapsedModel
from ufm.theory.prediction import theory_of
from ufm.tolerances import PROOF_GAP, ZERO_LOGITS

STARTS = 4
"""Starts of the minimisation whose result is certified (these are not the starts that are verified)."""


@takes(problem=instance(Problem))
def imbalanced_target(problem: Problem) -> Target:
    """The minimum for unequal classes: a minimisation's result, with the dual bound of the convex relaxation there.

    Raises:
        NoPrediction: if the conjugate of the loss is not known.
        ValueError: if the loss is not convex, or d < K.
    """
    K = problem.K
    check(problem.loss.is_convex, "--loss", problem.loss, "convex (ce, ls or mse) where class sizes differ")
    if not problem.loss.has_conjugate:
        raise NoPrediction(f"no dual bound is known for the loss {problem.loss}.", {})
    check(
        problem.d >= K,
        "dim",
        problem.d,
        f">= classes = {K} where class sizes differ (so that the convex relaxation is tight)",
    )
    units = own_units(problem)
    x = _minimiser(problem, units)
    certificate = certify(problem, x)
    scale = float(problem.value(torch.zeros_like(x)))
    gap = float(certificate.gap) / scale
    logits = problem.logits(x)
    margin = float((logits.amax(-1) - logits.amin(-1)).max())
    W, H, _ = problem.unpack(x)
    is_zero = float((W @ H.mT).abs().max()) < ZERO_LOGITS * float(units.logits)
    return Target(
        value=float(problem.value(x)),
        point=x,
        margin=0.0 if is_zero else margin,
        is_proved_global=gap <= PROOF_GAP,
        facts={"lower_bound": float(certificate.lower_bound), "class_sizes": class_sizes(problem)} | _norms(problem, x),
        notes=(
            f"the prediction is a minimisation's result with a dual bound {gap:.1g} f(0) below it (certificate).",
            *_minority_collapse(problem),
        ),
    )


@takes(problem=instance(Problem))
def class_sizes(problem: Problem) -> list[int]:
    """The number of samples n_k of every class."""
    return [problem.n * size for size in problem.sizes or (1,) * problem.K]


@takes(problem=instance(Problem))
def collapsing_sizes(problem: Problem) -> list[int]:
    """The sizes n such that all classes of n samples (two or more) share one classifier row at the minimum.

    For cross entropy, smoothed or not: the gradient in the logits of coinciding classes has norm (1 - alpha) sqrt(n_k)
    / N across them, and they coincide if and only if it is at most sqrt(decay_W decay_H). Empty for other losses.
    """
    theory = theory_of(problem.loss)
    if theory is None or theory.across is None:
        return []
    across, sizes, radius = theory.across(problem.loss), class_sizes(problem), float(problem.radius)
    return sorted({n for n in sizes if sizes.count(n) > 1 and across * math.sqrt(n) <= problem.N * radius})


def _minimiser(problem: Problem, units: Units) -> Float[Tensor, " P"]:
    """The lowest end point with one feature per class, which a minimiser has (`ufm/theory/collapsed.py`)."""
    own = cast(Problem, units.model)
    counts = torch.tensor(class_sizes(problem), dtype=torch.float64)
    decay_b = None if own.decay_b is None else float(own.decay_b)
    decays = float(own.decay_W), float(own.decay_H), decay_b
    found = CollapsedModel(own.loss, torch.arange(problem.K), counts, problem.K, problem.d, *decays).minimum(STARTS)
    empty = (0, problem.d - found.W.shape[1])
    features = pad(found.M, empty)[problem.labels()]
    return units.scales * own.pack(Point(pad(found.W, empty), features, found.b))


def _minority_collapse(problem: Problem) -> tuple[str, ...]:
    merged = collapsing_sizes(problem)
    return tuple(f"minority collapse: the classes of {n} samples share one classifier row." for n in merged)


def _norms(problem: Problem, x: torch.Tensor) -> dict[str, list[float]]:
    """|w_k| and the cosines of neighbouring classes' rows, less their mean."""
    W = problem.unpack(x).W
    W = W - W.mean(0)
    return {"norm_w": W.norm(dim=1).tolist(), "gram_w": (W @ W.T).flatten().tolist()}
