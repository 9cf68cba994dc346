"""A trained net against what is derived for it, with nothing fitted: measured, derived, and its objective over a bound.

`deepnet/comparison/price.py` derives what a net with batch normalisation pays for its features, `layer_norm.py` what
one that ends in a layer normalisation pays, hence the margin, norms and loss of the best such net, and, for a convex
loss, a number that the objective

    L = mean loss + decay/2 (|W|^2 + |b|^2 + |theta|^2)

of no net is below, theta being the scales and shifts that its features are a sum of. L is what the terminal phase
minimises, and leaves out the decay of weights that have no scale. What is derived takes the statistics of all images,
which those of evaluation are after a terminal phase. The bound holds in evaluation whatever its statistics, whose q
counts J so many times. It is evaluated in floating point. Behind a layer normalisation with scale and shift the least
is searched and not proved: then there is no bound.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from deepnet.comparison.compare import Sizes
from deepnet.comparison.layer_norm import Least, in_ball, least_with_scale
from deepnet.comparison.price import FeatureSource, derived_prediction, lower_bound
from deepnet.measures.reading import Reading
from deepnet.nets.nets import Network
from deepnet.nets.scales import LayerScales, Scales
from ufm.errors import RequestError
from ufm.model.loss import Loss
from ufm.theory.prediction import Prediction


@dataclass(frozen=True)
class Derived:
    """What was measured and what is derived.

    Attributes:
        source: where the features come from, with the statistics of evaluation; None behind a layer normalisation.
        measured, derived: by quantity; p_y is left out where the loss has no probabilities.
        bound: the lower bound of `measured["objective"]`; None where none is proved.
    """

    source: FeatureSource | None
    measured: dict[str, float]
    derived: dict[str, float]
    bound: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a record; `deviation` is measured over derived, less 1."""
        rows = [
            {"name": name, "measured": value, "derived": self.derived[name], "deviation": _deviation(self, name)}
            for name, value in self.measured.items()
        ]
        over = self.measured["objective"] / self.bound if self.bound else None
        source = asdict(self.source) if self.source else {"count": None, "is_rectified": False, "moment": None}
        return source | {"rows": rows, "bound": self.bound, "objective_over_bound": over}


def derived(
    net: Network, found: Scales | LayerScales, moment: float, reading: Reading, loss: Loss, sizes: Sizes
) -> Derived | None:
    """The comparison; None where nothing is derived: no prediction, too few dimensions, or q not finite.

    Args:
        net: the network as evaluated.
        found: its scales.
        moment: q of the statistics of evaluation.
        reading: of its last layer on the training images in evaluation.
        loss, sizes: of the run.
    """
    source = FeatureSource(found.count, found.is_rectified) if isinstance(found, Scales) else None
    try:
        evaluated = replace(source, moment=moment) if source else None
        predicted = _predicted(source, found, loss, sizes)
    except RequestError:
        return None
    if predicted.is_zero:
        return None
    pairs = {
        "margin": (reading.margin, predicted.margin),
        "p_y": (reading.p_y, predicted.p_y),
        "|w|": (reading.norm_w, predicted.norm_w),
        "|h|": (reading.norm_h, predicted.norm_h),
        "training loss": (reading.loss, predicted.loss),
        "objective": (_objective(net, found, reading.loss, sizes.decay), predicted.value),
    }
    if isinstance(predicted, Least):
        pairs["dimensions"] = (reading.dimensions, predicted.dimensions)
        bound = None
    else:
        bound = (
            lower_bound(evaluated, loss, sizes)
            if evaluated
            else (predicted.value if predicted.is_proved_global else None)
        )
    known = {name: (measured, value) for name, (measured, value) in pairs.items() if value is not None}
    return Derived(
        evaluated,
        {name: measured for name, (measured, _) in known.items()},
        {name: value for name, (_, value) in known.items()},
        bound,
    )


def _predicted(
    source: FeatureSource | None, found: Scales | LayerScales, loss: Loss, sizes: Sizes
) -> Prediction | Least:
    if source:
        return derived_prediction(source, loss, sizes)
    return least_with_scale(loss, sizes) if found.parameters else in_ball(loss, sizes)


def _objective(net: Network, found: Scales | LayerScales, loss: float, decay: float) -> float:
    squares = (
        float(each.detach().double().square().sum()) for each in (*net.classifier.parameters(), *found.parameters)
    )
    return loss + decay / 2 * sum(squares)


def _deviation(found: Derived, name: str) -> float:
    return found.measured[name] / found.derived[name] - 1
