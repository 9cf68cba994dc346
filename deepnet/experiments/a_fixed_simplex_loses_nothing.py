"""A classifier fixed to a simplex, with as many feature dimensions as classes, is as good as a learned one.

Source: Zhu et al. 2021 (geometric analysis of neural collapse)

Accuracy is compared with the net as it is usually trained (all of the body's features), collapse with the net that
learns its classifier on equally many dimensions, since NC1 depends on their number. That a fixed classifier is not
trained saves K parameters here, where a linear map cuts the dimension; their saving comes from narrower convolutions.
"""

from deepnet.experiments.statement import Runs, Statement

RUNS = {
    "learned": {},
    "learned_d_equals_K": {"head": {"name": "linear", "dim": 10}},
    "fixed": {"head": {"name": "etf", "dim": 10}},
}


def _over_same_dimension(runs: Runs, of: str) -> float:
    return runs["fixed"].last(of) / runs["learned_d_equals_K"].last(of)


STATEMENTS = (
    Statement(
        "test accuracy, fixed (d = K) less learned (the body's d): no more than 1 point lower",
        lambda runs: runs["fixed"].last("accuracy", "test") - runs["learned"].last("accuracy", "test"),
        low=-0.01,
    ),
    Statement(
        "final NC1 (trace form), fixed over learned at the same d = K: at most 1",
        lambda runs: _over_same_dimension(runs, "nc1_trace"),
        high=1.0,
    ),
    Statement(
        "final NC2 (class means from the simplex), fixed over learned at the same d = K: at most 1",
        lambda runs: _over_same_dimension(runs, "nc2_etf_distance"),
        high=1.0,
    ),
)
