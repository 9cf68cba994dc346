"""What the decay of a network with batch normalisation charges for features, derived: nothing is left to fit.

K classes of equal size, N = K n images with features h_i, class means mu_k, global mean mu_G. Features are (averages
over pixels of) x_J, the residual stream of J batch normalisations (`deepnet/nets/scales.py` counts them),

    x_j = relu(x_{j-1} + u_j) ,  u_j = gamma_j * x^_j + beta_j ,  x_0 = 0 ,  theta = all gamma_j and beta_j ,

x^_j of mean 0 and mean square v/(v + eps) <= 1. With root mean squares of one channel over images and pixels,

    |h| <= |x_J| <= sum_j |u_j| <= sum_j (gamma_j^2 + beta_j^2)^(1/2) <= (J sum_j (gamma_j^2 + beta_j^2))^(1/2) :

Jensen; |relu u| <= |u| and the triangle (in a projecting block two normalisations share one ReLU, which changes
nothing); the moments; Cauchy. Summed over channels

    |theta|^2 >= (1/J) mean_i |h_i|^2 >= (1/J) mean_k |mu_k|^2 .                                                    (1)

Class means behind a ReLU have no negative inner products, so |sum_k mu_k|^2 >= sum_k |mu_k|^2 and

    mean_k |mu_k|^2 >= K/(K - 1) mean_k |mu_k - mu_G|^2 ,                                                           (2)

with equality at orthogonal means only. Without the ReLU (2) has factor 1. Together |theta|^2 >= k mean_k |mu_k -
mu_G|^2 with the price k = K/((K - 1) J), or 1/J without a ReLU.

*One normalisation, J = 1: k = K/(K - 1).* In a plain stack x_j = relu(u_j) the last one replaces what came before. A
pre-activation net adds up x_j = x_{j-1} + B_j relu(u_j) without normalising the sum, and reads features off relu(u),
u = gamma * x^ + beta with x^ the normalised x_last: the chain above has one term, |h| <= |relu u| <= |u| <= (gamma^2 +
beta^2)^(1/2), whatever the number of blocks. What writes to the stream (stem, every B_j, projections) has no scale of
its own but a common one, x -> s x, which every normalisation that reads it removes; its decay only adds, and goes to 0
along it. So both pay J times as much for their features as a residual stream of J, whose features are J equal parts.

*What is bounded* is

    L = mean loss + decay/2 (|W|^2 + |b|^2 + |theta|^2) ,

the objective without the decay of the other weights: those that a batch normalisation follows have no scale, and their
decay only adds. If the loss is convex, it is no larger at the class means,
and L is at least the least value of the unconstrained feature model with decay_H = decay k / N and a free bias.
Behind a ReLU it is met only at orthogonal class means of one length, so with d >= K, maps constant over pixels, all u_j
alike and eps = 0 (with eps > 0 approached as v grows). For d < K the bound holds, strictly unless zero attains it.
Focal loss is not convex: there the same value is a prediction and no bound.

*Statistics.* So far x^_j has the moments that the statistics of all images give it. Under others, such as running
averages over batches, let q >= 1 be the largest eigenvalue of its matrix ((mean x^^2, mean x^), (mean x^, 1)) over all
images, channels and j. Then |u_j| <= (q (gamma_j^2 + beta_j^2))^(1/2), and every bound here holds with q J for J.
Without q they fail: a running variance that is too small scales features for nothing.

*Squared error* needs a common logit r/K, which a free bias would give for nothing. So the decay of b is kept, and the
means' Gram matrix M, which is entrywise not negative behind a ReLU. For logits Z the cheapest W with W mu_k = z_k costs
tr Z' M^+ Z, jointly convex in (Z, M); the rest of L is convex, and all of it is invariant under permutations of
classes, so averaging over them leaves

    Z = z P + z' J1 ,  M = g P + g' J1 ,  b = s 1 ,  g' >= g ,  P = I - 11'/K ,  J1 = 11'/K .

Without g' >= g the least has g'/g = z'/z < 1 (theory_checks/squared_error_between_frame_and_simplex.py), hence by
convexity g' = g: orthogonal means, mu_k = sqrt(g) e_k. Least in z, z' and s (a common logit u/K costs decay/2
u^2/(g + K)), with q = K decay / weight,

    L(g) = (K-1)/2 r^2 decay/(q + g) + 1/2 r^2 decay/(q + g + K) + decay/2 g/J ,                           (3)

convex in g. Its least, where positive, has (K-1)/(q + g)^2 + 1/(q + g + K)^2 = 1/(J r^2), which fixes q + g whatever
the decay, and a training loss of K decay^2/(2 J weight). That is a lower bound of L too, attained by the same
networks. The part of W along mu_G pays for features as well, so that centred W and h show a smaller price,
K |w|^2/|h|^2 = k - K/(K - 1) s^2. Without a ReLU M is free, and L is the unconstrained model's with decay_b = decay.

Features behind a layer normalisation pay otherwise (`deepnet/comparison/layer_norm.py`), and so do those of a net that
does not normalise them (`deepnet/comparison/penalty.py`).
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deepnet.comparison.compare import Sizes
from ufm.arguments import check_fields, instance, integer, number, takes
from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.losses import SquaredError
from ufm.model.problem import Problem
from ufm.theory.prediction import Prediction, predict
from ufm.theory.roots import root


@dataclass(frozen=True)
class FeatureSource:
    """Where the last layer's features come from.

    Attributes:
        count: J >= 1, the batch normalisations whose sum they are.
        is_rectified: whether a ReLU follows, so that features are not negative.
        moment: q >= 1 of the statistics they are normalised with, 1 for those of all images.
    """

    count: int
    is_rectified: bool
    moment: float = 1.0

    def __post_init__(self) -> None:
        check_fields(
            self, count=integer(1), is_rectified=instance(bool), moment=number(1.0, sys.float_info.max, ">= 1")
        )

    @property
    def divisor(self) -> float:
        """q J: |theta|^2 is at least the mean square norm of features over it."""
        return self.moment * self.count

    def price(self, K: int) -> float:
        """The k of |theta|^2 >= k |h|^2, |h| the root mean square norm of the centred class means."""
        return (K / (K - 1) if self.is_rectified else 1.0) / self.divisor


@takes(source=instance(FeatureSource), loss=instance(Loss), sizes=instance(Sizes))
def derived_prediction(source: FeatureSource, loss: Loss, sizes: Sizes) -> Prediction:
    """The collapsed point of least L; norms are those of W and features without their common part, as in `compare`.

    Its `value` is L and `loss` the mean training loss; n drops out. `is_proved_global` says whether `value` is
    a lower bound of L for every such network (module docstring).

    Raises:
        ValueError: if theory knows no minimiser for this loss, or d is too small for it (behind a ReLU d < K).
    """
    K, decay = sizes.K, sizes.decay
    if source.is_rectified:
        check(sizes.d >= K, "dim", sizes.d, f">= {K}: behind a ReLU {K} class means are orthogonal")
    decay_H = decay * source.price(K) / (K * sizes.n)
    found = predict(Problem(loss, K, sizes.d, sizes.n, decay, decay_H, decay))
    if source.is_rectified and (special := BEHIND_A_RELU.get(type(loss))):
        return special(source, loss, sizes, found)
    size, ratio = found.margin * (K - 1) / K, math.sqrt(source.price(K) / K)
    is_bound = found.is_proved_global and loss.is_convex
    norm_w, norm_h = math.sqrt(size * ratio), math.sqrt(size / ratio)
    return replace(found, norm_w=norm_w, norm_h=norm_h, is_proved_global=is_bound)


@takes(source=instance(FeatureSource), loss=instance(Loss), sizes=instance(Sizes))
def lower_bound(source: FeatureSource, loss: Loss, sizes: Sizes) -> float | None:
    """A number that L = mean loss + decay/2 (|W|^2 + |b|^2 + |theta|^2) is never below; None for focal loss."""
    found = derived_prediction(source, loss, replace(sizes, d=max(sizes.d, sizes.K)))
    return found.value if found.is_proved_global else None


def _orthogonal(source: FeatureSource, loss: SquaredError, sizes: Sizes, model: Prediction) -> Prediction:
    """The least of (3): q + g solves an equation that holds no decay."""
    K, decay, r, weight = sizes.K, sizes.decay, float(loss.rescale), loss.weight(sizes.K)
    level = 1 / source.divisor

    def slope(x: float) -> float:
        """-2/decay dL/dg at q + g = x r; it falls."""
        return (K - 1) / x**2 + 1 / (x + K / r) ** 2 - level

    x = r * root(slope, math.sqrt((K - 1) / level), math.sqrt(K / level))
    q = K * decay / weight
    g = max(0.0, x - q)
    z, common = r * g / (g + q), r * (g + K) / (g + K + q)
    missed = (K - 1) * (z - r) ** 2 + (common - r) ** 2
    centred = math.sqrt((K - 1) / K)
    return replace(
        model,
        margin=z,
        common=common * g / (g + K),  # what W mu_G gives; the bias gives the rest
        bias=common / (g + K),
        value=decay / 2 * ((K - 1) * r * r / (q + g) + r * r / (q + g + K) + level * g),
        loss=weight / (2 * K) * missed,
        norm_w=centred * r * math.sqrt(g) / (g + q),
        norm_h=centred * math.sqrt(g),
        zero_threshold=x * weight / K * math.sqrt(source.price(K) / K),
        is_proved_global=True,
    )


BEHIND_A_RELU: dict[type[Loss], Callable[[FeatureSource, Any, Sizes, Prediction], Prediction]] = {
    SquaredError: _orthogonal
}
"""Losses whose logits have a common part, which orthogonal class means pay for."""
