"""Images of another size: the shorter side scaled, the middle square cut out, as is usual before a network."""

import torch
from jaxtyping import Num
from torch import Tensor
from torch.nn import functional

CHUNK = 2**24
"""The most values that are scaled at a time."""


def scaled(images: Num[Tensor, "n C height width"], size: int) -> Num[Tensor, "n C size size"]:
    """Images with the shorter side scaled to `size` (bilinear, antialiased) and the longer one cut on both sides.

    Args:
        images: bytes or float32, which they stay.
        size: pixels of a side afterwards.
    """
    height, width = images.shape[2:]
    factor = size / min(height, width)
    shape = max(size, round(height * factor)), max(size, round(width * factor))
    top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
    step = max(1, CHUNK // max(images[0].numel(), shape[0] * shape[1] * images.shape[1]))
    parts = [
        functional.interpolate(part, shape, mode="bilinear", antialias=True, align_corners=False)
        for part in torch.split(images, step)
    ]
    return torch.cat([part[:, :, top : top + size, left : left + size] for part in parts]).contiguous()
