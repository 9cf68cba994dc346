"""Rows of classes with few images point closer to each other than those of large classes, and are shorter.

Source: Fang et al. 2021 (layer-peeled model, minority collapse), Thrampoulidis et al. 2022 (imbalance trouble, SELI)

Half of the classes have 10 times fewer images. The prediction is the unconstrained feature model's minimum for these
class sizes, minimised with a dual bound, at the feature decay balanced on the net; its limit for small decays (SELI) is
a closed form, `theory_checks/seli_minority_angle.py`.
"""

import torch

from deepnet.experiments.measures import cosine_between_rows
from deepnet.experiments.run import Run
from deepnet.experiments.statement import Runs, Statement
from ufm.imbalance import imbalanced_target
from ufm.losses import CrossEntropy
from ufm.problem import Problem

FACTOR = 10.0
RUNS = {"balanced": {}, "imbalanced": {"imbalance": FACTOR}}


def _rows(run: Run) -> tuple[torch.Tensor, torch.Tensor]:
    """Centred rows of the large and of the small classes."""
    W = run.layer().W
    return _halves(W - W.mean(0))


def _halves(W: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return W[: len(W) // 2], W[len(W) // 2 :]


def _cosine_gap(halves: tuple[torch.Tensor, torch.Tensor]) -> float:
    large, small = halves
    return cosine_between_rows(small) - cosine_between_rows(large)


def _lengths(halves: tuple[torch.Tensor, torch.Tensor]) -> float:
    large, small = halves
    return float(small.norm(dim=-1).mean() / large.norm(dim=-1).mean())


def _predicted_rows(runs: Runs) -> tuple[torch.Tensor, torch.Tensor]:
    run = runs["imbalanced"]
    layer, decay = run.layer(), run.training.setting.decay
    K = len(layer.W)
    centred_H, centred_W = layer.H - layer.stats.global_mean, layer.W - layer.W.mean(0)
    decay_H = decay * float(centred_W.square().sum() / centred_H.square().sum())
    small = int(torch.bincount(layer.labels).min())
    sizes = tuple(torch.bincount(layer.labels).div(small, rounding_mode="floor").tolist())
    problem = Problem(CrossEntropy(), K, K, small, decay, decay_H, decay, sizes=sizes)
    W = problem.unpack(imbalanced_target(problem).point).W
    return _halves(W - W.mean(0))


def _accuracy_gap(runs: Runs) -> float:
    """Test accuracy on small classes less that on large ones."""
    layer = runs["imbalanced"].layer("test")
    right = (layer.logits.argmax(-1) == layer.labels).double()
    is_small = layer.labels >= len(layer.W) // 2
    return float(right[is_small].mean() - right[~is_small].mean())


STATEMENTS = (
    Statement(
        "mean cosine between rows of small classes less that of large ones: above 0",
        lambda runs: _cosine_gap(_rows(runs["imbalanced"])),
        low=0.0,
    ),
    Statement(
        "the same, within 20 % of the model's prediction",
        lambda runs: _cosine_gap(_rows(runs["imbalanced"])),
        low=0.8,
        high=1.2,
        predicted=lambda runs: _cosine_gap(_predicted_rows(runs)),
    ),
    Statement(
        "length of the rows of small classes over large ones, within 10 % of the model's prediction",
        lambda runs: _lengths(_rows(runs["imbalanced"])),
        low=0.9,
        high=1.1,
        predicted=lambda runs: _lengths(_predicted_rows(runs)),
    ),
    Statement("test accuracy on small classes less that on large ones: below 0", _accuracy_gap, high=0.0),
)
