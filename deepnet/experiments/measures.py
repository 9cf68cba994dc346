"""What several experiments measure beyond the metrics of every run."""

import torch
from jaxtyping import Float
from torch import Tensor

LEVELS = {"nc1_quotient": 0.02, "nc1_trace": 0.05}
"""Where epochs until collapse are compared: tr(S_W S_B^+)/K, which the papers use, and tr S_W / tr S_B."""
FORMS = {"nc1_quotient": "quotient form", "nc1_trace": "trace form"}


def cosine_between_rows(rows: Float[Tensor, "m d"]) -> float:
    """Mean over all pairs of different rows."""
    unit = rows / rows.norm(dim=-1, keepdim=True)
    return float((unit @ unit.mT)[~torch.eye(len(rows), dtype=torch.bool)].mean())


def share_of_top(matrix: Float[Tensor, "m d"], rank: int) -> float:
    """Share of the squared Frobenius norm in the largest `rank` singular values."""
    squares = torch.linalg.svdvals(matrix).square()
    return float(squares[:rank].sum() / squares.sum())
