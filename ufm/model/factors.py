"""The matrices that a point of any model consists of, and what relabelling, turning and widening do to them.

    logits = H W_1' ... W_L' W' + b :  H, W on the outside, layers between in a model that has some

An orthogonal matrix per feature space goes in between without a trace in the logits; here it is the same one in all.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, integer, takes, tensor
from ufm.model.deep import DeepProblem, Layers
from ufm.model.model import Model, Point
from ufm.model.problem import Problem
from ufm.model.spheres import SphereProblem


class Factors(NamedTuple):
    """Classifier W, layers between, features H, bias b (zero where there is none); of spheres vectors of any length."""

    W: Float[Tensor, "*batch K d"]
    inner: Layers
    H: Float[Tensor, "*batch N d"]
    b: Float[Tensor, "*batch K"]


@takes(model=instance(Model), x=tensor(..., None))
def factors_of(model: Model, x: Float[Tensor, "*batch P"]) -> Factors:
    """The matrices that the flat vector holds.

    Raises:
        TypeError: if the model is none of `Problem`, `SphereProblem` and `DeepProblem`.
    """
    match model:
        case Problem():
            W, H, b = model.unpack(x)
            return Factors(W, [], H, b)
        case DeepProblem():
            return Factors(*model.factorised(x))
        case SphereProblem():
            W, H = torch.split(x.view(*x.shape[:-1], -1, model.d), [model.K, model.N], -2)
            return Factors(W, [], H, torch.zeros_like(W[..., 0]))
    raise TypeError(f"the factors of a {type(model).__name__} are not known.")


def packed(model: Model, factors: Factors) -> Float[Tensor, "*batch P"]:
    """The flat vector of these matrices.

    Raises:
        TypeError: as `factors_of`.
    """
    W, inner, H, b = factors
    match model:
        case Problem():
            return model.pack(Point(W, H, b))
        case DeepProblem():
            return model.assembled(W, inner, H, b)
        case SphereProblem():
            return torch.cat([W, H], -2).flatten(-2)
    raise TypeError(f"the factors of a {type(model).__name__} are not known.")


def relabelled(
    factors: Factors, classes: Int[Tensor, " K"], samples: Int[Tensor, " N"], turn: Float[Tensor, "d d"]
) -> Factors:
    """Class k and sample i become those numbered `classes[k]` and `samples[i]`, every feature space is turned."""
    W, inner, H, b = factors
    layers = [turn.mT @ layer @ turn for layer in inner]
    return Factors(W[..., classes, :] @ turn, layers, H[..., samples, :] @ turn, b[..., classes])


@takes(small=instance(Model), model=instance(Model), x=tensor(None, None))
def widened(small: Model, model: Model, x: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
    """The points with fewer feature columns, the missing ones zero: critical where they were critical."""
    missing = model.d - small.d
    W, inner, H, b = factors_of(small, x)
    pad = torch.nn.functional.pad
    layers = [pad(layer, (0, missing, 0, missing)) for layer in inner]
    return packed(model, Factors(pad(W, (0, missing)), layers, pad(H, (0, missing)), b))


@takes(model=instance(Model), d=integer(1))
def with_dimension(model: Model, d: int) -> Model:
    """The same model with d feature columns."""
    return replace(model, d=d)
