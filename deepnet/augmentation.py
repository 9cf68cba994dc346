"""Random crops and flips as tensor functions, each image its own. Off unless training asks; metrics never see them.

Both act on *normalised* images, so that the zeros a crop brings in are pixels of the mean colour.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Batch = Float[Tensor, "n C height width"]


def augmented(images: Batch, generator: torch.Generator) -> Batch:
    """Pad by 4 and crop back, then flip every other image: the usual pair for 32 x 32 photographs.

    Args:
        images: Normalised images.
        generator: On the CPU, so that a seed means the same on every device.
    """
    return random_flip(random_crop(images, 4, generator), generator)


def random_crop(images: Batch, padding: int, generator: torch.Generator) -> Batch:
    """Shift each image by up to `padding` pixels each way; zeros come in at the edges."""
    n, _, height, width = images.shape
    shifts = torch.randint(2 * padding + 1, (2, n, 1), generator=generator).to(images.device, non_blocking=True)
    rows = shifts[0] + torch.arange(height, device=images.device)  # (n, height)
    columns = shifts[1] + torch.arange(width, device=images.device)  # (n, width)
    padded = functional.pad(images, (padding,) * 4)
    each = torch.arange(n, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: Batch, generator: torch.Generator) -> Batch:
    """Mirror each image left to right with probability 1/2."""
    is_flipped = (torch.rand(len(images), generator=generator) < 0.5).to(images.device, non_blocking=True)
    return torch.where(is_flipped[:, None, None, None], images.flip(-1), images)
