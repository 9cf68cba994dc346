"""The main job: every random start against the predicted minimiser, every other critical point a strict saddle?

One `Verdict` per loss. Its claims are numeric evidence except the certificate, which bounds the global minimum from
below by convex duality (in floating point). A start that fails a claim is named, with the command that reproduces it.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float, Int
from rich.progress import Progress
from torch import Tensor

from ufm.certificate import certify
from ufm.collapse import FeatureStats, collapse_metrics
from ufm.command_line import LOSS_NAMES, LossSpec, torch_device
from ufm.convergence import PERCENTILES, TRACED, convergence
from ufm.critical_points import Classification, classify
from ufm.end_points import EndPoints, Status
from ufm.hessian import smallest_eigenpair
from ufm.losses import SquaredError, make_loss, parameters_of
from ufm.minimise import minimise
from ufm.newton import find_critical_points
from ufm.parallel import cores, map_chunks
from ufm.prediction import Prediction, predict, predicted_point
from ufm.problem import Problem
from ufm.profile import Profile, phases
from ufm.settings import VerifySetting
from ufm.starts import normal_starts

VALUE, GEOMETRY, GAP, EIGENVALUE = 1e-10, 1e-6, 1e-7, 1e-9
"""Allowed at least: deviation of the objective, of logits and geometry; duality gap; minus the smallest eigenvalue."""
RESOLVED = 10.0
"""An end point is exact to about this times tolerance / smallest decay."""
NEAR_THRESHOLD = 1e-3
"""Relative distance to the threshold below which the curvature at the minimiser all but vanishes."""
SAME_VALUE = 1e-8
"""Critical points whose values differ by less count as one value."""
SADDLE_SCALES = (-1.5, 0.5)
"""log10 of the smallest and largest scale of the saddle search's starts."""
BLOCK_BYTES = 2**24
"""Starts are drawn, minimised and checked in blocks whose points take about this much."""

Measures = dict[str, Float[Tensor, " S"]]


@dataclass(frozen=True)
class Claim:
    """One statement about all starts.

    Attributes:
        worst: the worst value found (nan when there was nothing to measure).
        allowed: the bound it is held against.
        holds: whether it was shown.
        broken_by: number of the first start that breaks it.
        breakers: how many starts break it.
        evidence: `numeric` or `certificate`.
    """

    worst: float
    allowed: float
    holds: bool
    broken_by: int | None
    breakers: int = 0
    evidence: str = "numeric"


@dataclass(frozen=True)
class Verdict:
    """What was found for one loss; `saddles` holds one row per kind of critical point that is not the minimiser.

    `convergence` shows how the first starts came to their end points (`ufm/convergence.py`).
    A kind is a value with Morse index, nullity and rank; points of the same value as the minimiser count as minimisers.
    """

    spec: LossSpec
    prediction: Prediction
    saddle_prediction: Prediction
    statuses: dict[str, int]
    claims: dict[str, Claim]
    quantiles: dict[str, list[float]]
    convergence: dict[str, Any]
    saddle_statuses: dict[str, int]
    saddles: list[dict[str, Any]]
    minimisers_among_saddles: int
    seconds: float
    profile: dict[str, float]

    @property
    def holds(self) -> bool:
        """Whether every claim does."""
        return all(claim.holds for claim in self.claims.values())


@dataclass(frozen=True)
class _Case:
    """One loss at the size of the end points and at the size of the saddle search."""

    setting: VerifySetting
    spec: LossSpec
    device: torch.device

    @cached_property
    def problem(self) -> Problem:
        return self._problem("")

    @cached_property
    def saddle_problem(self) -> Problem:
        return self._problem("saddle_")

    @cached_property
    def prediction(self) -> Prediction:
        return predict(self.problem)

    @cached_property
    def saddle_prediction(self) -> Prediction:
        return predict(self.saddle_problem)

    def _problem(self, prefix: str) -> Problem:
        setting = self.setting
        K, d, n = (getattr(setting, prefix + name) for name in ("classes", "dim", "per_class"))
        return Problem(make_loss(self.spec), K, d, n, setting.decay_W, setting.decay_H, setting.decay_b)


