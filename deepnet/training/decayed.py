"""The parameters that decay in a terminal block, and the symmetry along which only the decay acts.

Weights that a batch normalisation follows have no scale: the loss does not change with their norm, which decay sends to
zero, so that an objective with their decay has no minimiser. What the loss feels the scale of are the last layer and
the scales and shifts of the batch normalisations whose sum the features are (`deepnet/nets/scales.py`), and linear maps
between the two. Shifts and scales of earlier batch normalisations are followed by another one. Where features and rows
of the last layer have norm 1, nothing has a scale.
"""

import torch
from torch import nn

from deepnet.nets.heads import Linear, Normalised
from deepnet.nets.nets import Network
from deepnet.nets.scales import Scales, scales, scales_before_head, writers
from ufm.errors import RequestError


def decayed(net: Network) -> list[nn.Parameter]:
    """The parameters that decay: the head and the scales of what it sees, or all where no normalisation takes a scale.

    Raises:
        ValueError: if the net normalises and the scales of its features are not known.
    """
    if isinstance(net.classifier, Normalised):
        return []
    if not _normalises(net) or writers(net) is not None:
        return [parameter for parameter in net.parameters() if parameter.requires_grad]
    found = scales_before_head(net)
    if found is None:
        raise RequestError(
            "`--terminal` must be 0 with a network that normalises and is your own, or `vit_unnormalised` behind a "
            "linear map, unless --head is normalised: which parameters have a scale is not known there."
        )
    return [*net.classifier.parameters(), *found.parameters]


def _normalises(net: Network) -> bool:
    """Whether a layer before the last one, of torch or of others, is called a norm."""
    layers = [*net.body.modules(), *net.classifier.reduce.modules()]
    return any("norm" in type(layer).__name__.lower() for layer in layers)


@torch.no_grad()
def balance(net: Network) -> None:
    """Move along the symmetries of a net, channel by channel, to the least decay term.

    A feature h_c is homogeneous of degree 1 in its scales and shifts theta_c: theta_c -> s theta_c, w_c -> w_c / s
    changes no logit if the convolutions that read the channel divide by s. Least at s^2 = |w_c| / |theta_c|, where
    |w_c| = |theta_c|. Large targets feel these directions so little beside others that iterations find them late.
    """
    found = scales(net)
    if not isinstance(found, Scales) or not isinstance(net.classifier, Linear) or not found.is_rectified:
        return
    own = torch.stack([parameter.square() for parameter in found.parameters]).sum(0).sqrt()
    weight = net.classifier.weight.norm(dim=0)
    s = torch.where((own > 0) & (weight > 0), (weight / own).sqrt(), torch.ones_like(own))
    for parameter in found.parameters:
        parameter.mul_(s)
    net.classifier.weight.div_(s)
    for convolution in found.readers:
        convolution.weight.div_(s[:, None, None])
