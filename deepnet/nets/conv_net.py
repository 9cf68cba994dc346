"""Convolutional networks for 32 x 32 images up to their features: 3x3 stem, no max-pool, four stages, average pooling.

A net is its kind of block, stacked; `Plain` is the simplest, residual ones are in `deepnet/nets/resnet.py`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deepnet.nets.batch_norm import BatchNorm2d

_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels at width 1, stride of the first block


class Block(nn.Module):
    """A block of a stage; a kind of it is made of (channels that enter, those of its stage at width 1, width, stride).

    Attributes:
        normalises_its_output: whether maps leave it normalised and behind a ReLU; otherwise each block does that to
            what it reads, and the net to what leaves the last one.
    """

    normalises_its_output = True

    @staticmethod
    def size_out(base: int, width: float) -> int:
        """Channels after a block of a stage."""
        return int(base * width)

    @staticmethod
    def stem(width: float) -> int:
        """Channels before the first block."""
        return int(64 * width)


class Plain(Block):
    """A 3x3 convolution, normalised, and ReLU."""

    def __init__(self, size_in: int, base: int, width: float, stride: int) -> None:
        super().__init__()
        size = self.size_out(base, width)
        self.convolution = convolution(size_in, size, 3, stride)
        self.normalisation = BatchNorm2d(size)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """One layer."""
        y: Tensor = self.normalisation(self.convolution(x))
        return y


class ConvNet(nn.Module):
    """Images to features.

    Attributes:
        keeps_inside: whether a forward pass keeps the maps inside of blocks for the backward pass. If not, that one
            computes them again from what enters the block: a third more work, the same numbers, less memory.

    Args:
        block: Kind of block, a subclass of `Block`.
        depths: Blocks of each of the four stages.
        width: Factor of the channels that the kind of block scales.
        channels: Channels of the images.
    """

    def __init__(self, block: type[Any], depths: Sequence[int], width: float, channels: int) -> None:
        super().__init__()
        size = block.stem(width)
        self.stem = nn.Sequential(convolution(channels, size, 3))
        if block.normalises_its_output:
            self.stem.append(BatchNorm2d(size))
        blocks = []
        for (base, stride), depth in zip(_STAGES, depths, strict=True):
            for index in range(depth):
                blocks.append(block(size, base, width, stride if index == 0 else 1))
                size = block.size_out(base, width)
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Identity() if block.normalises_its_output else BatchNorm2d(size)
        self.feature_size = size
        self.keeps_inside = True

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n d"]:
        """Features: averages over the pixels of the last maps, in float32 or more under any autocast."""
        maps: torch.Tensor = self.stem(images)
        for block in self.blocks:
            maps = block(maps) if self.keeps_inside else checkpoint(block, maps, use_reentrant=False)
        maps = self.last(maps)
        return maps.to(torch.promote_types(maps.dtype, torch.float32)).mean((2, 3))


def convolution(size_in: int, size_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """One without bias, which a normalisation would take away, that keeps the size of maps but for its stride."""
    return nn.Conv2d(size_in, size_out, kernel, stride, padding=kernel // 2, bias=False)