def verify(setting: VerifySetting, progress: Progress) -> Iterator[Verdict]:
    """One verdict after the other, for the loss asked for or for all four.

    Raises:
        ValueError: on a loss, size or device that does not exist, before any work is done.
    """
    names = LOSS_NAMES if setting.loss["name"] == "all" else ()
    asked: list[LossSpec] = [{"name": name} for name in names] or [setting.loss]
    specs = [{"name": spec["name"], **parameters_of(make_loss(spec))} for spec in asked]
    device = torch_device(setting.device)
    cases = [_Case(setting, spec, device) for spec in specs]
    for case in cases:
        _ = case.prediction, case.saddle_prediction  # refused here if theory has none
    return (_verdict(case, progress) for case in cases)


def _verdict(case: _Case, progress: Progress) -> Verdict:
    began = time.perf_counter()
    profile = Profile(case.device) if case.setting.profile else None
    status, measures = _end_points(case, progress, profile)
    claims = _claims(case, status, measures)
    path = _path(case)
    saddle_statuses: dict[str, int] = {}
    saddles: list[dict[str, Any]] = []
    minimisers = 0
    if case.setting.saddle_starts:
        with phases(profile)("other critical points"):
            ends = _search(case, progress)
            saddle_statuses = _count(ends.status)
            saddles, minimisers, claim = _other_critical_points(case, ends)
        if saddles or not case.saddle_prediction.is_zero:  # where zero is the minimiser there may be nothing else
            claims["strict saddles"] = claim
    return Verdict(
        spec=case.spec,
        prediction=case.prediction,
        saddle_prediction=case.saddle_prediction,
        statuses=_count(status),
        claims=claims,
        quantiles={name: _quantiles(values) for name, values in measures.items()},
        convergence=path,
        saddle_statuses=saddle_statuses,
        saddles=saddles,
        minimisers_among_saddles=minimisers,
        seconds=time.perf_counter() - began,
        profile=profile.seconds if profile else {},
    )


