"""A decay of features as a power of their norm, which is calibrated on one run and predicts other runs.

The model charges decay_H/2 |H|^2. A network charges decay/2 times the squared norm of the parameters beneath the last
layer. Where these are m layers theta_1 ... theta_m and the features are homogeneous of degree 1 in each (linear or
ReLU layers without biases, no batch normalisation), scaling the layers by t_l with prod_l t_l = s turns H into s H, for
decay/2 sum_l t_l^2 |theta_l|^2, which is least at decay m/2 s^(2/m) (prod_l |theta_l|)^(2/m) (arithmetic against
geometric mean). Of all parameters that give s H the cheapest are scaled ones of the cheapest that give H, so that the
cost of features is homogeneous of degree 2/m. So with |h| the root mean square norm of the features (centred, see
compare.py), let the network's penalty be

    P(H) = decay (m/2) k |h|^(2/m) ,    k > 0 a number of the architecture and the images.

m = 1 is the unconstrained feature model with decay_H = decay k / N. The gradient of P in H is that of a feature decay

    decay_H = decay k |h|^(2/m - 2) / N ,                                                                       (1)

so a stationary point is one of the model with this decay_H, and its balance decay_W |W|^2 = decay_H |H|^2 reads

    |W|^2 = k |h|^(2/m) .                                                                                       (2)

(2) holds no loss and no decay: runs of one network with several of them lie on one line in log |h|, log |W|^2, of slope
2/m. And since min_{W H' = Z} of both penalties is an increasing function of the nuclear norm of Z, the minimisers of
convex losses stay on the simplex ray, as for m = 1. That m counts layers is proved above for homogeneous nets only, and
that k is the same for all losses is an assumption for every net: it is what the predictions test.

*What is proved of layers A_1 ... A_M with decay*, A_M = W, m = M - 1 beneath it.

- Linear ones: 1/2 sum_l |A_l|^2 is at least (M/2) sum_r s_r^(2/M), s_r the singular values of their product (the
  Schatten-2/M quasi-norm; Shang et al. 2020), and attains it. For M > 2 that favours low rank, with cross entropy so
  much that a simplex is no minimiser (`theory_checks/deep_cross_entropy_prefers_low_rank.py`).
- With ReLU and no shifts, on inputs X (columns): |Z|_* <= |W| |H_m|, |relu(A H)| <= |A| |H|, |A_1 X| <= |A_1| |X|_op
  and the inequality of the means give 1/2 sum_l |A_l|^2 >= (M/2) (|Z|_* / |X|_op)^(2/M): the power of the sum, not the
  sum of powers. It is attained for M = 2, and at rank one (`theory_checks/relu_nets_pay_for_the_nuclear_norm.py`).
- With ReLU and shifts b_l, every hidden unit of a stationary point has |row|^2 + b^2 = |column|^2, so |A_(l+1)|^2 =
  |A_l|^2 + |b_l|^2 (`theory_checks/relu_units_balance_without_normalisation.py`).

Which features of a ReLU net are cheapest at M > 2, and so margin, norms and rank of its minimum, is not derived here;
that low rank is cheaper than a simplex there is known for free features (Sukenik et al. 2024).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import linregress, t

from deepnet.comparison.compare import Sizes, bias_decay
from deepnet.measures.reading import Reading
from ufm.errors import check
from ufm.model.loss import Loss
from ufm.model.problem import Problem
from ufm.theory.prediction import Prediction, predict
from ufm.theory.roots import root
from ufm.tolerances import LOG_NORM

STEP = 1.05
"""The search for the fixed point goes from large features to smaller ones in this ratio."""


@dataclass(frozen=True)
class FeaturePenalty:
    """decay (m/2) k |h|^(2/m), and the decay that W's common part and the bias share (see compare.py).

    Attributes:
        strength: k.
        depth: m > 0.
        bias_share: decay_b / decay = 1 / (1 + |mu_G|^2) of the run it was calibrated on.
    """

    strength: float
    depth: float
    bias_share: float

    @classmethod
    def calibrated(cls, reading: Reading, sizes: Sizes, depth: float) -> "FeaturePenalty":
        """The strength that makes (2) hold in one run.

        Raises:
            ValueError: if `depth` is not positive, or a norm of the reading is not.
        """
        check(0 < depth < math.inf, "depth", depth, "finite and > 0")
        check(reading.norm_w > 0 and reading.norm_h > 0, "reading", (reading.norm_w, reading.norm_h), "of norms > 0")
        strength = sizes.K * reading.norm_w**2 / reading.norm_h ** (2 / depth)
        return cls(strength, depth, bias_decay(1.0, reading))

    def predict(self, loss: Loss, sizes: Sizes) -> Prediction:
        """The collapsed stationary point of a loss under this penalty, the one of largest features.

        For m > 1 zero is a local minimiser too, as it is for deep linear nets; a net that has trained has left it.
        """

        def excess(log_h: float) -> float:
            found = self._at(math.exp(log_h), loss, sizes).norm_h
            return math.log(found) - log_h if found > 0 else -math.inf

        high = 0.0
        while excess(high) >= 0:
            high += math.log(10)
        low = high - math.log(STEP)
        while excess(low) < 0:
            high, low = low, low - math.log(STEP)
            if low < -30:  # no such point: zero
                return self._at(math.exp(low), loss, sizes)
        log_h = low if excess(low) == 0 else root(excess, low, high, LOG_NORM)
        return self._at(math.exp(log_h), loss, sizes)

    def _at(self, norm_h: float, loss: Loss, sizes: Sizes) -> Prediction:
        """The model's prediction with the decay (1) of features of this norm; its norms without the common part."""
        K, decay = sizes.K, sizes.decay
        decay_H = decay * self.strength * norm_h ** (2 / self.depth - 2) / (K * sizes.n)
        found = predict(Problem(loss, K, sizes.d, sizes.n, decay, decay_H, decay * self.bias_share))
        size, ratio = found.margin * (K - 1) / K, math.sqrt(sizes.n * decay_H / decay)
        return replace(found, norm_w=math.sqrt(size * ratio), norm_h=math.sqrt(size / ratio))


