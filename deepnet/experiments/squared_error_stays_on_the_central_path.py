"""With squared error the classifier is the least-squares one of its features, up to a negligible part of the loss.

Source: Han, Papyan, Donoho 2021 (neural collapse under MSE loss)

The loss with the decay of the last layer is L_NC1 + L_NC2/3 + L_perp (`ufm/theory/central_path.py`). The
signal-to-noise matrix is S_W^(-1/2) M. Under the exact dynamics, d omega/dt ~ omega / (K + omega^2)^2 for its singular
values, so that all have the same increment of K^2 log omega + K omega^2 + omega^4 / 4 (that of the renormalised
gradient flow, with its metric fixed by S_W = I, and not of this training). The runs are three times as
long as the others: the last layer follows the features at the pace of the decay.
"""

import math
import statistics

import torch

from deepnet.experiments.run import Run
from deepnet.experiments.statement import Runs, Statement
from deepnet.measures.features import LastLayer
from ufm.model.loss import Loss
from ufm.tolerances import PSEUDO_INVERSE

TRIED = "a third of the epochs, on the digits."
RUNS = {"squared_error": {"loss": {"name": "mse"}, "longer": 3}}


def signal_to_noise(layer: LastLayer, _: Loss) -> dict[str, float]:
    """The K - 1 largest singular values of S_W^(-1/2) M, as `snr_1` >= `snr_2` >= ..."""
    stats = layer.stats
    M = stats.centred_means
    K = len(M)
    x = layer.H.double() - stats.class_means[layer.labels]
    within = x.mT @ x / len(x)
    gram = M @ torch.linalg.pinv(within, rtol=PSEUDO_INVERSE, hermitian=True) @ M.mT
    omega = torch.linalg.eigvalsh(gram).flip(0)[: K - 1].clamp(min=0).sqrt()
    return {f"snr_{j}": value for j, value in enumerate(omega.tolist(), 1)}


MEASURES = (signal_to_noise,)


def _late_share(runs: Runs) -> float:
    """Median over the second half of the epochs of L_perp over the whole."""
    run = runs["squared_error"]
    loss, away = (dict(run.curve(f"central_path_{name}")) for name in ("loss", "away"))
    return statistics.median(away[epoch] / loss[epoch] for epoch in loss if epoch > run.epochs / 2)


def _final_share(runs: Runs) -> float:
    run = runs["squared_error"]
    return run.last("central_path_away") / run.last("central_path_loss")


def _omega(run: Run, line: int) -> list[float]:
    measures = run.lines[line]["train"]
    return [measures[f"snr_{j}"] for j in range(1, run.training.data.classes)]


def _separating(run: Run) -> int:
    """The first measured epoch at which all training images are classified rightly."""
    return next((i for i, line in enumerate(run.lines) if line["train"]["accuracy"] == 1), len(run.lines) - 1)


def _spread(runs: Runs) -> float:
    """Largest over smallest singular value, at the end over when the training images are separated."""
    run = runs["squared_error"]
    first, last = _omega(run, _separating(run)), _omega(run, -1)
    return (last[0] / last[-1]) / (first[0] / first[-1])


def _increments(runs: Runs) -> float:
    """Smallest over largest increment of the exact dynamics' invariant from separation to the end."""
    run = runs["squared_error"]
    K = run.training.data.classes

    def clock(omega: float) -> float:
        return (K**2 * math.log(omega) if omega else -math.inf) + K * omega**2 + omega**4 / 4

    pairs = zip(_omega(run, _separating(run)), _omega(run, -1), strict=True)
    increments = [clock(last) - clock(first) for first, last in pairs]
    return min(increments) / max(increments)


STATEMENTS = (
    Statement(
        "L_perp over the loss, median of the second half of the epochs: at most 0.1", _late_share, high=0.1, tried=TRIED
    ),
    Statement("the same after the last epoch: at most 0.1", _final_share, high=0.1, tried=TRIED),
    Statement(
        "largest over smallest signal-to-noise singular value, end over separation of the classes: below 1",
        _spread,
        high=1.0,
        strict=True,
    ),
    Statement(
        "exact dynamics: smallest over largest increment of K^2 log w + K w^2 + w^4/4, predicted 1, above 0.9",
        _increments,
        low=0.9,
        strict=True,
    ),
)
