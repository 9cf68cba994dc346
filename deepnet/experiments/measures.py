"""What several experiments measure beyond the metrics of every run."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor


def cosine_between_rows(rows: Float[Tensor, "m d"]) -> float:
    """Mean over all pairs of different rows."""
    unit = rows / rows.norm(dim=-1, keepdim=True)
    return float((unit @ unit.mT)[~torch.eye(len(rows), dtype=torch.bool)].mean())


def share_of_top(matrix: Float[Tensor, "m d"], rank: int) -> float:
    """Share of the squared Frobenius norm in the largest `rank` singular values."""
    squares = torch.linalg.svdvals(matrix).square()
    return float(squares[:rank].sum() / squares.sum())


def one_vs_rest_margin(rows: Float[Tensor, "K d"]) -> float:
    """Least distance of a row from the convex hull of the others (Jiang et al. 2024), up to 1e-6 for unit rows.

    The nearest point of the hull is a non-negative least-squares fit whose weights a heavy extra equation makes add up
    to one.
    """
    points, heavy = rows.numpy(), 1e4
    distances = []
    for k in range(len(points)):
        others = np.delete(points, k, 0)
        system = np.vstack([others.T, np.full(len(others), heavy)])
        distances.append(nnls(system, np.append(points[k], heavy))[1])
    return float(min(distances))
