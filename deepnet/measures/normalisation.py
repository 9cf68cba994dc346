"""The statistics that batch normalisation uses when a trained net is measured.

Training normalises with the batch at hand, evaluation with running averages of past batches, which belong to past
parameters too. A loss that is stationary in training need not be so in evaluation. Two more ways to look tell how much
of a residual is due to that:

- *precise*: the averages of batch means and variances over the whole set at the final parameters (Wu and Johnson 2021,
  "Rethinking batch in BatchNorm", section 3), then evaluation;
- *batch*: the features that training itself sees, each image normalised with its batch.
"""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet.data.images import Split
from deepnet.data.load import Data
from deepnet.measures.features import LastLayer, Precision, forward, last_layer
from deepnet.nets.nets import Network

Index = Int[Tensor, " n"]
"""The samples of one batch."""


def normalises_batches(net: nn.Module) -> bool:
    """Whether a net contains a batch normalisation."""
    return any(isinstance(module, _BatchNorm) for module in net.modules())


@torch.no_grad()
def batch_layer(net: Network, data: Data, split: Split, precision: Precision, order: list[Index]) -> LastLayer:
    """The last layer under batch statistics, its samples those of the batches in their order, repetitions and all.

    Several random passes joined are an average over batches. The net is left as it was.
    """
    net = _in_training(net, 0.0)
    H = [forward(net, data.normalise(split.images[index]), precision)[1] for index in order]
    labels = split.labels[torch.cat(order)]
    return LastLayer(torch.cat(H), labels, net.classifier.W.detach(), net.classifier.b.detach())


@torch.no_grad()
def with_precise_statistics(
    net: Network, data: Data, split: Split, precision: Precision, order: list[Index]
) -> Network:
    """A copy of the net whose running statistics are plain averages over the batches of a split."""
    net = _in_training(net, None)
    for index in order:
        forward(net, data.normalise(split.images[index]), precision)
    return net.eval()


@torch.no_grad()
def largest_second_moment(
    net: Network, layers: Sequence[_BatchNorm], data: Data, split: Split, precision: Precision
) -> float:
    """The q of `deepnet/comparison/price.py`: how much evaluation lets unit scale and shift give a channel at most.

    The largest eigenvalue of ((mean x^^2, mean x^), (mean x^, 1)) over the channels of the layers, x^ what running
    statistics make of a channel's input, means over the images (and pixels) of the split. 1 if they are its own.
    """
    sums = {layer: torch.zeros(3, layer.num_features, dtype=torch.float64, device=data.mean.device) for layer in layers}

    def add(layer: _BatchNorm, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        x = inputs[0].double().movedim(1, -1).flatten(0, -2)
        x = (x - layer.running_mean.double()) * (layer.running_var.double() + layer.eps).rsqrt()
        sums[layer] += torch.stack([x.sum(0), x.square().sum(0), torch.ones_like(x).sum(0)])

    hooks = [layer.register_forward_hook(add) for layer in layers]
    last_layer(net, data, split, precision)
    for hook in hooks:
        hook.remove()
    total, squares, count = torch.cat([*sums.values()], dim=1)
    mean, square = total / count, squares / count
    return float((1 + square + ((1 - square).square() + 4 * mean.square()).sqrt()).max() / 2)


def _in_training(net: Network, momentum: float | None) -> Network:
    """A copy in training mode; momentum 0 keeps the running statistics, None starts a plain average."""
    net = copy.deepcopy(net).train()
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = momentum
            if momentum is None:
                module.reset_running_stats()
    return net
