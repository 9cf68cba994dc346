"""The class means and the rows of W of a network up to rotation, for a picture of their geometry."""

from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from deepnet.measures.features import LastLayer

CORNERS = 4
"""Classes whose means span what is drawn of the others too."""
MOST_CLASSES = 10
"""That can be told apart in a drawing."""
DIGITS = 4


def geometry(layer: LastLayer) -> dict[str, list[list[float]]]:
    """Centred class means and rows of W in one orthonormal basis of the space that they span.

    Returns:
        `class_means` and `W`, K rows each of at most 2 K - 1 coordinates; lengths and angles are those of the layer.
    """
    M = layer.stats.centred_means.double()
    W = layer.W.double()
    both = torch.cat([M, W])
    coordinates = both @ torch.linalg.svd(both, full_matrices=False).Vh[: 2 * len(W) - 1].mT
    return {"class_means": coordinates[: len(M)].tolist(), "W": coordinates[len(M) :].tolist()}


class Simplex(TypedDict):
    """Features and classifier in the space that the first four class means span, at most three coordinates.

    Attributes:
        class_means: centred; W: rows; each set scaled to unit mean square.
        spread: of the features of each class, the root mean square distance from their mean in these coordinates.
        seen: the share of the squared length of the class means that lies in this space: 3 / (K - 1) at collapse.
    """

    class_means: list[list[float]]
    W: list[list[float]]
    spread: list[float]
    seen: float


def simplex(layer: LastLayer) -> Simplex:
    """What stays the same when features and rows of W are rotated together, so that epochs can be compared."""
    M, W = layer.stats.centred_means.double(), layer.W.double()
    size = M.square().sum(1).mean().sqrt().clamp(min=torch.finfo(M.dtype).tiny)
    axes = _directions(M[1:CORNERS] - M[0])
    M, W = M / size, W / W.square().sum(1).mean().sqrt().clamp(min=torch.finfo(W.dtype).tiny)
    inside = (layer.H.double() - layer.stats.class_means.double()[layer.labels]) @ axes / size
    squares = torch.zeros(len(M), dtype=M.dtype, device=M.device).index_add_(0, layer.labels, inside.square().sum(1))
    spread = (squares / torch.bincount(layer.labels, minlength=len(M))).sqrt()
    rows = {"class_means": M @ axes, "W": W @ axes}
    seen = rows["class_means"].square().sum() / M.square().sum().clamp(min=torch.finfo(M.dtype).tiny)
    found = {name: [[_short(value) for value in row] for row in each.tolist()] for name, each in rows.items()}
    return {**found, "spread": [_short(each) for each in spread.tolist()], "seen": _short(float(seen))}  # type: ignore[typeddict-item]


def _directions(rows: Float[Tensor, "R d"]) -> Float[Tensor, "d r"]:
    """Orthonormal directions of the rows, each to the side of the row that brings it in."""
    Q, R = torch.linalg.qr(rows.mT)
    return Q * torch.where(R.diagonal() < 0, -1.0, 1.0)


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