def _end_points(case: _Case, progress: Progress, profile: Profile | None) -> tuple[Int[Tensor, " S"], Measures]:
    """Minimise every start, block by block, and keep of each end point only what is measured of it."""
    setting, problem, device = case.setting, case.problem, case.device
    phase = phases(profile)
    solving = progress.add_task(f"{case.spec['name']}: minimise", total=setting.starts)
    curving = progress.add_task(f"{case.spec['name']}: smallest eigenvalue", total=setting.starts)

    def check_block(block: range) -> tuple[Tensor, Measures]:
        with phase("starts"):
            starts = normal_starts(problem.size, setting.seed, setting.first_start + block.start, len(block), device)
        advance = partial(progress.advance, solving)
        end = minimise(problem.value_and_gradient, starts, setting.tolerance, setting.max_steps, advance, profile)
        finite = end.status != Status.NONFINITE
        end = dataclasses.replace(end, x=torch.where(finite[:, None], end.x, 0.0))
        with phase("measures"):
            measures = _measure(case, end)
        with phase("smallest eigenvalue"):
            pair = smallest_eigenpair(problem, end.x, progress=partial(progress.advance, curving))
        measures["smallest eigenvalue"] = pair.value - pair.residual
        return end.status.cpu(), {name: values.where(finite, torch.nan).cpu() for name, values in measures.items()}

    step = min(max(1, BLOCK_BYTES // (8 * problem.size)), math.ceil(setting.starts / cores(device)))
    blocks = [range(first, min(first + step, setting.starts)) for first in range(0, setting.starts, step)]
    statuses, parts = zip(*map_chunks(check_block, blocks, device), strict=True)
    return torch.cat(statuses), {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _path(case: _Case) -> dict[str, Any]:
    """How the first starts came to their end points."""
    setting = case.setting
    count = min(TRACED, setting.starts, max(1, BLOCK_BYTES // (8 * case.problem.size)))
    starts = normal_starts(case.problem.size, setting.seed, setting.first_start, count, case.device)
    found = convergence(case.problem, case.prediction, starts, setting.tolerance, setting.max_steps)
    return {"starts": count, "percentiles": PERCENTILES, **found}


def _measure(case: _Case, end: EndPoints) -> Measures:
    """Deviations of every end point from the prediction."""
    problem, prediction = case.problem, case.prediction
    predicted = predicted_point(problem, prediction).to(case.device)
    scale = float(problem.value(torch.zeros_like(predicted)))
    measures = {
        "gradient": end.gradient_norm,
        "value": (end.value - prediction.value).abs() / scale,
        "below": (end.value - prediction.value) / scale,
        "logits": _logit_distance(problem, predicted, end.x) / max(1.0, prediction.margin),
        "norms": _norm_distance(problem, prediction, end.x),
    }
    if not prediction.is_zero:
        expected = collapse_metrics(_stats(problem, predicted))
        found = collapse_metrics(_stats(problem, end.x))
        measures |= {name: (found[name] - expected[name]).abs() for name in expected}
    if problem.loss.is_convex:
        measures["duality gap"] = certify(problem, end.x).gap.abs() / scale
    return measures


def _stats(problem: Problem, x: Float[Tensor, "*batch P"]) -> FeatureStats:
    W, H, b = problem.unpack(x)
    return FeatureStats.from_features(H, problem.labels(x.device), W, b)


def _logit_distance(problem: Problem, predicted: Tensor, x: Tensor) -> Tensor:
    """Largest deviation of a logit, less the mean over classes where a bias carries it and no softmax sees it."""
    difference = problem.logits(x) - problem.logits(predicted)
    if problem.has_bias and not isinstance(problem.loss, SquaredError):
        difference = difference - difference.mean(-1, keepdim=True)
    return difference.abs().amax((-2, -1))


def _norm_distance(problem: Problem, prediction: Prediction, x: Tensor) -> Tensor:
    """Largest relative deviation of a |w_k| or |h_i| (absolute at the zero solution)."""
    W, H, _ = problem.unpack(x)
    w = (W.norm(dim=-1) - prediction.norm_w).abs().amax(-1) / (prediction.norm_w or 1.0)
    h = (H.norm(dim=-1) - prediction.norm_h).abs().amax(-1) / (prediction.norm_h or 1.0)
    return torch.maximum(w, h)


def _claims(case: _Case, status: Tensor, measures: Measures) -> dict[str, Claim]:
    """Every claim about the end points; the deviations are those of the converged starts."""
    converged = status == Status.CONVERGED
    first = case.setting.first_start
    lost = (~converged).nonzero()[:, 0]
    claims = {
        "all converged": Claim(
            float(len(lost)), 0.0, not len(lost), first + int(lost[0]) if len(lost) else None, len(lost)
        )
    }
    bounds = _bounds(case.setting)
    for name, values in measures.items():
        if name == "gradient":
            continue
        bound = bounds.get(name, bounds["geometry"])
        is_lower_bound = bound < 0
        kept = values >= bound if is_lower_bound else values <= bound
        breaks = (converged & ~kept).nonzero()[:, 0]
        worst = (
            float(values[converged].amin() if is_lower_bound else values[converged].amax())
            if converged.any()
            else math.nan
        )
        broken_by = first + int(breaks[0]) if len(breaks) else None
        evidence = "certificate" if name == "duality gap" else "numeric"
        is_shown = bool(converged.any()) and broken_by is None
        claims[name] = Claim(worst, bound, is_shown, broken_by, len(breaks), evidence)
    return claims


def _bounds(setting: VerifySetting) -> dict[str, float]:
    """What is allowed; negative: a lower bound. Where the decays are small, what a gradient of `tolerance` resolves."""
    decays = setting.decay_W, setting.decay_H
    distance = RESOLVED * setting.tolerance / min(decays)
    eigenvalue = -max(EIGENVALUE, distance * max(decays))
    gap = max(GAP, distance)
    return {
        "value": VALUE,
        "below": -VALUE,
        "geometry": max(GEOMETRY, distance),
        "duality gap": gap,
        "smallest eigenvalue": eigenvalue,
    }


def saddle_starts(problem: Problem, seed: int, count: int, device: torch.device) -> Float[Tensor, "S P"]:
    """Starts of the critical-point search: standard normal times a scale that cycles through 16 values."""
    scales = torch.logspace(*SADDLE_SCALES, 16, dtype=torch.float64)[torch.arange(count) % 16]
    return normal_starts(problem.size, seed, 0, count, device) * scales[:, None].to(device)


def _search(case: _Case, progress: Progress) -> EndPoints:
    count = case.setting.saddle_starts
    task = progress.add_task(f"{case.spec['name']}: other critical points", total=count)
    starts = saddle_starts(case.saddle_problem, case.setting.seed, count, case.device)
    return find_critical_points(case.saddle_problem, starts, progress=partial(progress.advance, task))


def _other_critical_points(case: _Case, ends: EndPoints) -> tuple[list[dict[str, Any]], int, Claim]:
    """The critical points that are not the predicted minimiser, one row per kind, and the claim about them."""
    prediction = case.saddle_prediction
    number = ends.is_converged.nonzero()[:, 0]
    found = classify(case.saddle_problem, ends.x[number])
    is_minimiser = (found.value - prediction.value).abs() <= SAME_VALUE * max(1.0, abs(prediction.value))
    others = (~is_minimiser).nonzero()[:, 0]
    curvature = torch.maximum(found.smallest_eigenvalue, found.curvature)[others]
    breaks = others[~found.is_strict_saddle[others] | (found.value[others] < prediction.value)]
    worst = float(curvature.max()) if len(others) else math.nan
    broken_by = int(number[breaks[0]]) if len(breaks) else None
    claim = Claim(worst, 0.0, len(others) > 0 and broken_by is None, broken_by, len(breaks))
    return _distinct(found, others, number), int(is_minimiser.sum()), claim


def _distinct(found: Classification, others: Tensor, number: Tensor) -> list[dict[str, Any]]:
    """Kinds by rising value: points whose value, index, nullity and rank agree are one row."""
    rows: list[dict[str, Any]] = []
    for i in others[found.value[others].argsort()].tolist():
        kind = {name: int(getattr(found, name)[i]) for name in ("morse_index", "nullity", "rank")}
        value = float(found.value[i])
        same = (row for row in rows if value - row["value"] <= SAME_VALUE and kind.items() <= row.items())
        row = next(same, None)
        if row is None:
            row = kind | {"value": value, "found": 0, "first_start": int(number[i])}
            row["smallest_eigenvalue"] = float(found.smallest_eigenvalue[i])
            row["curvature"] = float(found.curvature[i])
            row["direction_is"] = "rank one" if found.is_rank_one[i] else "eigenvector"
            row["direction"] = found.direction[i].tolist()
            rows.append(row)
        row["found"] += 1
        row["first_start"] = min(row["first_start"], int(number[i]))
    return rows


def _count(status: Tensor) -> dict[str, int]:
    """Number of starts per status, zeros included."""
    return {kind.name: int((status == kind).sum()) for kind in Status if kind != Status.RUNNING}


def _quantiles(values: Tensor) -> list[float]:
    """101 quantiles, 0 % to 100 %, of what is not nan."""
    known = values[~values.isnan()]
    if not len(known):
        return []
    rank = torch.linspace(0, len(known) - 1, 101, dtype=torch.float64).round().long()
    return [float(value) for value in known.sort().values[rank]]
