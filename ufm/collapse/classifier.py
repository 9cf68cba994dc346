"""NC3, the alignment of the last layer's weights with the class means, and the part of the logits that is its bias."""

from jaxtyping import Float
from torch import Tensor

from ufm.arguments import takes
from ufm.collapse.matrices import centred, distance_to_simplex, unit
from ufm.collapse.stats import FeatureStats, with_last_layer


@takes(stats=with_last_layer)
def nc3_self_duality(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|n(Pi W) - n(M)|_F, Pi W the rows of W less their mean (Papyan, Han, Donoho 2020, there squared and with W as it
    is).

    W is centred because a row common to all classes changes no decision; squared error has one where its bias is
    decayed or absent.
    """
    assert stats.W is not None
    return (unit(centred(stats.W)) - unit(stats.centred_means)).norm(dim=(-2, -1))


@takes(stats=with_last_layer)
def nc3_etf_distance(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|n(W M') - E|_F (Zhu et al. 2021)."""
    assert stats.W is not None
    return distance_to_simplex(stats.W, stats.centred_means)


@takes(stats=with_last_layer)
def bias_residual(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """|Pi (W mu_G + b)|, Pi = I - 11'/K: the part of the logits that global mean and bias add.

    Zhu et al. 2021 take |W mu_G + b|; the part along 1 changes no softmax and, with a free bias, no loss, so it is
    left out.
    """
    assert stats.W is not None
    assert stats.b is not None
    offset = (stats.W @ stats.global_mean.unsqueeze(-1))[..., 0] + stats.b
    return (offset - offset.mean(-1, keepdim=True)).norm(dim=-1)
