"""Predictions with nothing fitted on their target: calibrate a network's feature penalty on one run, predict another.

Runs of one network on the same images that differ in the loss, the weight decay and the seed. Two calibrations:

- on one run, with m = 1 (the unconstrained feature model) and any other m asked for, the target of the same seed;
- *m left out*: m fitted to all runs but those of the target's condition (loss and decay), then as above with that m.

Every pair of conditions is a row; none is dropped, whatever its error.
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deepnet.comparison.compare import Row, Sizes
from deepnet.comparison.penalty import FeaturePenalty, fit_depth
from deepnet.measures.reading import Reading
from ufm.model.loss import Loss

QUANTITIES = ("margin", "p_y", "|w|", "|h|", "training loss")


@dataclass(frozen=True)
class Case:
    """The last reading of one run on its training images.

    Attributes:
        condition: names loss and decay.
        seed: of the run.
    """

    condition: str
    seed: int
    loss: Loss
    sizes: Sizes
    reading: Reading


@dataclass(frozen=True)
class Transfer:
    """One prediction from one condition to another.

    Attributes:
        source, target, seed: conditions of the calibration and of the prediction.
        depth: the m used.
        is_fitted: whether m was fitted (to runs of other conditions than the target's).
        rows: measured and predicted on the target.
    """

    source: str
    target: str
    seed: int
    depth: float
    is_fitted: bool
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """The prediction as plain values for a record."""
        return asdict(self) | {"rows": [asdict(row) | {"ratio": row.ratio} for row in self.rows]}


def by_condition(cases: Sequence[Case]) -> list[list[Reading]]:
    """The readings grouped by condition."""
    names = dict.fromkeys(case.condition for case in cases)
    return [[case.reading for case in cases if case.condition == name] for name in names]


def transfers(cases: Sequence[Case], depths: Sequence[float] = (1.0,)) -> list[Transfer]:
    """Every prediction from one condition to another of the same seed, for each m given and for m left out."""
    found = []
    for target in cases:
        others = [case for case in cases if case.condition != target.condition]
        fit = fit_depth(by_condition(others), target.sizes.K)
        fitted = fit.depth if fit else None
        for source in cases:
            if source.seed == target.seed and source.condition != target.condition:
                found += [_transfer(source, target, depth, is_fitted=False) for depth in depths]
                found += [] if fitted is None else [_transfer(source, target, fitted, is_fitted=True)]
    return found


def errors(found: Sequence[Transfer]) -> list[dict[str, Any]]:
    """Per target and m: mean over sources and seeds of |measured / predicted - 1|, and how many there are.

    Where a prediction is zero its error is infinite.
    """
    keys = [(entry.target, None if entry.is_fitted else entry.depth) for entry in found]
    table = []
    for target, depth in dict.fromkeys(keys):
        group = [entry for entry, key in zip(found, keys, strict=True) if key == (target, depth)]
        depths = [entry.depth for entry in group]
        by_name: dict[str, list[float]] = {}
        for row in itertools.chain.from_iterable(entry.rows for entry in group):
            by_name.setdefault(row.name, []).append(float("inf") if row.ratio is None else abs(row.ratio - 1))
        mean = {name: statistics.fmean(values) for name, values in by_name.items()}
        worst = {name: max(values) for name, values in by_name.items()}
        table.append(
            {"target": target, "is_fitted": depth is None, "depth": statistics.fmean(depths), "count": len(group)}
            | {"mean": mean, "worst": worst}
        )
    return table


def _transfer(source: Case, target: Case, depth: float, *, is_fitted: bool) -> Transfer:
    penalty = FeaturePenalty.calibrated(source.reading, source.sizes, depth)
    predicted, reading = penalty.predict(target.loss, target.sizes), target.reading
    measured = (reading.margin, reading.p_y, reading.norm_w, reading.norm_h, reading.loss)
    values = (predicted.margin, predicted.p_y, predicted.norm_w, predicted.norm_h, predicted.loss)
    rows = tuple(
        Row(name, "prediction", measure, value)
        for name, measure, value in zip(QUANTITIES, measured, values, strict=True)
        if value is not None
    )
    return Transfer(source.condition, target.condition, target.seed, depth, is_fitted, rows)
