"""With fewer than K - 1 dimensions, unit features and rows approach the softmax code as the temperature falls.

Source: Jiang et al. 2024 (generalized neural collapse for a large number of classes)

Their temperature is 1/tau here. A code's quality is its one-vs-rest margin, the least distance of a row from the convex
hull of the others. In the plane the best code is the regular polygon, margin 1 - cos(2 pi/K); the best margin known of
10 points on the sphere in three dimensions is 0.5951.
"""

import math

from deepnet.experiments.measures import one_vs_rest_margin
from deepnet.experiments.run import Run
from deepnet.experiments.statement import Runs, Statement

BEST_KNOWN_IN_SPACE = 0.5951
"""K = 10, d = 3, from a search with falling temperature (numeric, a lower bound of the largest margin)."""
WARM, COLD = 5.0, 30.0
RUNS = {
    f"{name}_{dim}d": {"head": {"name": "normalised", "temperature": tau, "dim": dim}}
    for dim in (2, 3)
    for name, tau in (("warm", WARM), ("cold", COLD))
}


def _margin(run: Run) -> float:
    W = run.layer().W
    return one_vs_rest_margin(W / W.norm(dim=-1, keepdim=True))


def _self_duality(run: Run) -> float:
    """Mean cosine between a row and the mean of its class's features."""
    layer = run.layer()
    means = layer.stats.class_means
    cosines = (layer.W * means).sum(-1) / layer.W.norm(dim=-1) / means.norm(dim=-1)
    return float(cosines.mean())


def _in_plane(runs: Runs) -> float:
    return 1 - math.cos(2 * math.pi / runs["cold_2d"].training.data.classes)


STATEMENTS = (
    *(
        Statement(
            f"one-vs-rest margin of the rows in {dim} dimensions, tau = {COLD:g} less tau = {WARM:g}: above 0",
            lambda runs, dim=dim: _margin(runs[f"cold_{dim}d"]) - _margin(runs[f"warm_{dim}d"]),
            low=0.0,
        )
        for dim in (2, 3)
    ),
    Statement(
        f"the margin at tau = {COLD:g} in the plane, within 10 % of that of the regular polygon",
        lambda runs: _margin(runs["cold_2d"]),
        low=0.9,
        high=1.1,
        predicted=_in_plane,
    ),
    Statement(
        f"the margin at tau = {COLD:g} in space, within 10 % of the best code known",
        lambda runs: _margin(runs["cold_3d"]),
        low=0.9,
        high=1.1,
        predicted=lambda _: BEST_KNOWN_IN_SPACE,
    ),
    *(
        Statement(
            f"self-duality at tau = {COLD:g} in {dim} dimensions, cosine of a row and its class mean: at least 0.95",
            lambda runs, dim=dim: _self_duality(runs[f"cold_{dim}d"]),
            low=0.95,
        )
        for dim in (2, 3)
    ),
)
