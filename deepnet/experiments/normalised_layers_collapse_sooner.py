"""Features and classifier rows of norm 1 collapse in fewer epochs, and generalise no worse.

Source: Yaras et al. 2022 (neural collapse with normalised features)
"""

import math

from deepnet.experiments.measures import cosine_between_rows
from deepnet.experiments.statement import Runs, Statement

TEMPERATURE = 5.0
RUNS = {"free": {}, "normalised": {"head": {"name": "normalised", "temperature": TEMPERATURE}}}


def _ratio_of_epochs(runs: Runs) -> float:
    free, normalised = (runs[name].first_epoch("nc1_trace", 0.05) for name in ("free", "normalised"))
    return normalised / free


def _least_loss(runs: Runs) -> float:
    K = runs["normalised"].training.data.classes
    return math.log1p((K - 1) * math.exp(-TEMPERATURE * K / (K - 1)))


STATEMENTS = (
    Statement("epochs until NC1 <= 0.05, normalised over free: below 1", _ratio_of_epochs, high=1.0),
    Statement(
        "final NC2 (distance from the simplex), normalised over free: below 1",
        lambda runs: runs["normalised"].last("nc2_etf_distance") / runs["free"].last("nc2_etf_distance"),
        high=1.0,
    ),
    Statement(
        "test accuracy, normalised less free: no more than 1 point lower",
        lambda runs: runs["normalised"].last("accuracy", "test") - runs["free"].last("accuracy", "test"),
        low=-0.01,
    ),
    Statement(
        "final training loss within 10 % of the least one on spheres, log(1 + (K - 1) exp(-tau K/(K - 1)))",
        lambda runs: runs["normalised"].last("loss"),
        low=0.9,
        high=1.1,
        predicted=_least_loss,
    ),
    Statement(
        "mean cosine between classifier rows within 10 % of -1/(K - 1)",
        lambda runs: cosine_between_rows(runs["normalised"].layer().W),
        low=0.9,
        high=1.1,
        predicted=lambda runs: -1 / (runs["normalised"].training.data.classes - 1),
    ),
)
