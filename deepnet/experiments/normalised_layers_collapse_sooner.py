"""Features and classifier rows of norm 1 collapse in fewer epochs, and generalise no worse.

Source: Yaras et al. 2022 (neural collapse with normalised features)

Their model has features of either sign. Those behind a ReLU are not: of such features the best are orthogonal ones,
with a simplex classifier and loss log(1 + (K - 1) exp(-tau sqrt(K/(K - 1)))). Derived: by convexity the loss of K unit
features, one a class, is at least that of their mean margin tau/(K - 1) sum_k <w_k, h_k - hbar>, hbar their mean, and
with h_k >= 0 that sum is at most sum_k |h_k - hbar| <= K sqrt(1 - |hbar|^2) <= sqrt(K (K - 1)), since |hbar|^2 >= 1/K;
the loss of all samples is the mean over such K. So there are two normalised runs, behind the ReLU and behind a further
linear map.
"""

import math
from functools import partial

from deepnet.experiments.measures import collapses_sooner, distance_from_simplex
from deepnet.experiments.run import TERMINAL
from deepnet.experiments.statement import Runs, Statement

TEMPERATURE = 5.0
HEAD = {"name": "normalised", "temperature": TEMPERATURE}
RUNS = {
    "free": TERMINAL,
    "normalised": {"head": HEAD, **TERMINAL},
    "normalised_either_sign": {"head": {**HEAD, "dim": 64}, **TERMINAL},
}


def _least_loss(runs: Runs, *, either_sign: bool) -> float:
    K = runs["normalised"].training.data.classes
    margin = K / (K - 1) if either_sign else math.sqrt(K / (K - 1))
    return math.log1p((K - 1) * math.exp(-TEMPERATURE * margin))


STATEMENTS = (
    *collapses_sooner("normalised", "free"),
    Statement(
        "final NC2 (distance from the simplex), normalised over free: below 1",
        lambda runs: runs["normalised"].last("nc2_etf_distance") / runs["free"].last("nc2_etf_distance"),
        high=1.0,
        strict=True,
    ),
    Statement(
        "test accuracy, normalised less free: no more than 1 point lower",
        lambda runs: runs["normalised"].last("accuracy", "test") - runs["free"].last("accuracy", "test"),
        low=-0.01,
    ),
    Statement(
        "final training loss, features of either sign, within 10 % of log(1 + (K - 1) exp(-tau K/(K - 1)))",
        lambda runs: runs["normalised_either_sign"].last("loss"),
        low=0.9,
        high=1.1,
        predicted=partial(_least_loss, either_sign=True),
    ),
    Statement(
        "final training loss, features behind a ReLU, within 10 % of log(1 + (K - 1) exp(-tau sqrt(K/(K - 1))))",
        lambda runs: runs["normalised"].last("loss"),
        low=0.9,
        high=1.1,
        predicted=partial(_least_loss, either_sign=False),
    ),
    Statement(
        "classifier rows from the simplex, largest |cosine + 1/(K - 1)| over the pairs: at most 0.05",
        lambda runs: distance_from_simplex(runs["normalised"].layer().W),
        high=0.05,
    ),
)
