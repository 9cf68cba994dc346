"""Further last layers collapse more from layer to layer, are aligned with their neighbours and have rank K.

Source: Tirer and Bruna 2022 (extended unconstrained features), Ergen and Pilanci 2021 (deep nets, convex duality)

Squared error without bias, three layers after the body; in one run a ReLU follows each but the last. What is said of
alignment and rank holds where the decay has had the time to act, so the runs end in a terminal phase.
Alignment of linear layers is no prediction but an identity of stationarity, whatever the loss: W_l W_l' - W_{l+1}'
W_{l+1} falls as exp(-2 decay t) under gradient flow, and it says that the decay had that time.
"""

from functools import partial
from itertools import pairwise

import torch

from deepnet.experiments.measures import cosines_between_rows, share_of_top
from deepnet.experiments.run import TERMINAL, Run
from deepnet.experiments.statement import Runs, Statement
from deepnet.nets.heads import Layers
from ufm.collapse import FeatureStats, nc1_trace

TRIED = "a third of the epochs, on the digits."
RUNS = {
    name: {"loss": {"name": "mse"}, **TERMINAL, "head": {"name": "layers", "count": 3, "relu": relu}}
    for name, relu in (("linear", False), ("relu", True))
}


def _head(run: Run) -> Layers:
    head = run.training.net.classifier
    assert isinstance(head, Layers)
    return head


def _matrices(run: Run) -> list[torch.Tensor]:
    return [matrix.detach().double() for matrix in _head(run).matrices]


@torch.no_grad()
def _inputs(run: Run) -> list[torch.Tensor]:
    """What each layer of the head sees of the training images."""
    training = run.training
    training.net.eval()
    images = training.data.normalise(training.data.splits["train"].images)
    return _head(run).inputs(training.net.body(images).float())


def _falls(runs: Runs, name: str) -> float:
    """Largest ratio of NC1 of a layer's input to that of the layer before."""
    run = runs[name]
    layer = run.layer()
    values = [float(nc1_trace(FeatureStats.from_features(H, layer.labels, layer.W, layer.b))) for H in _inputs(run)]
    return max(after / before for before, after in pairwise(values))


def _alignment(runs: Runs) -> float:
    """Smallest cosine between W_l W_l' and W_{l+1}' W_{l+1}."""
    matrices = _matrices(runs["linear"])
    pairs = ((A @ A.mT, B.mT @ B) for A, B in pairwise(matrices))
    return min(float((A * B).sum() / A.norm() / B.norm()) for A, B in pairs)


def _rank(runs: Runs, name: str) -> float:
    """Smallest share of a layer's squared norm in its K largest singular values."""
    run = runs[name]
    K = run.training.data.classes
    return min(share_of_top(matrix, K) for matrix in _matrices(run))


def _cosine(runs: Runs, name: str) -> float:
    """Mean |cosine| between class means (not centred) of the last layer's input."""
    return float(cosines_between_rows(runs[name].layer().stats.class_means).abs().mean())


STATEMENTS = (
    *(
        Statement(
            f"NC1 from layer to layer, {name}, largest ratio: below 1",
            partial(_falls, name=name),
            high=1.0,
            strict=True,
        )
        for name in RUNS
    ),
    Statement(
        "alignment of adjacent linear layers, cos(W_l W_l', W_{l+1}' W_{l+1}): at least 0.99 (any loss: an identity of "
        "stationarity)",
        _alignment,
        low=0.99,
        tried=TRIED,
    ),
    *(
        Statement(
            f"share of each layer's squared norm in its K largest singular values, {name}: at least 0.99",
            partial(_rank, name=name),
            low=0.99,
            tried=TRIED,
        )
        for name in RUNS
    ),
    *(
        Statement(
            f"class means of the last layer's input are orthogonal, {name}: mean |cosine| at most 0.05",
            partial(_cosine, name=name),
            high=0.05,
        )
        for name in RUNS
    ),
)
