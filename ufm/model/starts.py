"""Random starts, each reproducible by (seed, number) alone, whatever its neighbours and the device."""

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import device, integer, seed, takes
from ufm.parallel import map_chunks

BLOCK = 128
"""Starts drawn from one generator."""


@takes(size=integer(1), seed=seed, first=integer(0), count=integer(1), device=device)
def normal_starts(
    size: int, seed: int, first: int, count: int, device: torch.device | str = "cpu"
) -> Float[Tensor, "count size"]:
    """Starts number `first`, `first + 1`, ... of the stream `seed`: independent N(0, 1) variables, float64.

    Start i is row i % BLOCK of the block i // BLOCK, drawn on the CPU from a generator of its own.

    Raises:
        ValueError: unless size and count are >= 1, seed in [0, 2^63), first >= 0, and there is such a device.
    """
    blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
    drawn = torch.cat(map_chunks(lambda block: _block(size, seed, block), blocks, torch.device("cpu")))
    offset = first - blocks.start * BLOCK
    return drawn[offset : offset + count].to(device)


def _block(size: int, seed: int, block: int) -> Tensor:
    # Two odd multipliers (Steele et al. 2014, SplitMix64) keep the streams of neighbouring seeds and blocks apart.
    mixed = (seed * 0x9E3779B97F4A7C15 + block * 0xBF58476D1CE4E5B9 + 1) % 2**64
    generator = torch.Generator().manual_seed(mixed - 2**63)
    return torch.randn(BLOCK, size, dtype=torch.float64, generator=generator)
