"""The numerical rank of matrices."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.tolerances import RANK_TOLERANCE


def numerical_rank(
    A: Float[Tensor, "*batch m n"], tolerance: float | Float[Tensor, "*batch"] = RANK_TOLERANCE
) -> Int[Tensor, "*batch"]:
    """The number of singular values above `tolerance` times max(1, the largest)."""
    singular = torch.linalg.svdvals(A)
    least = tolerance * singular.amax(-1).clamp(min=1.0)
    return (singular > least[..., None]).sum(-1)
