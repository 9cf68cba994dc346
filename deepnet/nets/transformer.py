"""A small vision transformer (Dosovitskiy et al. 2021) up to its features: pre-norm blocks, mean over tokens.

Each block adds attention, then a ReLU layer, to the stream, both of what a layer normalisation makes of it (Xiong et
al. 2020). What stands at the end decides what features pay (`deepnet/comparison/price.py`): a layer normalisation with
scale and shift, as usual, one without, or none.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

GRID = 4
"""Patches in each direction of an image; pixels left over at its edges are not seen."""
HEADS, DEPTH = 4, 3
Last = Literal["scaled", "unscaled", "none"]
"""The layer normalisation before the mean over tokens."""


class Attention(nn.Module):
    """Every token reads all tokens of its image, in 4 heads."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(size, 3 * size), nn.Linear(size, size)

    def forward(self, x: Float[Tensor, "n t d"]) -> Float[Tensor, "n t d"]:
        """Softmax attention."""
        queries, keys, values = self.read(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(queries, keys, values)
        y: Tensor = self.write(found.transpose(1, 2).flatten(2))
        return y


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + layer(norm(x))."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.attention = nn.LayerNorm(size), Attention(size)
        self.second = nn.LayerNorm(size)
        self.layer = nn.Sequential(nn.Linear(size, 2 * size), nn.ReLU(), nn.Linear(2 * size, size))

    def forward(self, x: Float[Tensor, "n t d"]) -> Float[Tensor, "n t d"]:
        """One block."""
        x = x + self.attention(self.first(x))
        y: Tensor = x + self.layer(self.second(x))
        return y


class Transformer(nn.Module):
    """Images to features, of 512 dimensions times the width.

    Args:
        last: The layer normalisation before the mean over tokens.
        width: A multiple of 1/128, so that heads divide the dimensions.
        shape: Channels, height and width of an image.
    """

    def __init__(self, last: Last, width: float, shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, *sides = shape
        patch = [max(1, side // GRID) for side in sides]
        tokens = [side // length for side, length in zip(sides, patch, strict=True)]
        self.feature_size = int(512 * width)
        sides_of_patch = (patch[0], patch[1])
        self.embedding = nn.Conv2d(channels, self.feature_size, sides_of_patch, sides_of_patch, bias=False)
        self.position = nn.Parameter(torch.zeros(tokens[0] * tokens[1], self.feature_size))
        self.blocks = nn.Sequential(*(TransformerBlock(self.feature_size) for _ in range(DEPTH)))
        is_scaled = last == "scaled"
        self.last = nn.Identity() if last == "none" else nn.LayerNorm(self.feature_size, elementwise_affine=is_scaled)

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n d"]:
        """Features: averages over the tokens, in float32 or more under any autocast."""
        x = self.embedding(images).flatten(2).mT + self.position
        x = self.last(self.blocks(x))
        return x.to(torch.promote_types(x.dtype, torch.float32)).mean(1)

    @property
    def writers(self) -> list[nn.Parameter]:
        """What writes to the stream: scaled together they scale it, and no normalisation of what is read sees that."""
        writing: list[nn.Module] = [self.embedding]
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            writing += [block.attention.write, block.layer[2]]
        return [self.position, *(parameter for module in writing for parameter in module.parameters())]
