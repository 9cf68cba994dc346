"""The proof that an atlas is complete: its rows and earlier work taken up, progress told, a state that can be kept."""

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from ufm.atlas.atlas import Atlas
from ufm.complete.reduction import check_provable
from ufm.complete.search import Search
from ufm.complete.verdict import Completeness, Row, searches_of, verdict
from ufm.errors import check
from ufm.model.factors import with_dimension
from ufm.model.model import Model
from ufm.model.problem import Problem

REDUCED = (Problem,)
"""Models for which there is a reduction."""
BUDGET = 2000
"""Boxes between two looks at the clock."""
BETWEEN = 10.0
"""Seconds between two states that are kept."""


def check_model(model: Model) -> None:
    """Refuse a model whose atlas cannot be proved complete.

    Raises:
        ValueError: saying why.
    """
    check(type(model) in REDUCED, "--prove-complete", True, "false for this model (only the plain one is reduced)")
    check_provable(cast(Problem, model))


def check_state(model: Model, earlier: dict[str, Any]) -> None:
    """Refuse what a proof for this model cannot go on from.

    Raises:
        ValueError, KeyError, TypeError: if it is none of its states.
    """
    check_model(model)
    _searches(cast(Problem, model), earlier)
    float(earlier["seconds"])


def restated(atlas: Atlas, earlier: dict[str, Any]) -> Completeness:
    """What an earlier state says of the rows that are there now; nothing is searched."""
    return _state(atlas, _searches(cast(Problem, atlas.model), earlier), float(earlier["seconds"]))


def proof(atlas: Atlas, earlier: dict[str, Any] | None, progress: Callable[[int], None]) -> Iterator[Completeness]:
    """Search what is left to search, yielding what is known now and then, and at the end.

    Args:
        atlas: of a model that `check_model` lets pass.
        earlier: the state that an earlier call has yielded.
        progress: told how many further boxes were looked at.
    """
    searches, seconds = _searches(cast(Problem, atlas.model), earlier), float(earlier["seconds"]) if earlier else 0.0
    began = time.perf_counter() - seconds
    kept = time.perf_counter()
    for search in searches:
        while not search.is_over:
            before = search.looked_at
            search.work(BUDGET)
            progress(search.looked_at - before)
            if time.perf_counter() - kept > BETWEEN:
                yield _state(atlas, searches, time.perf_counter() - began)
                kept = time.perf_counter()
    yield _state(atlas, searches, time.perf_counter() - began)


def _searches(model: Problem, earlier: dict[str, Any] | None) -> list[Search]:
    searches = searches_of(model)
    states = {entry["rank"]: entry for entry in earlier["searches"]} if earlier else {}
    for search in searches:
        if search.reduced.r in states:
            search.read_back(states[search.reduced.r])
    return searches


def _state(atlas: Atlas, searches: list[Search], seconds: float) -> Completeness:
    model = cast(Problem, atlas.model)
    rows = [Row(row.rank, with_dimension(model, row.columns).unpack(row.x).W, row.manifold) for row in atlas.rows]
    return verdict(model, rows, searches, seconds)
