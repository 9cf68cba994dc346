"""Replacement of the last linear layer of an existing model."""

from typing import Any

import torch
from torch import nn

from deepnet.evaluation.last_linear import is_linear, last_linear, named
from deepnet.evaluation.watched import evaluating
from ufm.arguments import instance, takes
from ufm.errors import RequestError, check


@takes(model=instance(nn.Module), head=instance(nn.Module))
def replace_head(model: nn.Module, head: nn.Module, inputs: Any = None) -> str:
    """Replace the model's last linear layer by `head`, on its device and in its precision; return the layer's name.

    With `inputs`, which `model(inputs)` takes, it is the layer that gives the model's output, found by running it;
    without, the one that the model registered last, which is the same in torchvision's, timm's and Hugging Face's
    classifiers, but need not be where there are several heads.

    Raises:
        ValueError: if the model has no linear layer inside, or the head takes features of another length.
    """
    name = _last_registered(model) if inputs is None else _found(model, inputs)
    old: Any = named(model, name)
    size = getattr(head, "in_features", old.in_features)
    check(size == old.in_features, "head", f"one of {size}", f"one of {old.in_features} features, as {name} takes")
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, head.to(old.weight).train(old.training))
    return name


@torch.no_grad()
def _found(model: nn.Module, inputs: Any) -> str:
    with evaluating(model):
        return last_linear(model, lambda: model(inputs))


def _last_registered(model: nn.Module) -> str:
    names = [name for name, module in model.named_modules() if name and is_linear(module)]
    if not names:
        raise RequestError(f"`model` must have a linear layer inside, got a {type(model).__name__} without one.")
    return names[-1]
