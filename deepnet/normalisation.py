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
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet.data import Data, Split
from deepnet.features import LastLayer, Precision, forward


@torch.no_grad()
def batch_layer(net: nn.Module, data: Data, split: Split, precision: Precision, order: list[torch.Tensor]) -> LastLayer:
    """The last layer under batch statistics, the samples batched in this order; the net is left as it was."""
    net = _with_momentum(net, 0.0)
    H = torch.empty(len(split.labels), net.feature_size, device=split.images.device)
    for index in order:
        H[index] = forward(net, data.normalise(split.images[index]), precision)[1]
    return LastLayer(H, split.labels, net.classifier.W.detach(), net.classifier.b.detach())


@torch.no_grad()
def with_precise_statistics(
    net: nn.Module, data: Data, split: Split, precision: Precision, order: list[torch.Tensor]
) -> nn.Module:
    """A copy of the net whose running statistics are plain averages over the batches of a split."""
    net = _with_momentum(net, None)
    for index in order:
        forward(net, data.normalise(split.images[index]), precision)
    return net.eval()


def _with_momentum(net: nn.Module, momentum: float | None) -> nn.Module:
    """A copy in training mode; momentum 0 keeps the running statistics, None starts a plain average."""
    net = copy.deepcopy(net).train()
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = momentum
            if momentum is None:
                module.reset_running_stats()
    return net
