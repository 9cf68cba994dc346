"""The result of an evaluation: the metrics of one set of features, or of several layers of a model."""

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ufm.collapse import FeatureStats, all_metrics, nc4_held_out, nc5, neco_score
from ufm.collapse.cautions import NO_TWO
from ufm.collapse.matrices import tiles
from ufm.html import html_table
from ufm.plot import distances, on_axes, positive

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_SIZES = ("layers", "last_layer", "undefined")
"""The fields of an evaluation that are no columns of its table."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics by layer and name (formulas: `ufm/collapse/README.md`); those that cannot be computed are left out.

    Attributes:
        source: the file, or the type of the model.
        samples, classes, present, dim: numbers of samples, of classes of the last layer, of those that have samples,
            and of features of the last layer.
        layers: name of a layer -> its metrics; the last layer comes first.
        last_layer: the name of the linear map whose input is the last layer's features; None if it is not known.
        undefined: the metrics of each layer that these features leave undefined or infinite: class means coincide, or
            squares are beyond float64.
    """

    source: str
    samples: int
    classes: int
    present: int
    dim: int
    layers: dict[str, dict[str, float]]
    last_layer: str | None = None
    undefined: dict[str, list[str]] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the last layer."""
        return next(iter(self.layers.values()))

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as plain values for a record."""
        return asdict(self)

    def rows(self) -> list[dict[str, Any]]:
        """One flat dict per layer, for a table of pandas."""
        sizes = {name: value for name, value in asdict(self).items() if name not in NO_SIZES}
        return [{**sizes, "layer": layer, **values} for layer, values in self.layers.items()]

    def plot(self, ax: "Axes | None" = None) -> "Figure":
        """Draw the metrics that are 0 at collapse on a logarithmic axis, with one colour per layer."""
        figure, ax = on_axes(ax)
        names = distances(list(self.layers.values()))
        for layer, values in self.layers.items():
            ax.plot(range(len(names)), [positive(values.get(name)) for name in names], "o", label=layer)
        ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
        ax.set(yscale="log", ylabel="distance from collapse")
        ax.legend()
        return figure

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        names = dict.fromkeys(name for values in (*self.layers.values(), *self.undefined.values()) for name in values)
        rows = [(name, *(values.get(name) for values in self.layers.values())) for name in names]
        title = f"{self.source}: {self.samples} samples of {self.present} classes"
        title += f". {NO_TWO}" if self.samples == self.present else ""
        return html_table(title, ("metric", *self.layers), rows)


def evaluation(
    source: str, sizes: tuple[int, int, int, int], values: dict[str, dict[str, float]], last_layer: str | None = None
) -> Evaluation:
    """The evaluation with these metrics by layer; those that are no finite numbers are named as undefined."""
    layers = {layer: {name: x for name, x in of.items() if math.isfinite(x)} for layer, of in values.items()}
    undefined = {layer: [name for name in of if name not in layers[layer]] for layer, of in values.items()}
    return Evaluation(source, *sizes, layers, last_layer, {layer: names for layer, names in undefined.items() if names})


def metrics_of(stats: FeatureStats) -> dict[str, float]:
    """Every metric of the statistics as a float, by name."""
    values = all_metrics(stats)
    return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))


def accuracy_of(H: Tensor, labels: Tensor, W: Tensor, b: Tensor | None, ignore_index: int) -> float:
    """The share of samples whose largest logit is their label's, among samples that have a label."""
    dtype, right = torch.promote_types(H.dtype, torch.float32), 0
    W, b = W.to(dtype), W.new_zeros(len(W), dtype=dtype) if b is None else b.to(dtype)
    for rows in tiles(len(H), len(W)):
        right += int(((H[rows].to(dtype) @ W.mT + b).argmax(-1) == labels[rows])[labels[rows] != ignore_index].sum())
    return right / int((labels != ignore_index).sum())


def on_other_samples(
    stats: FeatureStats, test: Tensor | None, outside: Tensor | None, train: Tensor
) -> dict[str, float]:
    """NC4 of test features with these means; NC5 and the AUROC of NECO's score for features of no class.

    `neco_auroc` is the chance that a sample of a class (of the test features where there are some) scores higher than
    one of none.
    """
    values = {}
    if test is not None and stats.W is not None:
        values["nc4_test"] = float(nc4_held_out(stats, test))
    if outside is not None:
        values["nc5"] = float(nc5(stats, outside))
        inside = neco_score(stats, train if test is None else test)
        values["neco_auroc"] = chance_of_more(inside, neco_score(stats, outside))
    return values


def chance_of_more(high: Tensor, low: Tensor) -> float:
    """The share of pairs in which the first exceeds the second, ties counting half: the area under the ROC curve."""
    ordered = low.sort().values
    below, up_to = (torch.searchsorted(ordered, high, right=right).double() for right in (False, True))
    return float((below + up_to).mean() / 2 / len(low))
