"""NC1, collapse within classes, by three definitions, which differ where features have not collapsed."""

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import takes
from ufm.collapse.matrices import centred, finite, mean_over_pairs
from ufm.collapse.stats import FeatureStats, statistics, with_variances


@takes(stats=statistics)
def nc1_trace(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """tr S_W / tr S_B with S_B = M'M / K (Tirer, Huang, Niles-Weed 2023; called `quotient` elsewhere)."""
    K = stats.class_means.shape[-2]
    return stats.within_trace / (stats.centred_means.square().sum((-2, -1)) / K)


@takes(stats=statistics)
def nc1_pinv(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """tr(S_W S_B^+) / K (Papyan, Han, Donoho 2020; Zhu et al. 2021), in this project's records `nc1_quotient`.

    With M = U s V', S_B^+ = K V s^-2 V' over the singular values that are not rounding (`stats.py`), so it is
    sum_j (v_j' S_W v_j) / s_j^2. inf or nan where there is none of them.
    """
    s = torch.linalg.svdvals(finite(centred(stats.class_means)))
    is_direction = stats.above_rounding(s)
    quotient = torch.where(is_direction, stats.within_along_means / s.square(), 0.0).sum(-1)
    return torch.where(is_direction.any(-1), quotient, stats.within_trace / 0.0)


@takes(stats=with_variances)
def nc1_cdnv(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """The mean over pairs of classes of (Var_i + Var_j) / (2 |mu_i - mu_j|^2), Var_k the mean of |x|^2 in class k.

    The class-distance normalised variance (Galanti, Gyoergy, Hutter 2022). inf where two classes that scatter share a
    mean up to rounding; nan for one class.
    """
    assert stats.class_variances is not None
    mu, variances, rho = centred(stats.class_means), stats.class_variances, stats.rounding

    def of_pairs(rows: slice, columns: slice) -> Tensor:
        apart = torch.cdist(mu[..., rows, :], mu[..., columns, :], compute_mode="donot_use_mm_for_euclid_dist")
        apart = torch.where(apart <= rho[..., rows, None] + rho[..., None, columns], 0.0, apart)
        return (variances[..., rows, None] + variances[..., None, columns]) / (2 * apart.square())

    return mean_over_pairs(of_pairs, mu.shape[-2], stats.within_trace)