SAME_NORM = 0.01
"""Range of log |h| below which conditions tell nothing of m: in a ball (`layer_norm.py`) |h| is one number but for what
is left to relax."""


@dataclass(frozen=True)
class DepthFit:
    """The line through (log |h|, log |W|^2) of several conditions (ordinary least squares through their means).

    Seeds of one condition miss the line together, by what tells the conditions apart, so that they are no independent
    errors: a condition counts once.

    Attributes:
        conditions: how many there are.
        slope, low, high: 2/m and its 95 % interval under independent normal errors (infinite for two conditions).
        scatter: root mean square of the residuals in log |W|^2.
        spread: standard deviation of log |h| over them; a line through points at one place says nothing.
    """

    conditions: int
    slope: float
    low: float
    high: float
    scatter: float
    spread: float

    @property
    def depth(self) -> float | None:
        """m, or None where the slope is not positive: then no penalty of this form fits."""
        return 2 / self.slope if self.slope > 0 else None

    @property
    def depth_interval(self) -> tuple[float | None, float | None]:
        """The interval of m that follows from the slope's interval; None for an end without bound."""
        return (2 / self.high if self.high > 0 else None), (2 / self.low if self.low > 0 else None)


def fit_depth(conditions: Sequence[Sequence[Reading]], K: int) -> DepthFit | None:
    """Fit (2) to the runs of several conditions of one network; None where log |h| differs by less than `SAME_NORM`."""
    x = np.array([np.log([reading.norm_h for reading in runs]).mean() for runs in conditions])
    y = np.array([np.log([K * reading.norm_w**2 for reading in runs]).mean() for runs in conditions])
    if len(conditions) < 2 or np.ptp(x) < SAME_NORM:
        return None
    line = linregress(x, y)
    free = len(x) - 2
    reach = float(t.ppf(0.975, free) * line.stderr) if free else math.inf
    residuals = y - line.intercept - line.slope * x
    slope = float(line.slope)
    return DepthFit(len(x), slope, slope - reach, slope + reach, float(np.sqrt((residuals**2).mean())), float(x.std()))
