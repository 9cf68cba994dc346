"""The last layer of any network against the minimum of the unconstrained feature model with its loss and decays.

    deepnet.compare(features, labels, weight, bias, loss="ce", decay=5e-4)

The model is (1/N) sum_i loss(W h_i + b, y_i) + decay_W/2 |W|^2 + decay_H/2 |H|^2 + decay_b/2 |b|^2: its decays have a
factor 1/2, as the weight decay of an optimiser has, and the loss is a mean over the N samples. A network has no decay
of its features. Unless one is given, it is read off the balance decay_W |W|^2 = decay_H |H|^2 of every critical point;
then |w| / |h| is a calibration, and the rows called identities say whether the last layer is stationary and collapsed
(`deepnet/comparison/compare.py`). `theories.py` says which minimum is predicted; rows have measured and predicted of
the same quantity.
"""

import math
from dataclasses import asdict, dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import torch
from torch import Tensor

from deepnet.comparison.compare import Comparison, Kind, Row, Sizes, html_of_rows, plot_rows
from deepnet.comparison.compare import compare as compare_reading
from deepnet.comparison.layer import Decays, Frame, Layer, OfSamples, in_frame, layer_of, of_logits, of_samples
from deepnet.comparison.theories import Theory, theory_for
from deepnet.comparison.verdict import CLOSE, COLLAPSED, grade, number, percent
from deepnet.measures.reading import Reading
from deepnet.settings import LARGEST_DECAY, LEAST_DECAY
from ufm.arguments import Rule, optional
from ufm.arguments import number as number_in
from ufm.collapse import cosines
from ufm.errors import RequestError, check
from ufm.model.loss import Loss
from ufm.model.own_loss import loss_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IDENTITIES = ("self-duality: cos(W, class means)", "mean cosine of class means")
DECAY = number_in(LEAST_DECAY, LARGEST_DECAY, "in [1e-100, 1e100]")
LOSS = Rule(lambda v: isinstance(v, str | dict | Loss), "a loss of ufm, its name, or its name with parameters")


@dataclass(frozen=True)
class NetComparison:
    """The result of comparing a last layer with theory.

    Attributes:
        theory, why, evidence: the theory that applies, the property of the samples that selects it, and the evidence
            for its prediction.
        verdict: one sentence that sums up.
        rows: measured against predicted.
        residuals: how far from stationary: of the weights |G'H + decay_W W| / |decay_W W|, of the bias |G'1 + decay_b
            b| / sqrt(N) |G|, and of the features, in the model, |G W + decay_H H| / |decay_H H|.
        nc1_trace: scatter within labels over that between them.
        decay_W, decay_H, decay_b: the model's; decay_b None without a bias.
        is_fitted: whether decay_H was read off the balance.
        shift: length of the vector that all features are moved by (`layer.py`).
        predicted_value: the objective at the predicted minimum, of features less that vector.
        samples, classes, dim: N, K and d.
        notes: further sentences, such as limits of the theory.
    """

    theory: str
    why: str
    evidence: str
    verdict: str
    rows: tuple[Row, ...]
    residuals: dict[str, float]
    nc1_trace: float
    decay_W: float
    decay_H: float
    decay_b: float | None
    is_fitted: bool
    shift: float
    predicted_value: float
    samples: int
    classes: int
    dim: int
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values for a record."""
        rows = [asdict(row) | {"ratio": row.ratio} for row in self.rows]
        return asdict(self) | {"rows": rows, "notes": list(self.notes)}

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Draw measured over predicted, with one row per quantity; 1 is agreement."""
        return plot_rows(self.rows, ax)

    def __str__(self) -> str:
        """The verdict, the rows in columns, and the notes."""
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'':{width}}  {'measured':>10}  {'predicted':>10}"]
        for row in self.rows:
            predicted = "-" if row.predicted is None else f"{row.predicted:.5g}"
            lines.append(f"{row.name:{width}}  {row.measured:>10.5g}  {predicted:>10}")
        return "\n".join([self.verdict, *lines, *self.notes])

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        return html_of_rows(self.verdict, self.rows)


