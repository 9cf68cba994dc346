"""Calibration of a net's probabilities: negative log likelihood, expected calibration error, temperature scaling.

All of it after Guo, Pleiss, Sun and Weinberger 2017 (On calibration of modern neural networks). Probabilities are the
softmax of the logits, also for nets trained with squared error, whose logits are no log-odds: read theirs with care.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepnet.data.load import Data
from deepnet.measures.features import Precision, last_layer
from deepnet.nets.nets import Network
from ufm.arguments import Rule, class_labels, floats, integer, optional, takes, tensor
from ufm.errors import check
from ufm.labels import labels_below
from ufm.theory.roots import root
from ufm.tolerances import LOG_TEMPERATURE

BINS = 15
"""Guo et al. 2017 use 15 bins of equal width."""
TEMPERATURES = (1e-3, 1e3)
"""The range that `fit_temperature` searches; its lower end stands for 0, the best on a split without mistakes."""

Logits = Float[Tensor, "N K"]
Labels = Int[Tensor, " N"]
Bins = Float[Tensor, " bins"]
PAIR = Rule(lambda v: isinstance(v, tuple | list) and len(v) == 2, "a pair of logits and labels")


@dataclass(frozen=True)
class ReliabilityBin:
    """The samples of confidence in (low, high]: their number, mean confidence, and the share that is right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@takes(logits=tensor("N", "K", dtypes=floats), labels=class_labels)
def negative_log_likelihood(logits: Logits, labels: Labels) -> Float[Tensor, ""]:
    """The mean of -log p_y (Guo et al. 2017, section 2, there summed)."""
    return torch.nn.functional.cross_entropy(logits.double(), labels_below(labels, logits.shape[-1]))


@takes(logits=tensor("N", "K", dtypes=floats), labels=class_labels, bins=integer(1))
def expected_calibration_error(logits: Logits, labels: Labels, bins: int = BINS) -> Float[Tensor, ""]:
    """The sum over bins of |B|/N |accuracy(B) - confidence(B)| (Guo et al. 2017, section 2)."""
    _, confidence, right = _binned(logits, labels, bins)
    return (right - confidence).abs().sum() / len(labels)


@takes(logits=tensor("N", "K", dtypes=floats), labels=class_labels, bins=integer(1))
def reliability(logits: Logits, labels: Labels, bins: int = BINS) -> list[ReliabilityBin]:
    """The reliability diagram as a table; an empty bin has nan for confidence and accuracy."""
    columns = [column.tolist() for column in _binned(logits, labels, bins)]
    return [
        ReliabilityBin(
            m / bins, (m + 1) / bins, int(n), *(total / n if n else math.nan for total in (sum_p, sum_right))
        )
        for m, (n, sum_p, sum_right) in enumerate(zip(*columns, strict=True))
    ]


@takes(logits=tensor("N", "K", dtypes=floats), labels=class_labels)
def fit_temperature(logits: Logits, labels: Labels) -> float:
    """The T > 0 that minimises the negative log likelihood of logits / T (Guo et al. 2017, section 4.2), exactly.

    It is convex in 1/T, with derivative (1/N) sum_i (sum_k p_k z_k - z_y): one root in `TEMPERATURES`, or an end of it.
    """
    logits, labels = logits.double(), labels_below(labels, logits.shape[-1])
    check(len(labels) > 0, "labels", len(labels), "at least one sample")
    own = logits.gather(-1, labels[:, None])[:, 0]

    def slope(log_inverse: float) -> float:
        p = (logits * math.exp(log_inverse)).softmax(-1)
        return float(((p * logits).sum(-1) - own).mean())

    low, high = sorted(-math.log(T) for T in TEMPERATURES)
    if slope(low) >= 0:
        return TEMPERATURES[1]
    if slope(high) <= 0:
        return TEMPERATURES[0]
    return math.exp(-root(slope, low, high, LOG_TEMPERATURE))


@takes(fitted_on=optional(PAIR), measured_on=PAIR, bins=integer(1))
def calibration(
    fitted_on: tuple[Logits, Labels] | None,
    measured_on: tuple[Float[Tensor, "M K"], Int[Tensor, " M"]],
    bins: int = BINS,
) -> dict[str, Any]:
    """Errors and reliability table of one split; given a second split, also those at the temperature fitted on it.

    Args:
        fitted_on: Logits and labels of the validation split; None leaves temperature scaling out.
        measured_on: Those of the test split.
        bins: Number of bins of equal width.
    """
    logits, labels = measured_on
    result: dict[str, Any] = {"bins": bins, "as_trained": _errors(logits, labels, bins)}
    if fitted_on is not None:
        T = fit_temperature(*fitted_on)
        result |= {"temperature": T, "scaled": _errors(logits.double() / T, labels, bins)}
    return result


def calibration_of(net: Network, data: Data, precision: Precision) -> dict[str, Any]:
    """`calibration` of the test images, the temperature fitted on the validation images where there are any."""
    splits = {
        name: (layer.logits, layer.labels)
        for name, split in data.splits.items()
        if name in ("validation", "test")
        for layer in [last_layer(net, data, split, precision)]
    }
    return calibration(splits.get("validation"), splits["test"])


def _errors(logits: Logits, labels: Labels, bins: int) -> dict[str, Any]:
    return {
        "nll": float(negative_log_likelihood(logits, labels)),
        "ece": float(expected_calibration_error(logits, labels, bins)),
        "reliability": [asdict(entry) for entry in reliability(logits, labels, bins)],
    }


def _binned(logits: Logits, labels: Labels, bins: int) -> tuple[Bins, Bins, Bins]:
    """Number of samples, summed confidence and number of right samples per bin (low, high]."""
    check(bins >= 1, "bins", bins, ">= 1")
    check(len(labels) > 0, "labels", len(labels), "at least one sample")
    labels = labels_below(labels, logits.shape[-1])
    confidence, guess = logits.double().softmax(-1).max(-1)
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    parts = (torch.ones_like(confidence), confidence, (guess == labels).double())
    count, sum_p, right = (torch.zeros_like(confidence[:1]).repeat(bins).index_add(0, index, part) for part in parts)
    return count, sum_p, right
