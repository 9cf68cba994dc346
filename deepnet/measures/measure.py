"""The measures of a last layer at an epoch, which are the numbers in a line of `metrics.jsonl`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepnet.measures.calibration import expected_calibration_error, negative_log_likelihood
from deepnet.measures.features import LastLayer
from deepnet.measures.reading import read
from deepnet.measures.tags import measure_tags
from ufm.arguments import class_labels, floats, instance, integer, not_negative, takes, tensor
from ufm.collapse import collapse_metrics
from ufm.labels import labels_below
from ufm.model.loss import Loss
from ufm.model.losses import SquaredError
from ufm.model.pick_all_labels import PickAllLabels
from ufm.theory.central_path import split_along_central_path

Measure = Callable[[LastLayer, Any], dict[str, float]]
"""Maps a last layer on one split to numbers by name."""


@takes(loss=instance(Loss), decay=not_negative)
def measures_of(loss: Loss, decay: float) -> tuple[Measure, ...]:
    """The measures of a run with this loss and weight decay."""
    own = MEASURES.get(type(loss))
    return own(decay) if own else (measure,)


@takes(layer=instance(LastLayer), loss=instance(Loss))
def measure(layer: LastLayer, loss: Loss) -> dict[str, float]:
    """Mean loss, accuracy, calibration, every collapse metric and the fields of `Reading`, as floats by name."""
    logits, labels, stats = layer.logits, layer.labels, layer.stats
    values = {
        "loss": loss(logits, labels).double().mean(),
        "accuracy": loss.is_right(logits, labels).double().mean(),
        "top5_accuracy": top_accuracy(logits, labels, 5),
        "least_margin": least_margin(logits, labels),
        "nll": negative_log_likelihood(logits, labels),
        "ece": expected_calibration_error(logits, labels),
        **collapse_metrics(stats),
        **read(layer, loss, stats),
    }
    return _floats(values)


@takes(logits=tensor("N", "K", dtypes=floats), labels=class_labels, k=integer(1))
def top_accuracy(logits: Float[Tensor, "N K"], labels: Int[Tensor, " N"], k: int) -> Float[Tensor, ""]:
    """The share of samples whose label is among the k largest logits (1 for k classes or fewer)."""
    labels = labels_below(labels, logits.shape[-1])
    picked = logits.topk(min(k, logits.shape[-1])).indices
    return (picked == labels[:, None]).any(-1).double().mean()


@takes(logits=tensor("N", "K", dtypes=floats), labels=class_labels)
def least_margin(logits: Float[Tensor, "N K"], labels: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """The least margin, label's logit minus largest other one, over the samples; negative if one is misclassified."""
    labels = labels_below(labels, logits.shape[-1])
    own = logits.gather(-1, labels[:, None])[:, 0]
    others = logits.scatter(-1, labels[:, None], -torch.inf).amax(-1)
    return (own - others).min().double()


@takes(layer=instance(LastLayer), loss=instance(SquaredError), decay=not_negative)
def central_path(layer: LastLayer, loss: SquaredError, decay: float) -> dict[str, float]:
    """The terms of the squared error along and away from the central path (Han, Papyan, Donoho 2021)."""
    split = split_along_central_path(layer.H, layer.labels, layer.W, layer.b, decay, decay, loss)
    terms = {"loss": split.loss, "nc1": split.nc1, "nc23": split.nc23, "away": split.away}
    return _floats({f"central_path_{name}": value for name, value in terms.items()})


def _floats(values: dict[str, Tensor]) -> dict[str, float]:
    return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))


MEASURES: dict[type[Loss], Callable[[float], tuple[Measure, ...]]] = {
    SquaredError: lambda decay: (measure, partial(central_path, decay=decay)),
    PickAllLabels: lambda _: (measure_tags,),
}
"""Further measures for runs with certain losses, given the weight decay."""
