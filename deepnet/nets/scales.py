"""The parameters whose size a loss feels through the features, found by a walk over the network itself.

Weights that a batch normalisation follows have no scale: only their direction counts (eps aside). What scales features
are the scales and shifts of the J batch normalisations whose sum is the residual stream that features are read from:
the last stage's, one a block, and the one of its projection, which replaces all that came before. Features are
homogeneous of degree 1 in them together. What they cost is derived in `deepnet/comparison/price.py`.
"""

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepnet.nets.heads import Linear
from deepnet.nets.nets import Network
from deepnet.nets.resnet import Residual, ResNet


@dataclass(frozen=True)
class Scales:
    """The batch normalisations that features are a sum of.

    Attributes:
        normalisations: the J of them, the last one first.
        is_rectified: whether features come out of a ReLU, and so are not negative.
    """

    normalisations: tuple[_BatchNorm, ...]
    is_rectified: bool

    @property
    def count(self) -> int:
        """J."""
        return len(self.normalisations)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Scale and shift of each."""
        return [parameter for normalisation in self.normalisations for parameter in normalisation.parameters()]


def scales(net: Network) -> Scales | None:
    """The scales of the features that a linear head sees, or None where no price is derived.

    None: no batch normalisation, a linear map between the last one and the features, or a head that is not linear.
    """
    if not isinstance(net.classifier, Linear):
        return None
    before = list(net.classifier.reduce.modules())[-1]  # the last thing that acts on what the last layer sees
    if isinstance(before, _BatchNorm):
        return Scales((before,), is_rectified=False)
    is_read_directly = isinstance(before, nn.Identity) and isinstance(net.body, ResNet)
    return Scales(_of_last_stage(net.body), is_rectified=True) if is_read_directly else None  # type: ignore[arg-type]


def _of_last_stage(body: ResNet) -> tuple[_BatchNorm, ...]:
    """Those of the blocks from the last one back to a projection, and the projection's."""
    found: list[_BatchNorm] = []
    for block in reversed(body.blocks):
        assert isinstance(block, Residual)
        found.append(block.normalisation)
        projection = [module for module in block.shortcut if isinstance(module, _BatchNorm)]
        if projection:
            return (*found, *projection)
    raise AssertionError("a ResNet's last stage halves the image, so its first block has a projection")
