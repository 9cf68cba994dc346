"""Pictures of results for a notebook or a script: each returns a matplotlib figure and accepts given axes.

    figure = ufm.plot.curves(history)                  # or points.plot(), evaluation.plot(), comparison.plot()
    figure.savefig("curves.png")
    ufm.plot.curves(history, ax=axes[0])               # into a figure of your own

They use your style and backend and change neither. The pictures of records are in `figures`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ufm.arguments import any_number, each, instance, optional, shown, takes
from ufm.errors import check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves"]

NOT_DISTANCES = ("gnc2", "neco_auroc", "accuracy", "present", "epoch")
"""Numbers that occur beside the metrics and are not 0 at collapse; before their names may stand what they are of."""


@takes(history=each(instance(Mapping), 1), steps=optional(each(any_number)))
def curves(
    history: Sequence[Mapping[str, Any]], steps: Sequence[float] | None = None, ax: "Axes | None" = None
) -> "Figure":
    """Draw metrics over epochs on a logarithmic axis from one dict of numbers per epoch; zeros and gaps are left out.

    Args:
        history: what `deepnet.NeuralCollapse.compute`, `deepnet.evaluate(...).metrics` or `all_metrics` gave, or
            `deepnet.watch(...).history`.
        steps: where on the axis each stands; None takes their epochs, or counts from 0 where they have none.

    Raises:
        ValueError: if there are none, or not as many steps.
    """
    if steps is None:
        steps = [each["epoch"] for each in history] if all("epoch" in each for each in history) else range(len(history))
    check(len(steps) == len(history), "steps", f"{len(steps)} numbers", f"as many as `history` has, {len(history)}")
    figure, ax = on_axes(ax)
    for name in distances(history):
        values = [positive(each.get(name)) for each in history]
        if not all(map(math.isnan, values)):
            ax.plot(steps, values, marker=".", label=name)
    ax.set(yscale="log", xlabel="epoch", ylabel="distance from collapse")
    ax.legend(fontsize="small", ncols=2)
    return figure


def on_axes(ax: "Axes | None") -> "tuple[Figure, Axes]":
    """The figure and the axes `ax`; new ones for None.

    A new figure is closed for `pyplot`, so that a notebook shows it once, as the value of its cell.
    """
    check(ax is None or hasattr(ax, "get_figure"), "ax", shown(ax), "axes of matplotlib, or None")
    if ax is not None:
        figure = ax.get_figure(root=True)
        assert figure is not None, "axes without a figure"
        return figure, ax
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    pyplot.close(figure)
    return figure, axes


def distances(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of what is 0 at collapse, in order."""
    names = dict.fromkeys(name for values in history for name in values)
    return [name for name in names if name.rsplit("/", 1)[-1] not in NOT_DISTANCES]


def positive(value: Any) -> float:
    """A number for a logarithmic axis, nan for what has no place there."""
    return float(value) if value is not None and float(value) > 0 else math.nan
