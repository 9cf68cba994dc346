"""What several experiments measure beyond the metrics of every run."""

import torch
from jaxtyping import Float
from torch import Tensor


def cosine_between_rows(rows: Float[Tensor, "m d"]) -> float:
    """Mean over all pairs of different rows."""
    unit = rows / rows.norm(dim=-1, keepdim=True)
    return float((unit @ unit.mT)[~torch.eye(len(rows), dtype=torch.bool)].mean())
