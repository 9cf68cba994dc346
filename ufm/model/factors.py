"""Relabelling, rotating and widening the matrices of a point of any model (`Factors`).

An orthogonal matrix inserted between two factors leaves the logits as they are; here it is the same one in all feature
spaces.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, integer, takes, tensor
from ufm.model.model import Factors, Model


def relabelled(
    factors: Factors, classes: Int[Tensor, " K"], samples: Int[Tensor, " N"], turn: Float[Tensor, "d d"]
) -> Factors:
    """Class k and sample i become those numbered `classes[k]` and `samples[i]`, every feature space is turned."""
    W, inner, H, b = factors
    layers = [turn.mT @ layer @ turn for layer in inner]
    return Factors(W[..., classes, :] @ turn, layers, H[..., samples, :] @ turn, b[..., classes])


@takes(small=instance(Model), model=instance(Model), x=tensor(None, None))
def widened(small: Model, model: Model, x: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
    """Points of a model with fewer feature columns, filled up with columns of zeros; critical points stay critical."""
    missing = model.d - small.d
    W, inner, H, b = small.factorised(x)
    pad = torch.nn.functional.pad
    layers = [pad(layer, (0, missing, 0, missing)) for layer in inner]
    return model.assembled(pad(W, (0, missing)), layers, pad(H, (0, missing)), b)


@takes(model=instance(Model), d=integer(1))
def with_dimension(model: Model, d: int) -> Model:
    """The same model with d feature columns."""
    return replace(model, d=d)
