"""Fifteen numbers of a last layer at an epoch, which suffice to compare it with theory later, without the net.

Rows are samples: G (N, K) is the gradient of the mean loss in the logits, h_i the features, mu_k their class means,
mu_G the mean of the mu_k, M (K, d) the rows mu_k - mu_G. "Centred" means less the mean of the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from deepnet.measures.features import LastLayer
from ufm.arguments import any_number, check_fields, instance, positive, takes
from ufm.collapse import FeatureStats, chunks, cosines
from ufm.errors import check
from ufm.model.loss import Loss


@dataclass(frozen=True)
class Reading:
    """The numbers of one last layer on one split that theory needs.

    Attributes:
        loss: mean training loss.
        margin: mean over samples of the label's logit less the mean of the others.
        p_y: mean softmax probability of the label.
        norm_w, norm_w_raw: root mean square over classes of |w_k|, of the centred and of the original W.
        norm_h, norm_h_raw: root mean square of |h_i - mu_G| and of |h_i|.
        norm_global_mean: |mu_G|.
        self_duality_cosine: <W, M> / |W| |M| for the centred W.
        mean_cosine: mean over pairs of classes of the cosine of their centred means.
        dimensions: tr(A)^2 / tr(A^2) with A = M M', the participation ratio: dimensions that class means fill evenly.
        between_share: variance between classes over total variance.
        gradient_norm, gradient_along_W, norm_W: |G'H|, <G'H, W> and |W|, all Frobenius.
    """

    loss: float
    margin: float
    p_y: float
    norm_w: float
    norm_w_raw: float
    norm_h: float
    norm_h_raw: float
    norm_global_mean: float
    self_duality_cosine: float
    mean_cosine: float
    dimensions: float
    between_share: float
    gradient_norm: float
    gradient_along_W: float
    norm_W: float

    def __post_init__(self) -> None:
        check_fields(self, **dict.fromkeys(vars(self), any_number))

    @classmethod
    @takes(measures=instance(Mapping))
    def from_measures(cls, measures: Mapping[str, Any]) -> "Reading":
        """The reading in a split's line of `metrics.jsonl`; null becomes nan.

        Raises:
            ValueError: if a field is missing, or is not a number.
        """
        missing = [field.name for field in fields(cls) if field.name not in measures]
        check(not missing, "measures", f"nothing of {', '.join(missing)}", "the measures of a split")
        values = {field.name: measures[field.name] for field in fields(cls)}
        return cls(**{name: float("nan") if value is None else value for name, value in values.items()})

    @takes(decay=positive)
    def stationarity(self, decay: float) -> float:
        """|G'H + decay W| / |decay W|: 0 for a stationary last layer, 1 if the loss gradient balances nothing."""
        return stationarity(vars(self), decay)

    @takes(decay=positive)
    def balance(self, decay: float) -> float:
        """-<G'H, W> / decay |W|^2: how much of the decay of |W| the loss gradient balances, 1 for a stationary |W|."""
        return -self.gradient_along_W / (decay * self.norm_W**2)


def read(layer: LastLayer, loss: Loss, stats: FeatureStats) -> dict[str, Float[Tensor, ""]]:
    """The fields of `Reading` but the loss, on the device of the features, float64; classes weigh the same."""
    logits, labels, W = layer.logits.double(), layer.labels, layer.W.double()
    W0, M = W - W.mean(0), stats.centred_means
    between, gram = M.square().sum() / len(M), M @ M.mT
    own = logits.gather(-1, labels[:, None])[:, 0]
    return {
        "margin": (own - (logits.sum(-1) - own) / (len(M) - 1)).mean(),
        "p_y": logits.softmax(-1).gather(-1, labels[:, None]).mean(),
        "norm_w": (W0.square().sum() / len(M)).sqrt(),
        "norm_w_raw": (W.square().sum() / len(M)).sqrt(),
        "norm_h": (stats.within_trace + between).sqrt(),
        "norm_h_raw": stats.mean_square_norm.sqrt(),
        "norm_global_mean": stats.global_mean.norm(),
        "self_duality_cosine": (W0 * M).sum() / W0.norm() / M.norm(),
        "mean_cosine": cosines(M).mean(),
        "dimensions": gram.trace().square() / gram.square().sum(),
        "between_share": between / (stats.within_trace + between),
        **pulls(layer, loss),
    }


def pulls(layer: LastLayer, loss: Loss) -> dict[str, Float[Tensor, ""]]:
    """The loss gradient in W, of all samples alike, as `stationarity` needs it; float64."""
    W = layer.W.double()
    gradient = loss.value_and_gradient(layer.logits.double(), layer.labels)[1] / len(layer.labels)
    pulled = torch.stack([gradient[rows].mT @ layer.H[rows].double() for rows in chunks(layer.H)]).sum(0)
    return {"gradient_norm": pulled.norm(), "gradient_along_W": (pulled * W).sum(), "norm_W": W.norm()}


def stationarity(measures: Mapping[str, float], decay: float) -> float:
    """|G'H + decay W| / |decay W|, from a split's measures: 0 for a stationary last layer."""
    pull = decay * measures["norm_W"]
    square = measures["gradient_norm"] ** 2 + 2 * decay * measures["gradient_along_W"] + pull**2
    return max(0.0, square) ** 0.5 / pull
