"""The atlas of any model in words: the table, what theory says of it, and what is not checked."""

import dataclasses
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from ufm import model_relations
from ufm.atlas_report import SIGNIFICANT
from ufm.certificate import certify
from ufm.model_atlas import ModelAtlas
from ufm.model_choice import target_of
from ufm.model_row import SAME_VALUE, ModelRow
from ufm.problem import Problem
from ufm.settings.atlas import AtlasSetting
from ufm.target import Target

NO_BALL = "the model has no form in ball arithmetic yet: existence and index of a critical point are numeric"


def evidence(atlas: ModelAtlas) -> dict[str, Any]:
    """Morse relations where they are known, theory's prediction, the claims, and what is not checked."""
    target, why_no_target = _prediction(atlas)
    relations, why_not = _relations(atlas), model_relations.why_none(atlas.model, atlas.rows)
    not_checked = {"ball arithmetic": NO_BALL}
    not_checked |= {"Morse relations": why_not} if why_not else {}
    not_checked |= {"prediction": why_no_target} if why_no_target else {}
    if target is not None and not target.is_benign and target.other_minima is None:
        not_checked["local minima"] = "theory does not say which there are"
    problem, lowest = atlas.model, atlas.rows[0]
    has_dual = isinstance(problem, Problem) and problem.loss.is_convex
    return {
        "morse": relations,
        "prediction": target and {"value": target.value, "is_proved_global": target.is_proved_global},
        "claims": claims(atlas, target, relations),
        "duality_gap": float(certify(problem, lowest.x).gap) if has_dual and isinstance(problem, Problem) else None,
        "not_checked": not_checked,
    }


def claims(atlas: ModelAtlas, target: Target | None, relations: list[dict[str, Any]] | None) -> dict[str, bool]:
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
    if relations is not None:
        found["Morse relations hold"] = all(entry["holds"] for entry in relations)
    return found


def is_strict_saddle(row: ModelRow) -> bool:
    """Whether every point of the row that was found has an eigenvalue below zero, and the direction shows it."""
    return min(row.indices) > 0 and row.curvature < -SIGNIFICANT


def show(setting: AtlasSetting, atlas: ModelAtlas, result: dict[str, Any]) -> None:
    """Print the table and what a reader must know beside it."""
    console = Console()
    if not console.is_terminal:
        console.width = 150
    console.print(_table(setting, atlas))
    for line in summary(atlas, result):
        console.print(line, soft_wrap=True, highlight=False)


def summary(atlas: ModelAtlas, result: dict[str, Any]) -> list[str]:
    """Counts, resolution, minima, claims, and what is not checked."""
    statuses = ", ".join(f"{count} {name.lower().replace('_', ' ')}" for name, count in atlas.statuses.items() if count)
    orbits = [row for row in atlas.rows if not row.is_set]
    lines = [
        f"{len(atlas.rows)} rows, of which {len(orbits)} orbits with {sum(row.copies for row in orbits)} labelled "
        f"copies ({sum(len(row.copies_found) for row in orbits)} of their class copies met); {len(atlas.rounds)} "
        f"rounds in {atlas.seconds:.1f} s, {atlas.quiet_rounds} since the last new row; starts: {statuses}.",
        f"Logits differ by at most {max(row.farthest for row in atlas.rows):.1e} within a row"
        + ("." if math.isinf(result["separation"]) else f", between rows by at least {result['separation']:.1e}."),
        *_remarks(atlas),
    ]
    if result["duality_gap"] is not None:
        gap = max(0.0, result["duality_gap"])
        lines.append(f"No point is lower than row 1 by more than {gap:.1e} (certificate, duality gap).")
    if (prediction := result["prediction"]) is not None:
        kind = "the global minimum" if prediction["is_proved_global"] else "a point not proved to be the lowest"
        above = atlas.rows[0].value - prediction["value"]
        lines.append(f"Predicted: {prediction['value']:.10f}, {kind}; row 1 is {above:+.1e} from it.")
    for entry in result["morse"] or []:
        held = "hold" if entry["holds"] else "FAIL"
        lines.append(
            f"Morse relations in dimension {entry['dimension']}: {held} (Euler sum {entry['euler']}, must be 1)."
        )
    lines += [f"{claim}: {'holds' if holds else 'FAILS'} (numeric)." for claim, holds in result["claims"].items()]
    return [*lines, *(f"Not checked, {name}: {why}." for name, why in result["not_checked"].items())]


def _remarks(atlas: ModelAtlas) -> list[str]:
    """Second local minima, degenerate rows, and rows that were nearly missed."""
    lines = []
    minima = [str(n) for n, row in enumerate(atlas.rows, 1) if row.index == 0 and not row.is_degenerate]
    if len(minima) > 1:
        lines.append(f"Local minima up to the symmetries: rows {', '.join(minima)}.")
    degenerate = [str(n) for n, row in enumerate(atlas.rows, 1) if row.is_degenerate]
    if degenerate:
        lines.append(
            f"Degenerate, with zero eigenvalues that no symmetry explains: rows {', '.join(degenerate)}, one per "
            "objective, copies not counted; rank and classes are those of one point."
        )
    once = sum(row.found == 1 for row in atlas.rows)
    if once:
        lines.append(f"Rows that a single start found: {once}; where there are some, others are likely to be missing.")
    return lines


def _prediction(atlas: ModelAtlas) -> tuple[Target | None, str | None]:
    """The target, or why there is none."""
    try:
        return target_of(atlas.model), None
    except ValueError as error:
        return None, str(error).rstrip(".")


def _relations(atlas: ModelAtlas) -> list[dict[str, Any]] | None:
    verdicts = model_relations.verdicts(atlas.model, atlas.rows, atlas.dimensions)
    return [dataclasses.asdict(verdict) | {"holds": verdict.holds} for verdict in verdicts] or None


def _is_close(value: float, other: float) -> bool:
    return abs(value - other) <= SAME_VALUE * max(1.0, abs(other))


def _table(setting: AtlasSetting, atlas: ModelAtlas) -> Table:
    choice, model = setting.model_choice, atlas.model
    options = ", ".join(f"{name} {value}" for name, value in choice.options.items())
    title = f"{choice.name} ({options}), {setting.loss['name']}, K = {model.K}, d = {model.d}, n = {model.n}"
    table = Table(title=title, title_justify="left")
    names = ("", "value", "rank", "negative", "zero", "copies", "met", "apart", "found", "curvature", "along", "proved")
    for name in names:
        table.add_column(name, justify="left" if name in ("apart", "along", "proved") else "right")
    for number, row in enumerate(atlas.rows, 1):
        along = row.direction_is if row.index else "minimum" if not row.is_degenerate else "-"
        cells = f"{row.value:.10f}", str(row.rank), index_text(row), _zeros(row), _copies(row)
        met = str(len(row.copies_found))
        table.add_row(str(number), *cells, met, row.apart, str(row.found), f"{row.curvature:.4f}", along, "not checked")
    return table


def index_text(row: ModelRow) -> str:
    """The Morse index; of a degenerate row the range that was met."""
    low, high = min(row.indices), max(row.indices)
    return str(low) if low == high else f"{low} to {high}"


def _zeros(row: ModelRow) -> str:
    return f"{row.nullity}" + (f" (not {row.expected_nullity})" if row.is_degenerate else "")


def _copies(row: ModelRow) -> str:
    if row.is_set:
        return "-" if row.is_degenerate else "set"
    return str(row.class_copies) if row.sample_copies == 1 else f"{row.class_copies} x {row.sample_copies}"
