"""The search for an atlas: the starts of a round, and sizes that a machine can hold."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.atlas.symmetric_starts import symmetrised
from ufm.cli.bounds import check_memory
from ufm.errors import check
from ufm.model.model import Model
from ufm.model.starts import normal_starts
from ufm.solve.end_points import Status

SCALES = torch.logspace(-0.5, 1.0, 16, dtype=torch.float64)
"""Standard deviations of the starts; from smaller ones nearly all fall to zero."""
ENDINGS = [status for status in Status if status != Status.RUNNING]
MOST_CLASSES = 8
"""All K! permutations of the classes are enumerated."""


def check_size(model: Model) -> None:
    """Refuse sizes that the machine's memory cannot hold, before any work.

    A start at work needs 8 dense Hessians; a comparison holds all K! images of the logits three times.

    Raises:
        ValueError: if there are too many classes, or half of the memory is not enough.
    """
    check(model.K <= MOST_CLASSES, "--classes", model.K, f"at most {MOST_CLASSES} for an atlas (K! relabellings)")
    check_memory("--dim", model.d, 8 * 8 * model.size**2)
    check_memory("--per-class", model.n, 3 * 8 * math.factorial(model.K) * model.K * model.N)


def search_starts(model: Model, seed: int, first: int, count: int, is_symmetric: bool) -> Float[Tensor, "S P"]:
    """Normal starts of all scales; every other one is given a symmetry if `is_symmetric`."""
    scale = SCALES[torch.arange(first, first + count) // 2 % len(SCALES)]
    points = normal_starts(model.size, seed, first, count) * scale[:, None]
    generator = torch.Generator().manual_seed((seed + 1) * 1_000_003 + first)
    if is_symmetric:
        points[1::2] = symmetrised(model, points[1::2], generator)
    return points
