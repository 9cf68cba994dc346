"""The metrics by name: the default set, whose names records use, and all of them under the field's names."""

from jaxtyping import Float
from torch import Tensor

from ufm.arguments import takes
from ufm.collapse.between import nc2_equiangular, nc2_equinorm, nc2_etf, nc2_welch_gap
from ufm.collapse.classifier import bias_residual, nc3_etf_distance, nc3_self_duality
from ufm.collapse.margin import gnc2
from ufm.collapse.stats import FeatureStats, of_one_set, statistics
from ufm.collapse.within import nc1_cdnv, nc1_pinv, nc1_trace

MOST_IN_HULLS = 512
"""The most classes for which `all_metrics` has the one-vs-rest margin, a convex programme for each class."""


@takes(stats=statistics)
def collapse_metrics(stats: FeatureStats) -> dict[str, Float[Tensor, "*batch"]]:
    """The metrics of the default set by name, one number per leading axis; those that need W are absent without it.

    Every metric is >= 0 and 0 at perfect collapse. Formulas and sources: `ufm/collapse/README.md`.
    """
    values = {
        "nc1_trace": nc1_trace(stats),
        "nc1_quotient": nc1_pinv(stats),
        "nc2_equinorm": nc2_equinorm(stats.centred_means),
        "nc2_equiangular": nc2_equiangular(stats.centred_means),
        "nc2_etf_distance": nc2_etf(stats.centred_means),
    }
    if stats.W is not None:
        values["nc3_self_duality"] = nc3_self_duality(stats)
        if stats.nearest_mean_disagreement is not None:
            values["nc4_disagreement"] = stats.nearest_mean_disagreement
        values["bias_residual"] = bias_residual(stats)
    return values


@takes(stats=of_one_set)
def all_metrics(stats: FeatureStats) -> dict[str, Float[Tensor, ""]]:
    """Every metric that the statistics of one set of features determine, by its name in `ufm/collapse/README.md`.

    Raises:
        ValueError: if the statistics have leading axes.
    """
    M, (K, d) = stats.centred_means, stats.class_means.shape
    values = {"nc1_pinv": nc1_pinv(stats), "nc1_trace": nc1_trace(stats)}
    if stats.class_variances is not None:
        values["nc1_cdnv"] = nc1_cdnv(stats)
    values |= {"nc2_etf": nc2_etf(M), "nc2_equinorm": nc2_equinorm(M), "nc2_equiangular": nc2_equiangular(M)}
    if d + 1 < K:
        values["nc2_welch_gap"] = nc2_welch_gap(M)
    if K <= MOST_IN_HULLS:
        values["gnc2"] = gnc2(M)
    if stats.W is not None:
        values |= {"nc3": nc3_self_duality(stats), "nc3_etf": nc3_etf_distance(stats)}
        values |= {} if (nc4 := stats.nearest_mean_disagreement) is None else {"nc4": nc4}
        values["bias_residual"] = bias_residual(stats)
    return values
