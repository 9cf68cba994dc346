"""The parameters whose size a loss feels through the features, found by a walk over the network itself.

Weights that a batch normalisation follows have no scale: only their direction counts (eps aside). What scales features
are the scales and shifts of the J batch normalisations whose sum is the residual stream that features are read from:
the last stage's, one a block, and the one of its projection, which replaces all that came before. In a net without
shortcuts each normalisation replaces what came before, and a pre-activation net normalises its whole stream at the end:
both have J = 1. Features are homogeneous of degree 1 in these together. What they cost is derived in
`deepnet/comparison/price.py`.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet.nets.conv_net import ConvNet, Plain
from deepnet.nets.heads import Linear
from deepnet.nets.nets import MLP, Network
from deepnet.nets.resnet import Residual
from deepnet.nets.transformer import Transformer


@dataclass(frozen=True)
class Scales:
    """The batch normalisations that features are a sum of.

    Attributes:
        normalisations: the J of them, the last one first.
        is_rectified: whether features come out of a ReLU, and so are not negative.
        readers: the convolutions that read their sum before features do.
    """

    normalisations: tuple[_BatchNorm, ...]
    is_rectified: bool
    readers: tuple[nn.Conv2d, ...] = ()

    @property
    def count(self) -> int:
        """J."""
        return len(self.normalisations)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Scale and shift of each."""
        return [parameter for normalisation in self.normalisations for parameter in normalisation.parameters()]


@dataclass(frozen=True)
class LayerScales:
    """The layer normalisation whose mean over tokens features are; it may have no scale and shift.

    Attributes:
        parameters: scale and shift, or none.
    """

    parameters: tuple[nn.Parameter, ...]


def scales(net: Network) -> Scales | LayerScales | None:
    """The scales of the features that a linear head sees, or None where no price is derived.

    None: no batch normalisation, a linear map between the last one and the features, or a head that is not linear.
    """
    is_read = isinstance(net.classifier, Linear) and isinstance(_before(net), nn.Identity | _BatchNorm)
    return scales_before_head(net) if is_read else None


def scales_before_head(net: Network) -> Scales | LayerScales | None:
    """The scales of what any head, with linear maps of its own, begins with; None if they are not known."""
    before = _before(net)
    if isinstance(before, _BatchNorm):
        return Scales((before,), is_rectified=False)
    match net.body:
        case ConvNet():
            return _of_maps(net.body)
        case Transformer(last=nn.LayerNorm() as last):
            return LayerScales(tuple(last.parameters()))
        case _:
            return None


def _before(net: Network) -> nn.Module:
    """The last thing that acts on what the last layer sees."""
    return list(net.classifier.reduce.modules())[-1]


def writers(net: Network) -> list[nn.Parameter] | None:
    """What writes the features that a linear head sees, where they are not normalised: homogeneous of degree 1 in them.

    Where everything decays, the sum of squares of W is theirs at every stationary point. None: features that are
    normalised, or a net or head of another kind.
    """
    is_read_directly = isinstance(net.classifier, Linear) and isinstance(net.classifier.reduce, nn.Identity)
    match net.body:
        case MLP() if is_read_directly:
            return list(net.body[-2].parameters())
        case Transformer(last=nn.Identity()) if is_read_directly:
            return net.body.writers
        case _:
            return None


def _of_maps(body: ConvNet) -> Scales:
    """Those from the pooled maps back to one that replaces all that came before."""
    if isinstance(body.last, _BatchNorm):
        return Scales((body.last,), is_rectified=True)
    found: list[Any] = []
    readers: list[Any] = []
    for block in reversed(body.blocks):
        found.append(block.normalisation)
        if isinstance(block, Plain):
            break
        assert isinstance(block, Residual)
        projection = [module for module in block.shortcut if isinstance(module, _BatchNorm)]
        if projection:
            found += projection
            break
        readers.append(block.branch[0])
    return Scales(tuple(found), is_rectified=True, readers=tuple(readers))
