"""Residual networks for 32 x 32 images up to their features: 3x3 stem, no max-pool, four stages, average pooling.

Two kinds of block. `Bottleneck` with 3, 4, 6, 3 blocks is the ResNet-50 of Zhou et al. 2022 (all losses are created
equal): only its 3x3 convolution scales with the width, as in torchvision's `wide_resnet50_2`, so that features have
dimension 2,048 at every width. `BasicBlock` with 2, 2, 2, 2 blocks is the ResNet-18 of He et al. 2016; every one of
its channels scales, features have dimension 512 times the width.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deepnet.nets.batch_norm import BatchNorm2d

_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels at width 1, stride of the first block


class Residual(nn.Module):
    """A branch of convolutions, normalised, added to a shortcut, which is projected where the shape changes."""

    def __init__(self, branch: nn.Sequential, size_in: int, size_out: int, stride: int) -> None:
        super().__init__()
        self.branch = branch
        self.normalisation = BatchNorm2d(size_out)
        keeps_shape = stride == 1 and size_in == size_out
        projection = (_convolution(size_in, size_out, 1, stride), BatchNorm2d(size_out, is_rectified=False))
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
        reduce, spatial = _convolution(size_in, inner, 1), _convolution(inner, inner, 3, stride)
        expand = _convolution(inner, size_out, 1)
        branch = nn.Sequential(reduce, BatchNorm2d(inner), spatial, BatchNorm2d(inner), expand)
        super().__init__(branch, size_in, size_out, stride)

    @staticmethod
    def size_out(base: int, _: float) -> int:
        """Channels after a block of a stage."""
        return 4 * base

    @staticmethod
    def stem(_: float) -> int:
        """Channels before the first block."""
        return 64


class BasicBlock(Residual):
    """Two 3x3 convolutions; the width scales every channel."""

    def __init__(self, size_in: int, base: int, width: float, stride: int) -> None:
        size = self.size_out(base, width)
        first, second = _convolution(size_in, size, 3, stride), _convolution(size, size, 3)
        branch = nn.Sequential(first, BatchNorm2d(size), second)
        super().__init__(branch, size_in, size, stride)

    @staticmethod
    def size_out(base: int, width: float) -> int:
        """Channels after a block of a stage."""
        return int(base * width)

    @staticmethod
    def stem(width: float) -> int:
        """Channels before the first block."""
        return int(64 * width)


class ResNet(nn.Module):
    """Images to features.

    Attributes:
        keeps_inside: whether a forward pass keeps the maps inside of blocks for the backward pass. If not, that one
            computes them again from what enters the block: a third more work, the same numbers, less memory.

    Args:
        block: Kind of block.
        depths: Blocks of each of the four stages.
        width: Factor of the channels that the kind of block scales.
        channels: Channels of the images.
    """

    def __init__(
        self, block: type[Bottleneck] | type[BasicBlock], depths: Sequence[int], width: float, channels: int
    ) -> None:
        super().__init__()
        size = block.stem(width)
        self.stem = nn.Sequential(_convolution(channels, size, 3), BatchNorm2d(size))
        blocks = []
        for (base, stride), depth in zip(_STAGES, depths, strict=True):
            for index in range(depth):
                blocks.append(block(size, base, width, stride if index == 0 else 1))
                size = block.size_out(base, width)
        self.blocks = nn.Sequential(*blocks)
        self.feature_size = size
        self.keeps_inside = True

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n d"]:
        """Features: averages over the pixels of the last block's channels, in float32 or more under any autocast."""
        maps: torch.Tensor = self.stem(images)
        for block in self.blocks:
            maps = block(maps) if self.keeps_inside else checkpoint(block, maps, use_reentrant=False)
        return maps.to(torch.promote_types(maps.dtype, torch.float32)).mean((2, 3))


def _convolution(size_in: int, size_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(size_in, size_out, kernel, stride, padding=kernel // 2, bias=False)
