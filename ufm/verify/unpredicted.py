"""Description of end points where theory predicts no minimum: values, ranks, metrics of collapse, without claims."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from ufm.collapse import FeatureStats, collapse_metrics
from ufm.model.model import Model
from ufm.solve.end_points import EndPoints, Status
from ufm.solve.grouping import groups_of
from ufm.solve.rank import numerical_rank
from ufm.tolerances import SAME_STATE

MOST_STATES = 50
"""The most rows kept, the lowest ones, as starts that stop too early could fill a record."""
METRICS = ("nc1_trace", "nc2_etf_distance", "nc3_self_duality", "nc4_disagreement")


def describe(model: Model, end: EndPoints) -> dict[str, Float[Tensor, " S"]]:
    """Objective, gradient, ranks and metrics of every end point."""
    W, H, b = model.unpack(end.x)
    found = {"objective": end.value, "gradient": end.gradient_norm, "rank": _rank(H)}
    if model.is_rectified:
        found["rank before"] = _rank(model.before_last(end.x))
    metrics = collapse_metrics(FeatureStats.from_features(H, model.labels(H.device), W, b))
    return found | {name: metrics[name] for name in METRICS}


def states(
    scale: float, first_start: int, status: Int[Tensor, " S"], found: dict[str, Float[Tensor, " S"]]
) -> list[dict[str, Any]]:
    """One row per objective at which starts end, converged or not, lowest first; the numbers are its lowest start's.

    Where all features are zero the metrics of collapse have no meaning and are left out.
    """
    start = found["objective"].isfinite().nonzero()[:, 0]
    values = found["objective"][start]
    rows: list[dict[str, Any]] = []
    for group in groups_of(values, SAME_STATE * scale)[:MOST_STATES]:
        lowest, own = start[group[0]], start[group]
        row: dict[str, Any] = {"value": float(values[group[0]]), "found": len(group)}
        row["converged"] = int((status[own] == Status.CONVERGED).sum())
        row["first_start"] = first_start + int(own.min())
        left_out = {"objective", *(METRICS if found["rank"][lowest] == 0 else ())}
        rows.append(row | {name: float(each[lowest]) for name, each in found.items() if name not in left_out})
    return rows


def _rank(features: Float[Tensor, "S N d"]) -> Float[Tensor, " S"]:
    return numerical_rank(features).double()
