"""Is every critical point in one of these rows? Theorem, search and matching put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ufm.complete.balls import Found
from ufm.complete.reduction import Reduced, check_provable, etf_exists, needs_no_search
from ufm.complete.search import Search
from ufm.complete.squared_error import critical_sets
from ufm.model.problem import Problem

SHOWN = 5
"""Boxes that are left, in words."""


@dataclass(frozen=True)
class Row:
    """A row of the atlas, as far as completeness asks.

    Attributes:
        rank: of W.
        W: (K, columns), with at least `rank` columns.
        manifold: of squared error (r, R).
    """

    rank: int
    W: Float[Tensor, "K q"]
    manifold: tuple[int, int] | None = None


class Completeness(TypedDict):
    """What the record says.

    Attributes:
        is_proved: whether every critical point is proved to be in a row, and every row to be one.
        evidence: `interval`, or `closed form` for squared error.
        boxes: how many were looked at; `seconds`: for how long.
        searches: of every rank between 0 and K - 1 what is left of its boxes (`Search.as_dict`).
        points: critical points found: rank searched, coordinates of w, radius, number of the row (None: of no row).
        missing: what is not in any row, or not known, in words.
        text: the sentence.
    """

    is_proved: bool
    evidence: str
    boxes: int
    seconds: float
    searches: list[dict[str, Any]]
    points: list[dict[str, Any]]
    missing: list[str]
    text: str


def searches_of(problem: Problem) -> list[Search]:
    """One for every rank that no theorem settles.

    Raises:
        ValueError: as `check_provable`.
    """
    check_provable(problem)
    if needs_no_search(problem):
        return []
    return [Search(Reduced(problem, r)) for r in range(1, min(problem.K - 2, problem.d) + 1)]


def verdict(problem: Problem, rows: Sequence[Row], searches: Sequence[Search], seconds: float) -> Completeness:
    """What is proved once the searches are over, or have stopped."""
    is_linear = needs_no_search(problem)
    points: list[dict[str, Any]] = []
    missing = _of_squared_error(problem, rows) if is_linear else _at_the_ends(problem, rows)
    for search in searches:
        found, left = search.closed()
        located = [_located(search.reduced, point, rows) for point in found]
        points += [_as_dict(search.reduced, p, at) for p, at in zip(found, located, strict=True)]
        missing += _of_search(search.reduced, found, located, left, rows)
    boxes = sum(search.looked_at for search in searches)
    evidence = "closed form" if is_linear else "interval"
    return {
        "is_proved": not missing,
        "evidence": evidence,
        "boxes": boxes,
        "seconds": seconds,
        "searches": [search.as_dict() for search in searches],
        "points": points,
        "missing": missing,
        "text": _text(missing, evidence, boxes, len(points), len(rows)),
    }


def _text(missing: list[str], evidence: str, boxes: int, clusters: int, rows: int) -> str:
    searched = f", {boxes} boxes, {clusters} clusters of one critical point each" if evidence == "interval" else ""
    if missing:
        return f"not proved complete ({evidence}{searched}): {'; '.join(missing)}."
    return f"complete: proved ({evidence}){searched}: every critical point is in one of the {rows} rows."


def _of_squared_error(problem: Problem, rows: Sequence[Row]) -> list[str]:
    expected = critical_sets(problem)
    if expected is None:
        return ["c is too close to where a direction of squared error vanishes"]
    there = [(row.rank, row.manifold[0] if row.manifold else None) for row in rows]
    lost = [
        f"the set of rank {rank} with {m} equal directions has no row" for rank, m in expected if (rank, m) not in there
    ]
    return lost + [
        f"row {i + 1} (rank {rank}) is no critical set of its own"
        for i, (rank, m) in enumerate(there)
        if (rank, m) not in expected or (rank, m) in there[:i]
    ]


def _at_the_ends(problem: Problem, rows: Sequence[Row]) -> list[str]:
    """Ranks 0 and K - 1, by theorem."""
    exists = etf_exists(problem) if problem.d >= problem.K - 1 else False
    if exists is None:
        return ["c is too close to where the ETF becomes zero"]
    counts = {0: (1, "zero"), problem.K - 1: (int(exists), "the simplex ETF")}
    wrong = []
    for rank, (count, name) in counts.items():
        there = sum(row.rank == rank for row in rows)
        if there < count:
            wrong.append(f"{name} (rank {rank}) has no row")
        elif there > count:
            wrong.append(
                f"{there} rows have rank {rank}, where there is {f'only {name}' if count else 'no critical point'}"
            )
    return wrong


def _located(reduced: Reduced, point: Found, rows: Sequence[Row]) -> list[int]:
    """The rows that lie in the box in which the point is the only one."""
    return [i for i, row in enumerate(rows) if row.rank <= reduced.r and _is_in(reduced.images(row.W), point.box)]


def _is_in(images: np.ndarray, box: np.ndarray) -> bool:
    return bool(np.all((box[0] < images) & (images < box[1]), axis=1).any())


def _of_search(
    reduced: Reduced, found: list[Found], located: list[list[int]], left: np.ndarray, rows: Sequence[Row]
) -> list[str]:
    """Points without a row, rows without a point, boxes that are left."""
    lost = [
        f"the critical point {_w_text(reduced, p)} has no row" for p, at in zip(found, located, strict=True) if not at
    ]
    lost += [f"rows {' and '.join(str(i + 1) for i in at)} are one orbit" for at in located if len(at) > 1]
    if len(left):
        ends = "; ".join(_box_text(box) for box in left[:SHOWN])
        lost.append(f"of rank {reduced.r}, {len(left)} boxes are left: {ends}{', ...' * (len(left) > SHOWN)}")
        return lost
    met = {i for at in located for i in at}
    return lost + [
        f"row {i + 1} (rank {row.rank}) is at none of the critical points"
        for i, row in enumerate(rows)
        if row.rank <= reduced.r and i not in met
    ]


def _w_text(reduced: Reduced, point: Found) -> str:
    values = ", ".join(f"{value:.6g}" for value in point.x[reduced.outer] + 0.0)
    return f"w = ({values})"


def _box_text(box: np.ndarray) -> str:
    return " x ".join(f"[{low:.6g}, {high:.6g}]" for low, high in box.T)


def _as_dict(reduced: Reduced, point: Found, at: list[int]) -> dict[str, Any]:
    number = at[0] + 1 if len(at) == 1 else None
    return {"rank": reduced.r, "x": point.x.tolist(), "radius": point.radius, "row": number}
