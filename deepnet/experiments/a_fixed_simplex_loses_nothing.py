"""A classifier fixed to a simplex, with as many feature dimensions as classes, is as good as a learned one.

Source: Zhu et al. 2021 (geometric analysis of neural collapse)
"""

from deepnet.experiments.run import Run
from deepnet.experiments.statement import Statement

RUNS = {
    "learned": {},
    "learned_d_equals_K": {"head": {"name": "linear", "dim": 10}},
    "fixed": {"head": {"name": "etf", "dim": 10}},
}


def _trained(run: Run) -> int:
    return sum(parameter.numel() for parameter in run.training.net.parameters())


STATEMENTS = (
    Statement(
        "test accuracy, fixed less learned: no more than 1 point lower",
        lambda runs: runs["fixed"].last("accuracy", "test") - runs["learned"].last("accuracy", "test"),
        low=-0.01,
    ),
    Statement(
        "final NC1 (trace form), fixed over learned: at most 1",
        lambda runs: runs["fixed"].last("nc1_trace") / runs["learned"].last("nc1_trace"),
        high=1.0,
    ),
    Statement(
        "final NC2 (class means from the simplex), fixed over learned at the same d = K: at most 1",
        lambda runs: runs["fixed"].last("nc2_etf_distance") / runs["learned_d_equals_K"].last("nc2_etf_distance"),
        high=1.0,
    ),
    Statement(
        "trained parameters, fixed less learned: fewer",
        lambda runs: _trained(runs["fixed"]) - _trained(runs["learned"]),
        high=0.0,
    ),
)