@overload
def compare(reading: Reading, loss: Loss, sizes: Sizes, /) -> Comparison: ...
@overload
def compare(*, reading: Reading, loss: Loss, sizes: Sizes) -> Comparison: ...
@overload
def compare(
    features: Any,
    labels: Any,
    weight: Any,
    bias: Any = ...,
    *,
    loss: Loss | str | dict[str, Any],
    decay: float,
    decay_H: float | None = ...,
    decay_b: float | None = ...,
) -> NetComparison: ...
def compare(
    features: Any = None,
    labels: Any = None,
    weight: Any = None,
    bias: Any = None,
    *,
    loss: Loss | str | dict[str, Any] | None = None,
    decay: float | None = None,
    decay_H: float | None = None,
    decay_b: float | None = None,
    reading: Reading | None = None,
    sizes: Sizes | None = None,
) -> Comparison | NetComparison:
    """Compare a trained last layer with the minimum that theory predicts for its loss and decays.

    Two forms: `compare(features, labels, weight, bias, loss="ce", decay=5e-4)` for a network of any kind, which returns
    a `NetComparison`; `compare(reading, loss, sizes)` for what is read off a run of `deepnet train`, which returns a
    `Comparison`.

    Args:
        features: (N, d), of training samples in eval mode; arrays of numpy or tensors, as the next three.
        labels: (N,) class numbers, or (N, K) of 0 and 1 for several labels a sample.
        weight: (K, d), the last layer's.
        bias: (K,), None where the last layer has none.
        loss: a loss of ufm, its name, or its name with parameters ({"name": "focal", "gamma": 2}).
        decay: of the weights, in [1e-100, 1e100], what SGD calls weight_decay (the objective has decay/2 |W|^2).
        decay_H: of the features, in the same bounds (decay_H/2 |H|^2); None: read off the balance with the weights.
        decay_b: of the bias, in [0, 1e100]; None: `decay`.
        reading: of the second form only, as `sizes`: what is read off a run.
        sizes: classes, samples per class, dimension and decay of that run.

    Raises:
        ValueError: if these do not belong together, or theory has nothing to say of them.
    """
    if reading is None and isinstance(features, Reading):
        reading = features
        loss, sizes = (labels if loss is None else loss), (weight if sizes is None else sizes)
    if reading is None:
        check(sizes is None, "sizes", sizes, "left out with features, which say it")
        LOSS.check("loss", loss)
        DECAY.check("decay", decay)
        optional(DECAY).check("decay_H", decay_H)
        optional(number_in(0.0, LARGEST_DECAY, "in [0, 1e100]")).check("decay_b", decay_b)
        decays: dict[str, Any] = {"decay": decay, "decay_H": decay_H, "decay_b": decay_b}
        try:
            made = _made(loss)  # type: ignore[arg-type]  # not None
        except RequestError as error:
            raise RequestError(str(error).replace("`--loss", "`loss")) from None  # no option here
        return compare_net(features, labels, weight, bias, loss=made, **decays)
    for name, value in {"bias": bias, "decay": decay, "decay_H": decay_H, "decay_b": decay_b}.items():
        check(value is None, name, value, "left out with a reading, whose sizes say the decay")
    return compare_reading(reading, loss, sizes)  # type: ignore[arg-type]  # which refuses what is no loss


