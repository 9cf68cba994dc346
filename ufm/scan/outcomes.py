"""The rows of a scan: where random starts end, compared with the prediction.

Everything here is numeric evidence, except the duality gap (certificate, convex losses).
"""

import dataclasses
import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, takes, tensor
from ufm.collapse import FeatureStats, collapse_metrics, nc1_trace, nc2_etf_distance
from ufm.errors import RequestError
from ufm.model.problem import Problem
from ufm.model.starts import normal_starts
from ufm.scan.cells import Row, Unit, batch_of
from ufm.solve.condition_number import condition_number
from ufm.solve.end_points import EndPoints, Status
from ufm.solve.hessian import smallest_eigenpair
from ufm.solve.minimise import minimise
from ufm.solve.units import own_units
from ufm.theory.certificate import duality_gap
from ufm.theory.landscape import landscape
from ufm.theory.prediction import phase_boundaries, predict
from ufm.tolerances import NEAR_GEOMETRY, SMALL_LOGITS

STATES = ("etf", "zero", "partial", "other")
STATE_BYTES = 2**23
"""The bytes of points and logits of end points that are processed together."""
PREDICTED = (
    "predicted_state",
    "predicted_value",
    "best_minus_predicted",
    "predicted_margin",
    "is_proved_global",
    "c",
    "c_zero_stable",
    "c_zero_best",
    "c_etf_ends",
)
"""Columns of the prediction; c = sqrt(n decay_W decay_H), and where it meets the boundaries of `phase_boundaries`."""


def solve(unit: Unit) -> list[Row]:
    """One row per cell of the unit."""
    problem = batch_of(unit)
    units = own_units(problem)
    starts = normal_starts(problem.size, unit.seed, 0, unit.starts, unit.device).repeat(len(unit.cells), 1)
    end = minimise(units, starts, unit.tolerance, unit.max_steps)
    end = dataclasses.replace(end, x=torch.where((end.status != Status.NONFINITE)[:, None], end.x, 0.0))
    width = max(1, STATE_BYTES // (8 * (problem.size + problem.N * problem.K)))
    end = units.back(end)
    sorted_out = [end_states(*part) for part in problem.split(end.x, width)]
    state, active = (torch.cat(column) for column in zip(*sorted_out, strict=True))
    state = torch.where(end.is_converged, state, len(STATES))
    shape = len(unit.cells), unit.starts
    value, state, active = end.value.view(shape), state.view(shape), active.view(shape)
    best = torch.where(state < len(STATES), value, value.abs() + 1e300).nan_to_num(torch.inf).argmin(1)
    columns = (
        _counts(end, state, active, problem.K)
        | _of_best(problem, end, value, state, active, best)
        | _curvature(problem, end, value, state, best)
    )
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*map(_plain, columns.values()), strict=True)]
    return [
        {"cell": name, **cell.row, "starts": unit.starts, **_predicted(cell.problem, row["best_value"]), **row}
        | {"landscape": landscape(cell.problem).status}
        for name, cell, row in zip(unit.ids, unit.cells, rows, strict=True)
    ]


