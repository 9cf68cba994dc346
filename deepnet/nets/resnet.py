"""The blocks of residual networks (`deepnet/nets/conv_net.py` stacks them).

`Bottleneck` with 3, 4, 6, 3 blocks is the ResNet-50 of Zhou et al. 2022 (all losses are created
equal): only its 3x3 convolution scales with the width, as in torchvision's `wide_resnet50_2`, so that features have
dimension 2,048 at every width. `BasicBlock` with 2, 2, 2, 2 blocks is the ResNet-18 of He et al. 2016; every one of
its channels scales, features have dimension 512 times the width. `PreActivation` with 2, 2, 2, 2 blocks is the
pre-activation ResNet-18 of He et al. 2016, "Identity mappings in deep residual networks".
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepnet.nets.batch_norm import BatchNorm2d
from deepnet.nets.conv_net import Block, convolution


class Residual(Block):
    """A branch of convolutions, normalised, added to a shortcut, which is projected where the shape changes."""

    def __init__(self, branch: nn.Sequential, size_in: int, size_out: int, stride: int) -> None:
        super().__init__()
        self.branch = branch
        self.normalisation = BatchNorm2d(size_out)
        keeps_shape = stride == 1 and size_in == size_out
        projection = (convolution(size_in, size_out, 1, stride), BatchNorm2d(size_out, is_rectified=False))
        self.shortcut = nn.Sequential() if keeps_shape else nn.Sequential(*projection)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One residual step."""
        y: torch.Tensor = self.normalisation(self.branch(x), self.shortcut(x))
        return y

    def start_at_zero(self) -> None:
        """Make the block its shortcut: the scale of the branch's last batch normalisation is zero."""
        nn.init.zeros_(self.normalisation.weight)


class Bottleneck(Residual):
    """1x1, 3x3, 1x1 convolutions; the width scales the inner one."""

    def __init__(self, size_in: int, base: int, width: float, stride: int) -> None:
        inner, size_out = int(base * width), self.size_out(base, width)
        reduce, spatial = convolution(size_in, inner, 1), convolution(inner, inner, 3, stride)
        expand = convolution(inner, size_out, 1)
        branch = nn.Sequential(reduce, BatchNorm2d(inner), spatial, BatchNorm2d(inner), expand)
        super().__init__(branch, size_in, size_out, stride)

    @staticmethod
    def size_out(base: int, _: float) -> int:
        """4 times those of its stage at width 1."""
        return 4 * base

    @staticmethod
    def stem(_: float) -> int:
        """64 at every width."""
        return 64


class BasicBlock(Residual):
    """Two 3x3 convolutions; the width scales every channel."""

    def __init__(self, size_in: int, base: int, width: float, stride: int) -> None:
        size = self.size_out(base, width)
        first, second = convolution(size_in, size, 3, stride), convolution(size, size, 3)
        branch = nn.Sequential(first, BatchNorm2d(size), second)
        super().__init__(branch, size_in, size, stride)


class PreActivation(Block):
    """Normalisation and ReLU before each of two 3x3 convolutions; the sum with the shortcut is left as it is."""

    normalises_its_output = False

    def __init__(self, size_in: int, base: int, width: float, stride: int) -> None:
        super().__init__()
        size = self.size_out(base, width)
        self.normalisation = BatchNorm2d(size_in)
        first, second = convolution(size_in, size, 3, stride), convolution(size, size, 3)
        self.branch = nn.Sequential(first, BatchNorm2d(size), second)
        keeps_shape = stride == 1 and size_in == size
        self.shortcut = None if keeps_shape else convolution(size_in, size, 1, stride)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One residual step; a projection sees what the branch sees."""
        seen: Tensor = self.normalisation(x)
        y: Tensor = self.branch(seen) + (x if self.shortcut is None else self.shortcut(seen))
        return y