def compare_net(
    features: Any,
    labels: Any,
    weight: Any,
    bias: Any = None,
    *,
    loss: Loss | str | dict[str, Any],
    decay: float,
    decay_H: float | None = None,
    decay_b: float | None = None,
) -> NetComparison:
    """Compare the last layer of any network with theory: the form of `compare` that takes features.

    Raises:
        ValueError: as `compare`.
    """
    made = _made(loss)
    layer = layer_of(features, labels, weight, bias, made)
    own = Decays(decay, decay_H, (decay if decay_b is None else decay_b) if layer.has_bias else None)
    frame = in_frame(layer, own)
    theory, found = theory_for(layer, frame), of_samples(layer, frame)
    every = _rows(layer, frame, theory, found)
    rows = tuple(row for row in every if math.isfinite(row.measured))
    residuals = _residuals(layer, frame, own, found)
    nc1 = _nc1(layer)
    return NetComparison(
        theory=theory.name,
        why=theory.why,
        evidence=theory.evidence,
        verdict=_verdict(theory, rows, residuals, nc1),
        rows=rows,
        residuals=residuals,
        nc1_trace=nc1,
        decay_W=decay,
        decay_H=frame.decay_H,
        decay_b=frame.decays.b,
        is_fitted=frame.is_fitted,
        shift=float(frame.shift.norm()),
        predicted_value=theory.value,
        samples=len(layer.H),
        classes=len(layer.W),
        dim=layer.H.shape[1],
        notes=(*theory.notes, *_on_undefined([row.name for row in every if row not in rows])),
    )


def _made(loss: Loss | str | dict[str, Any]) -> Loss:
    return loss if isinstance(loss, Loss) else loss_of({"name": loss} if isinstance(loss, str) else loss)


def _on_undefined(names: list[str]) -> list[str]:
    """The sentence on quantities that the layer leaves undefined."""
    return [f"Not defined for this layer, where parts are zero or coincide: {', '.join(names)}."] if names else []


def _rows(layer: Layer, frame: Frame, theory: Theory, found: OfSamples) -> tuple[Row, ...]:
    """Quantities of the layer in its frame beside the same of the predicted point."""
    measured = _of_point(layer, frame.W, frame.M, frame.square)
    predicted = _of_point(layer, theory.W, theory.M, float(layer.counts @ theory.M.square().sum(1)))
    expected = _of_collapsed(layer, theory)
    calibration: Kind = "calibration" if frame.is_fitted else "identity"
    pairs: dict[str, tuple[Kind, float, float]] = {
        "margin": ("identity", found.margin, expected.margin),
        "p_y": ("identity", found.p_y, expected.p_y),
        "|w|": ("identity", measured["|w|"], predicted["|w|"]),
        "|h|": ("identity", measured["|h|"], predicted["|h|"]),
        "|w| / |h|": (calibration, _over(measured["|w|"], measured["|h|"]), _over(predicted["|w|"], predicted["|h|"])),
        "training loss": ("identity", found.loss, expected.loss),
    }
    if not (layer.is_single and layer.loss.is_shift_invariant):
        del pairs["p_y"]
    rest = [name for name in predicted if name not in pairs]
    for name in rest:
        kind: Kind = "identity" if name in IDENTITIES else "prediction"
        pairs[name] = (kind, measured[name], predicted[name])
    if not layer.is_balanced:
        pairs |= _shapes(frame, theory)
    if theory.is_orthogonal:
        pairs["mean cosine of class means as they are"] = ("prediction", float(cosines(layer.means).mean()), 0.0)
    pairs["variance between classes / total"] = ("prediction", 1 / (1 + _nc1(layer)), 1.0)
    rows = [Row(name, *values) for name, values in pairs.items()]
    is_told = (row.predicted is None or not math.isnan(row.predicted) for row in rows)  # zero leaves some undefined
    return tuple(compress(rows, is_told))


def _of_point(layer: Layer, W: Tensor, M: Tensor, square: float) -> dict[str, float]:
    """The quantities of a point, from W, the mean features and the sum of squares of all features."""
    centred, means = W - W.mean(0), M - M.mean(0)
    gram = means @ means.mT
    values = {
        "|w|": float((centred.square().sum() / len(W)).sqrt()),
        "|h|": (square / len(layer.H)) ** 0.5,
    }
    if layer.is_single and len(M) == len(W):
        values["self-duality: cos(W, class means)"] = float((centred * means).sum() / centred.norm() / means.norm())
    values |= {
        "mean cosine of class means": float(cosines(means).mean()),
        "dimensions of class means": float(gram.trace().square() / gram.square().sum()),
    }
    if layer.is_single and not layer.is_balanced:
        values |= _of_sizes(layer, centred)
    return values


