"""Which statistics batch normalisation uses when a trained net is looked at.

Training normalises with the batch at hand, evaluation with running averages of past batches, which belong to past
parameters too. A loss that is stationary in training need not be so in evaluation. Two more ways to look tell how much
of a residual is due to that:

- *precise*: the averages of batch means and variances over the whole set at the final parameters (Wu and Johnson 2021,
  "Rethinking batch in BatchNorm", section 3), then evaluation;
- *batch*: the features that training itself sees, each image normalised with its batch.
"""

import copy

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet.data.images import Split
from deepnet.data.load import Data
from deepnet.measures.features import LastLayer, Precision, forward
from deepnet.nets.nets import Network

Index = Int[Tensor, " n"]
"""The samples of one batch."""


def normalises_batches(net: nn.Module) -> bool:
    """Whether there is a batch normalisation in it."""
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


def _in_training(net: Network, momentum: float | None) -> Network:
    """A copy in training mode; momentum 0 keeps the running statistics, None starts a plain average."""
    net = copy.deepcopy(net).train()
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = momentum
            if momentum is None:
                module.reset_running_stats()
    return net
