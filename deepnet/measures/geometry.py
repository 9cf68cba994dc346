"""The class means and the rows of W of a network up to rotation, for a picture of their geometry."""

import torch

from deepnet.measures.features import LastLayer


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