def _of_sizes(layer: Layer, W: Tensor) -> dict[str, float]:
    """The mean lengths of the rows of the largest and of the smallest classes."""
    lengths = W[layer.present].norm(dim=1)
    most, least = layer.counts == layer.counts.max(), layer.counts == layer.counts.min()
    if bool(most.all()):
        return {}
    return {
        "|w| of the largest classes": float(lengths[most].mean()),
        "|w| of the smallest": float(lengths[least].mean()),
    }


def _shapes(frame: Frame, theory: Theory) -> dict[str, tuple[Kind, float, float]]:
    """The cosines between Gram matrices and the predicted ones, which no rotation of feature space changes."""
    pairs: dict[str, tuple[Kind, float, float]] = {}
    for name, own, other in (("W W'", frame.W, theory.W), ("class means'", frame.M, theory.M)):
        one, two = (part @ part.mT for part in (own - own.mean(0), other - other.mean(0)))
        likeness = float((one * two).sum() / one.norm() / two.norm())
        pairs[f"cos({name} inner products, predicted)"] = ("prediction", likeness, math.nan if theory.is_zero else 1.0)
    return pairs


class _Collapsed(NamedTuple):
    loss: float
    margin: float
    p_y: float


def _of_collapsed(layer: Layer, theory: Theory) -> _Collapsed:
    """Loss, margin and p_y of the predicted point, where one sample of each label stands for all of them."""
    share = layer.counts / layer.counts.sum()
    values = of_logits(layer, theory.M @ theory.W.mT + theory.b, layer.present)
    return _Collapsed(*(float(share @ each) for each in values))


def _residuals(layer: Layer, frame: Frame, own: Decays, found: OfSamples) -> dict[str, float]:
    """The residuals of the original last layer with its own decays, and of the features in the model."""
    pulled = own.W * layer.W
    values = {"weights": _over(float((found.pull + pulled).norm()), float(pulled.norm()))}
    if own.b is not None:
        values["bias"] = _over(float((found.total + own.b * layer.b).norm()), found.size * len(layer.H) ** 0.5)
    return values | {"features": _over(found.missed, frame.decay_H * frame.square**0.5)}


def _nc1(layer: Layer) -> float:
    """tr S_W / tr S_B as in `ufm/collapse`: samples weigh the same in S_W, class means in S_B."""
    between = float((layer.means - layer.means.mean(0)).square().sum(1).mean())
    own = layer.means[torch.searchsorted(layer.present, layer.labels)]
    return _over(float((layer.H - own).square().sum(1).mean()), between)


def _verdict(theory: Theory, rows: tuple[Row, ...], residuals: dict[str, float], nc1: float) -> str:
    """One sentence: the theory, whether the layer is stationary and collapsed, and what is off most."""
    own = [value for name, value in residuals.items() if name != "features"]  # which no network sets freely
    state = "stationary" if max(own) <= CLOSE else "not stationary"
    far = ", ".join(f"{name} {number(value)}" for name, value in residuals.items())
    collapse = "collapsed" if nc1 <= COLLAPSED else "not collapsed"
    head = f"{theory.name[0].upper()}{theory.name[1:]} ({theory.why})"
    layer = f"last layer {state} (residuals: {far}) and {collapse} (NC1 trace {number(nc1)})"
    if theory.is_zero:
        return f"{head} predicts zero at these decays; {layer}."
    off = {row.name: abs(row.ratio - 1) for row in rows if row.ratio is not None and row.kind != "calibration"}
    worst = max(off, key=lambda name: off[name])
    return f"{head}; {layer}; {grade(off[worst])}: {worst} is off most, by {percent(off[worst])}."


def _over(part: float, whole: float) -> float:
    return part / whole if whole else float("nan") if part == 0 else float("inf")
