"""Features that were not in the statistics: test samples against training means, and samples of no class at all."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import takes
from ufm.collapse.arrays import tensor_of
from ufm.collapse.matrices import chunks, power_of_two, tiles
from ufm.collapse.stats import FeatureStats, of_one_set, with_last_layer
from ufm.collapse.sweeps import check_features
from ufm.errors import check


@takes(train=with_last_layer)
@torch.no_grad()
def nc4_held_out(train: FeatureStats, H: Any) -> Float[Tensor, ""]:
    """The share of test features whose nearest *training* class mean is not that of the class the classifier picks.

    NC4 (Papyan, Han, Donoho 2020) on data whose class means nobody has seen.

    Raises:
        ValueError: if H is not (N, d), N >= 1, or the statistics have no W.
    """
    H = _like(train, H)
    M, W, centre, rho = train.centred_means, train.W, train.global_mean, train.rounding
    assert W is not None
    assert train.b is not None
    scale, differ = power_of_two(M), H.new_zeros((), dtype=torch.float64)
    for piece in chunks(H):
        for rows in tiles(len(H[piece]), len(M)):
            h = H[piece][rows].double()
            near = ((M / scale).square().sum(-1) - 2 * ((h - centre) / scale) @ (M / scale).mT).argmin(-1)
            picked = (h @ W.mT + train.b).argmax(-1)
            differ += ((M[near] - M[picked]).norm(dim=-1) > rho[near] + rho[picked]).sum()
    return differ / len(H)


@torch.no_grad()
def nc5(train: FeatureStats, H: Any) -> Float[Tensor, ""]:
    """The mean over classes of |cos(mu_k, mu_out)|, mu_out the mean of features H of no class (Ammar et al. 2024).

    0 where out-of-distribution features are orthogonal to the class means, which are taken as they are, not centred.
    """
    H = _like(train, H)
    out = torch.stack([H[rows].double().sum(0) for rows in chunks(H)]).sum(0) / len(H)
    mu = train.class_means
    return ((mu @ out).abs() / (mu.norm(dim=-1) * out.norm())).mean()


@torch.no_grad()
def neco_score(train: FeatureStats, H: Any) -> Float[Tensor, " N"]:
    """|P (h - mu_G)| / |h - mu_G| for each feature: near 1 for a sample of a class, small for one of none.

    NECO (Ammar et al. 2024), P there the projection on principal components of the training features, here on the
    directions of the centred class means, to which those come at collapse; so no number of components is to be chosen.
    """
    H = _like(train, H)
    is_direction, V = train.between()[1:]
    V, centre = V[:, is_direction], train.global_mean
    parts = []
    for rows in chunks(H):
        h = H[rows].double() - centre
        parts.append((h @ V).norm(dim=-1) / h.norm(dim=-1))
    return torch.cat(parts)


def _like(train: FeatureStats, H: Any) -> Tensor:
    of_one_set.check("train", train)
    H = tensor_of("H", H)
    check_features(H, train.class_means)
    check(len(H) > 0, "H", "no samples", "one sample or more")
    return H
