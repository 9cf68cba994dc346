"""Evidence about an atlas beyond its rows: each kind is a result, or the reason why there is none."""

import dataclasses
from typing import Any

from ufm.atlas import morse
from ufm.atlas.atlas import Atlas
from ufm.atlas.orbit import Orbit
from ufm.model.target import Target
from ufm.proof.enclosure import enclose
from ufm.proof.margin_enclosure import enclose_margin
from ufm.theory.certificate import duality_gap
from ufm.theory.model_choice import target_of
from ufm.tolerances import NEGATIVE_CURVATURE, SAME_ORBIT_VALUE


def evidence(atlas: Atlas, with_balls: bool) -> dict[str, Any]:
    """All evidence: balls, Morse relations, dual bound, prediction, claims; `not_checked` has reasons for gaps.

    Args:
        atlas: at least one row.
        with_balls: whether ball arithmetic is asked for; what it proves is kept in the rows.
    """
    target, why_no_target = _prediction(atlas)
    why_no_balls = _certify(atlas) if with_balls else "it was not asked for"
    held = relations(atlas)
    reasons = {"ball arithmetic": why_no_balls, "Morse relations": atlas.why_no_relations, "prediction": why_no_target}
    if target is not None and not target.is_benign and target.other_minima is None:
        reasons["local minima"] = "theory does not say which there are"
    return {
        "morse": held,
        "prediction": target and {"value": target.value, "is_proved_global": target.is_proved_global},
        "claims": claims(atlas, target, held["dimensions"]),
        "not_checked": {name: why for name, why in reasons.items() if why},
        **_of_the_lowest(atlas),
    }


def relations(atlas: Atlas) -> dict[str, Any]:
    """The Morse relations in every dimension, and whether they would notice one or two missing rows."""
    is_applicable = atlas.why_no_relations is None
    rows = [row.critical_set for row in atlas.rows] if is_applicable else []
    return {
        "is_applicable": is_applicable,
        "dimensions": [dataclasses.asdict(verdict) | {"holds": verdict.holds} for verdict in atlas.relations()],
        "noticed_without": morse.noticed(rows, atlas.dimensions),
        "unnoticed_pairs": morse.unnoticed_pairs(rows, atlas.dimensions),
    }


def claims(atlas: Atlas, target: Target | None, dimensions: list[dict[str, Any]]) -> dict[str, bool]:
    """What theory says, as far as it says something; without a prediction, that no saddle hides a second minimum."""
    found = {}
    if target is not None and target.is_proved_global:
        found["the lowest row is the predicted minimum"] = _is_close(atlas.rows[0].value, target.value)
    if target is None or target.is_benign:
        found["every row above the lowest is a strict saddle"] = all(map(is_strict_saddle, atlas.rows[1:]))
    elif target.other_minima is not None:
        states = target.value, *target.other_minima
        minima = [row for row in atlas.rows if not is_strict_saddle(row)]
        found["every local minimum is a predicted state"] = all(
            any(_is_close(row.value, state) for state in states) for row in minima
        )
    if atlas.model.has_columns:
        found["no row is degenerate"] = not any(row.is_degenerate for row in atlas.rows)
    if dimensions:
        found["Morse relations hold"] = all(entry["holds"] for entry in dimensions)
    return found


def is_strict_saddle(row: Orbit) -> bool:
    """Whether every point of the row that was found has an eigenvalue below zero, and the direction shows it."""
    return min(row.indices) > 0 and row.curvature < -NEGATIVE_CURVATURE


def _prediction(atlas: Atlas) -> tuple[Target | None, str | None]:
    """The target, or the reason why there is none."""
    try:
        return target_of(atlas.model), None
    except ValueError as error:
        return None, str(error).rstrip(".")


def _certify(atlas: Atlas) -> str | None:
    """The enclosures of all rows that are isolated up to symmetries, or the reason why there are none."""
    model = atlas.model
    for row in atlas.rows:
        if row.certificate is None and not row.is_degenerate:
            small = dataclasses.replace(model, d=row.columns)
            in_columns = row.index - (model.d - row.columns) * row.escapes
            try:
                row.certificate = enclose(small, row.x, in_columns, row.escapes, model.d).as_dict()
            except NotImplementedError as error:
                return str(error).rstrip(".")
    return None if any(row.certificate for row in atlas.rows) else "every row is degenerate"


def _of_the_lowest(atlas: Atlas) -> dict[str, Any]:
    """The duality gap of the lowest row (convex losses), and the enclosure of the ETF's margin if the ETF fits."""
    model, lowest = atlas.model, atlas.rows[0]
    gap, margin = duality_gap(model, atlas.embedded(lowest)), enclose_margin(model)
    return {"duality_gap": gap if gap is None else float(gap), "etf_margin": margin and dataclasses.asdict(margin)}


def _is_close(value: float, other: float) -> bool:
    return abs(value - other) <= SAME_ORBIT_VALUE * max(1.0, abs(other))