@takes(problem=instance(Problem), x=tensor(None, None))
def end_states(problem: Problem, x: Float[Tensor, "B P"]) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Position in `STATES`, and the number of active classes: those whose every sample has a positive margin.

    `etf`: all classes active, features at their class means (NC1), centred class means a simplex (NC2). `zero`: no
    logits but the bias. `partial`: collapsed to class means, but only some classes active. `other`: anything else.
    """
    tensor(None, problem.size).check("x", x)
    units = own_units(problem)
    model, x = units.model, x / units.scales.to(x.device)
    W, H, b = model.unpack(x)
    labels = model.labels(x.device)
    logits = model.logits(x)
    own = torch.nn.functional.one_hot(labels, model.K).bool()
    margin = logits[:, own] - logits.masked_fill(own, -torch.inf).amax(-1)
    active = (margin.view(-1, model.K, model.n).amin(-1) > SMALL_LOGITS).sum(1)
    stats = FeatureStats.from_features(H, labels, W, b)
    is_zero = (W @ H.mT).abs().amax((-2, -1)) <= SMALL_LOGITS
    is_collapsed = nc1_trace(stats) <= NEAR_GEOMETRY**2
    is_etf = is_collapsed & (active == model.K) & (nc2_etf_distance(stats.centred_means) <= NEAR_GEOMETRY)
    is_partial = is_collapsed & (active > 0) & (active < model.K)
    state = torch.full_like(active, STATES.index("other"))
    for name, condition in (("partial", is_partial), ("etf", is_etf), ("zero", is_zero)):  # the last that applies
        state.masked_fill_(condition, STATES.index(name))
    return state, active


def _counts(end: EndPoints, state: Tensor, active: Tensor, K: int) -> dict[str, Any]:
    """The number of starts per status, and the shares of states among all starts, converged or not."""
    status = end.status.view(state.shape)
    kinds = {kind.name.lower(): (status == kind).sum(1) for kind in Status if kind != Status.RUNNING}
    shares = {name: (state == i).double().mean(1) for i, name in enumerate(STATES)}
    is_partial = state == STATES.index("partial")
    by_active = torch.stack([(is_partial & (active == m)).sum(1) for m in range(K + 1)], 1)
    steps, evaluations = (part.view(state.shape).double() for part in (end.steps, end.evaluations))
    work = {"steps_mean": steps.mean(1), "steps_most": steps.amax(1), "evaluations_mean": evaluations.mean(1)}
    return kinds | shares | {"partial_by_active": by_active} | work


def _of_best(
    problem: Problem, end: EndPoints, value: Tensor, state: Tensor, active: Tensor, best: Tensor
) -> dict[str, Any]:
    """The measures at the lowest converged end point of every cell."""
    cells = torch.arange(len(best), device=best.device)
    rows = cells * value.shape[1] + best
    part, x = problem.take(rows), end.x[rows]
    W, H, b = part.unpack(x)
    names = [(*STATES, "none converged")[i] for i in state[cells, best].tolist()]
    gap = duality_gap(part, x)
    gap = torch.full_like(value[:, 0], torch.nan) if gap is None else gap
    metrics = collapse_metrics(FeatureStats.from_features(H, part.labels(x.device), W, b))
    is_zero = state[cells, best] == STATES.index("zero")  # where they say nothing
    metrics = {name: torch.where(is_zero, torch.nan, metric) for name, metric in metrics.items()}
    own = torch.nn.functional.one_hot(part.labels(x.device), part.K).bool()
    logits = part.logits(x)
    margin = (logits[:, own] - logits.masked_fill(own, -torch.inf).amax(-1)).amin(1)
    metrics |= {"margin": margin, "p_y": logits.softmax(-1)[:, own].mean(1)}
    best_of = {"best_value": value[cells, best], "best_state": names, "best_active": active[cells, best]}
    return best_of | {"best_gradient": end.gradient_norm[rows], "duality_gap": gap} | metrics


def _curvature(problem: Problem, end: EndPoints, value: Tensor, state: Tensor, best: Tensor) -> dict[str, Any]:
    """Smallest Hessian eigenvalue at the best end point of all and of each state; condition number at the former."""
    first = torch.arange(len(best), device=best.device) * value.shape[1]
    chosen, exists = [first + best], [torch.ones_like(best, dtype=torch.bool)]
    for i in range(len(STATES)):
        chosen.append(first + torch.where(state == i, value, torch.inf).argmin(1))
        exists.append((state == i).any(1))
    rows, place = torch.unique(torch.stack(chosen)[torch.stack(exists)], return_inverse=True)
    found = torch.full((len(chosen), len(best)), torch.nan, dtype=torch.float64, device=best.device)
    found[torch.stack(exists)] = smallest_eigenpair(problem.take(rows), end.x[rows]).value[place]
    names = ["smallest_eigenvalue", *(f"smallest_eigenvalue_{name}" for name in STATES)]
    return dict(zip(names, found, strict=True)) | {
        "condition_number": condition_number(problem.take(chosen[0]), end.x[chosen[0]])
    }


def _predicted(problem: Problem, best: float | None) -> Row:
    """The prediction's columns, empty where theory has none for this loss; of zero also where no simplex fits."""
    try:
        prediction = predict(problem)
    except RequestError:
        return dict.fromkeys(PREDICTED) | _known_of_zero(problem)
    low, middle, high = phase_boundaries(problem)
    state = "zero" if prediction.is_zero else "etf"
    above = None if best is None else best - prediction.value
    numbers = prediction.value, above, prediction.margin, prediction.is_proved_global, prediction.c, low, middle, high
    return dict(zip(PREDICTED, (state, *numbers), strict=True))


def _known_of_zero(problem: Problem) -> Row:
    """What is known in dimensions too few for a simplex: where zero becomes stable, and best if the loss is convex.

    Zero is left along a singular vector pair of the loss's gradient, a matrix of rank one, which every dimension has
    room for; and the minimum over all ranks is a lower bound.
    """
    try:
        stable, best, _ = phase_boundaries(dataclasses.replace(problem, d=max(problem.d, problem.K)))
    except RequestError:
        return {}
    c = math.sqrt(problem.n) * math.sqrt(problem.decay_W) * math.sqrt(problem.decay_H)
    return {"c": c, "c_zero_stable": stable, "c_zero_best": best if problem.loss.is_convex else None}


def _plain(column: Any) -> list[Any]:
    """The values as Python numbers, None for nan and infinities."""
    values = column.tolist() if isinstance(column, Tensor) else column
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]
