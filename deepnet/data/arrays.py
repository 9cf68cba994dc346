"""Conversion of arrays of images and labels, of numpy or torch, to a split."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepnet.data.images import Split
from ufm.collapse.arrays import labels_of, tensor_of
from ufm.errors import check
from ufm.labels import described

MOST_CHANNELS = 4
"""The largest last axis that is taken for the channels of an image."""
LIGHTEST = 255


def split_of(images: Any, labels: Any, source: str) -> Split:
    """Images (N, height, width), (N, height, width, C) or (N, C, height, width) with N integers from 0 on as labels.

    Bytes, and integers in [0, 255], stay bytes; everything else becomes float32.

    Raises:
        ValueError: on other shapes, pixels that are not finite, or labels below 0; names the source.
    """
    pixels = tensor_of("--data", images)
    is_image = pixels.ndim in (3, 4) and pixels.numel() > 0 and not pixels.is_complex()
    allowed = "of images (N, height, width), (N, height, width, channels) or (N, channels, height, width)"
    check(is_image, "--data", f"{described(pixels)} in {source}", allowed)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif isinstance(images, np.ndarray) and pixels.shape[3] <= min(MOST_CHANNELS, pixels.shape[1] - 1):
        pixels = pixels.permute(0, 3, 1, 2)
    y = tensor_of("labels", labels)
    y = labels_of(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)
    check(
        len(y) == len(pixels), "--data", f"{len(y)} labels of {len(pixels)} images in {source}", "of one label an image"
    )
    check(int(y.min()) >= 0, "--data", f"label {int(y.min())} in {source}", "of labels from 0 on")
    return Split(_as_stored(pixels, source), y)


def _as_stored(pixels: Tensor, source: str) -> Tensor:
    """The images as uint8 if they are integers in [0, 255], else as float32."""
    is_bytes = pixels.dtype == torch.uint8
    if not is_bytes and not pixels.is_floating_point():
        low, high = (int(each) for each in torch.aminmax(pixels.long()))
        is_bytes = low >= 0 and high <= LIGHTEST
    if is_bytes:
        return pixels.to(torch.uint8).contiguous()
    found = pixels.float().contiguous()
    check(bool(found.isfinite().all()), "--data", f"nan or infinity in {source}", "of finite pixels")
    return found
