"""The feature of an image with several labels is the scaled sum of those of its labels.

Source: Li et al. 2024 (neural collapse in multi-label learning with pick-all-label loss)

Composites of one or two digits. The margin between the logits inside and outside a sample's labels falls with their
number as the closed form says, with the feature decay balanced on the net itself.
"""

import math

from deepnet.experiments.run import TERMINAL, Run
from deepnet.experiments.statement import Runs, Statement
from ufm.theory.multi_label_prediction import tag_wise_averages

RUNS = {
    "learned": {"multilabel": 2, **TERMINAL},
    "fixed": {"multilabel": 2, "head": {"name": "etf", "dim": 10}, **TERMINAL},
}


def _margins(run: Run) -> float:
    return run.last("margin_2") / run.last("margin_1")


def _predicted(runs: Runs) -> float:
    run = runs["learned"]
    K, decay = run.training.data.classes, run.training.setting.decay
    N = len(run.training.data.splits["train"].labels)
    decay_H = decay * K * run.last("norm_w") ** 2 / (N * run.last("norm_h") ** 2)
    counts = {m: (run.training.setting.per_class or 0) * K // math.comb(K, m) for m in (1, 2)}
    margins = tag_wise_averages(K, counts, decay, decay_H).margins
    return margins[2] / margins[1]


STATEMENTS = (
    Statement(
        "cosine between the mean feature of two labels and the sum of theirs: at least 0.95",
        lambda runs: runs["learned"].last("tag_wise_cosine"),
        low=0.95,
    ),
    Statement(
        "NC1 (trace form) of images with one label: at most 0.1",
        lambda runs: runs["learned"].last("nc1_trace"),
        high=0.1,
    ),
    Statement(
        "margin with two labels over margin with one: below 1",
        lambda runs: _margins(runs["learned"]),
        high=1.0,
        strict=True,
    ),
    Statement(
        "the same, within 10 % of the closed form",
        lambda runs: _margins(runs["learned"]),
        low=0.9,
        high=1.1,
        predicted=_predicted,
        tried="a classifier fixed to a simplex (the run `fixed`).",
    ),
    Statement(
        "share of test images whose labels are all found, classifier fixed to a simplex less learned: no more than 2 "
        "points lower",
        lambda runs: runs["fixed"].last("accuracy", "test") - runs["learned"].last("accuracy", "test"),
        low=-0.02,
    ),
)
