"""Rows of classes with few images point closer to each other than those of large classes, and are shorter.

Source: Fang et al. 2021 (layer-peeled model, minority collapse), Thrampoulidis et al. 2022 (imbalance trouble, SELI)

Half of the classes have 10 times fewer images; there are fewer steps an epoch, and the decay needs steps to act, so the
runs end in a terminal phase. The prediction is the unconstrained feature model's minimum for these class
sizes, minimised with a dual bound, at decays balanced on the net. Its features are the net's less their mean mu over
the samples, H_0. With G the gradient in the logits, a stationary last layer has G'H = -decay W, G'1 = -decay b, hence
G'H_0 = -decay W_0 with W_0 = W - b mu': the rows of W hold a share of the bias. If W_0 mu = 0, W_0 is the part of W
orthogonal to mu, which is what is measured, and the logits that all samples share are (1 + |mu|^2) b, so that the
bias's decay is decay / (1 + |mu|^2) (as in `deepnet/comparison/compare.py`). A net that is not stationary on clean
images in eval mode (`Reading.stationarity`) obeys this only so far.

For small decays and without a bias the limit is a closed form (SELI, `theory_checks/seli_minority_angle.py`); with a
free bias it is not, and with one that decays it is reached logarithmically at best.
"""

from dataclasses import dataclass

import torch

from deepnet.experiments.measures import cosines_between_rows
from deepnet.experiments.run import TERMINAL
from deepnet.experiments.statement import Runs, Statement
from deepnet.measures.features import LastLayer
from ufm.model.losses import CrossEntropy
from ufm.model.problem import Problem
from ufm.theory.imbalance import imbalanced_target

FACTOR = 10.0
RUNS = {"balanced": {}, "imbalanced": {"imbalance": FACTOR, **TERMINAL}}


@dataclass(frozen=True)
class Centred:
    """A last layer without what its samples share.

    Attributes:
        H: features less their mean over the samples.
        W: rows less their mean and less their part along the features' mean.
        squared_mean: |mu|^2 of that mean.
    """

    H: torch.Tensor
    W: torch.Tensor
    squared_mean: float

    @classmethod
    def of(cls, layer: LastLayer) -> "Centred":
        """Take the means away."""
        mu = layer.H.mean(0)
        W, square = layer.W - layer.W.mean(0), mu @ mu
        return cls(layer.H - mu, W - torch.outer(W @ mu, mu) / square, float(square))


def _rows(runs: Runs) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of the large and of the small classes."""
    return _halves(Centred.of(runs["imbalanced"].layer()).W)


def _halves(W: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return W[: len(W) // 2], W[len(W) // 2 :]


def _cosine_gap(halves: tuple[torch.Tensor, torch.Tensor]) -> float:
    large, small = halves
    return float(cosines_between_rows(small).mean() - cosines_between_rows(large).mean())


def _lengths(halves: tuple[torch.Tensor, torch.Tensor]) -> float:
    large, small = halves
    return float(small.norm(dim=-1).mean() / large.norm(dim=-1).mean())


def _predicted_rows(runs: Runs) -> tuple[torch.Tensor, torch.Tensor]:
    run = runs["imbalanced"]
    problem = balanced_problem(run.layer(), run.training.setting.decay)
    W = problem.unpack(imbalanced_target(problem).point).W
    return _halves(W - W.mean(0))


def balanced_problem(layer: LastLayer, decay: float) -> Problem:
    """The model of these class sizes with decay |W|^2 = decay_H |H|^2 of the centred layer."""
    K, centred = len(layer.W), Centred.of(layer)
    decay_H = decay * float(centred.W.square().sum() / centred.H.square().sum())
    decay_b = decay / (1 + centred.squared_mean)
    small = int(torch.bincount(layer.labels).min())
    sizes = tuple(torch.bincount(layer.labels).div(small, rounding_mode="floor").tolist())
    return Problem(CrossEntropy(), K, K, small, decay, decay_H, decay_b, sizes=sizes)


def _accuracy_gap(runs: Runs) -> float:
    """Test accuracy on small classes less that on large ones."""
    layer = runs["imbalanced"].layer("test")
    right = (layer.logits.argmax(-1) == layer.labels).double()
    is_small = layer.labels >= len(layer.W) // 2
    return float(right[is_small].mean() - right[~is_small].mean())


STATEMENTS = (
    Statement(
        "mean cosine between rows of small classes less that of large ones: above 0",
        lambda runs: _cosine_gap(_rows(runs)),
        low=0.0,
        strict=True,
    ),
    Statement(
        "the same, within 20 % of the model's prediction",
        lambda runs: _cosine_gap(_rows(runs)),
        low=0.8,
        high=1.2,
        predicted=lambda runs: _cosine_gap(_predicted_rows(runs)),
    ),
    Statement(
        "length of the rows of small classes over large ones, within 10 % of the model's prediction",
        lambda runs: _lengths(_rows(runs)),
        low=0.9,
        high=1.1,
        predicted=lambda runs: _lengths(_predicted_rows(runs)),
    ),
    Statement("test accuracy on small classes less that on large ones: below 0", _accuracy_gap, high=0.0, strict=True),
)
