"""Random crops and flips of training images, as tensor functions; metrics never see them.

All act on *normalised* images, so that the zeros a crop brings in are pixels of the mean colour.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Batch = Float[Tensor, "n C height width"]
PADDING = 4
"""The most pixels by which an image is shifted in each direction, as usual for 32 x 32 photographs."""


class Moves(NamedTuple):
    """The moves of n images: rows and columns cut off the padded image's top and left, and whether it is flipped."""

    shifts: Int[Tensor, "2 n"]
    is_flipped: Bool[Tensor, " n"]

    def of(self, images: slice | Int[Tensor, " m"]) -> "Moves":
        """The moves of some of the images."""
        return Moves(self.shifts[:, images], self.is_flipped[images])

    def to(self, device: torch.device) -> "Moves":
        """The moves on a device, where the images must be."""
        return Moves(self.shifts.to(device), self.is_flipped.to(device))


def random_moves(n: int, generator: torch.Generator, padding: int = PADDING) -> Moves:
    """Shift each image by up to `padding` pixels each way, flip it with probability 1/2.

    Args:
        n: Number of images.
        generator: On the CPU, so that a seed means the same on every device.
        padding: The largest shift.
    """
    shifts = torch.randint(2 * padding + 1, (2, n), generator=generator)
    return Moves(shifts, torch.rand(n, generator=generator) < 0.5)


def augmented(images: Batch, moves: Moves) -> Batch:
    """The images after their moves."""
    return flipped(cropped(images, moves.shifts), moves.is_flipped)


def cropped(images: Batch, shifts: Int[Tensor, "2 n"], padding: int = PADDING) -> Batch:
    """Pad with zeros and cut each image out again, `shifts` rows and columns from the corner."""
    height, width = images.shape[2:]
    rows = shifts[0, :, None] + torch.arange(height, device=images.device)  # (n, height)
    columns = shifts[1, :, None] + torch.arange(width, device=images.device)  # (n, width)
    padded = functional.pad(images, (padding,) * 4)
    each = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def flipped(images: Batch, is_flipped: Bool[Tensor, " n"]) -> Batch:
    """Mirror the chosen images left to right."""
    return torch.where(is_flipped[:, None, None, None], images.flip(-1), images)
