"""Neural-collapse metrics NC1-NC5, one definition for free features and for trained networks.

Notation: K classes of equal weight, mu_k class means, mu_G = mean of the mu_k, M (K, d) the rows mu_k - mu_G,
x_i = h_i - mu_{y_i}, n(A) = A / |A|_F, E = (I - 11'/K) / sqrt(K - 1). The metrics see features only through
`FeatureStats`, whose sums are taken in float64: d x d matrices where d < K, K x K otherwise, and of what belongs to
pairs of classes, or of samples and classes, tiles. Every metric but `gnc2` is 0 at perfect collapse and never negative;
a common factor of the features (and its inverse in W) changes none. A metric that divides by |M| or |W| is nan or inf
where that is zero (the zero solution). `README.md` has formulas, sources and what others call them.
"""

from ufm.collapse.between import nc2_equiangular, nc2_equinorm, nc2_etf, nc2_welch_gap
from ufm.collapse.classifier import bias_residual, nc3_etf_distance, nc3_self_duality
from ufm.collapse.margin import gnc2
from ufm.collapse.matrices import chunks, cosines, power_of_two
from ufm.collapse.metrics import all_metrics, collapse_metrics
from ufm.collapse.moments import Moments
from ufm.collapse.outside import nc4_held_out, nc5, neco_score
from ufm.collapse.stats import FeatureStats
from ufm.collapse.within import nc1_cdnv, nc1_pinv, nc1_trace

nc1_quotient = nc1_pinv
"""The name in this project's records; elsewhere "quotient" is what is called `nc1_trace` here."""
nc2_etf_distance = nc2_etf

__all__ = [
    "FeatureStats",
    "Moments",
    "all_metrics",
    "bias_residual",
    "chunks",
    "collapse_metrics",
    "cosines",
    "gnc2",
    "nc1_cdnv",
    "nc1_pinv",
    "nc1_quotient",
    "nc1_trace",
    "nc2_equiangular",
    "nc2_equinorm",
    "nc2_etf",
    "nc2_etf_distance",
    "nc2_welch_gap",
    "nc3_etf_distance",
    "nc3_self_duality",
    "nc4_held_out",
    "nc5",
    "neco_score",
    "power_of_two",
]
