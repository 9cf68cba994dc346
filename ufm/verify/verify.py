"""The main job: every random start against the predicted minimum, every other critical point a strict saddle?

One `Verdict` per loss, for any of the models. Its claims are numeric evidence except two certificates (in floating
point): convex duality bounds the global minimum from below, and the distance from the predicted minimiser's orbit
bounds the curvature of end points, where it decides (`ufm/verify/curvature.py`). A start that fails a claim is named,
with the command that reproduces it. Where theory says that training also ends elsewhere (hidden layers), the claims
about the minimiser are about the starts that reach it, and the others are counted and shown. Where it predicts no
minimum nothing is claimed: what was found is shown (`ufm/verify/unpredicted.py`).

Starts are drawn, minimised and judged in the model's own units (`ufm/solve/units.py`), so that no verdict depends on
the units in which the problem was written; values are given in the original ones, eigenvalues and gradients in the own.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from rich.progress import Progress
from torch import Tensor

from ufm.curvature.orbit_bound import known_orbit
from ufm.curvature.orbit_classes import Classified, classify_by_orbit
from ufm.device import torch_device
from ufm.model.losses import make_loss, parameters_of
from ufm.model.model import Model
from ufm.model.starts import normal_starts
from ufm.model.target import NoPrediction, Target
from ufm.parallel import cores, map_chunks, room
from ufm.profile import Profile, phases
from ufm.solve.critical_points import Classification
from ufm.solve.end_points import EndPoints, Path, Status
from ufm.solve.grouping import groups_of
from ufm.solve.minimise import minimise
from ufm.solve.newton import find_critical_points
from ufm.solve.units import Units, own_units
from ufm.specs import LossSpec
from ufm.theory.landscape import Landscape, landscape_of
from ufm.theory.model_choice import target_of
from ufm.tolerances import SAME_VALUE
from ufm.verify.convergence import PERCENTILES, TRACED, convergence
from ufm.verify.curvature import Curvature
from ufm.verify.end_point_claims import (
    Claim,
    Measures,
    bounds_of,
    check_resolution,
    check_spread,
    claims_about,
    measure,
    reached,
)
from ufm.verify.setting import VerifySetting
from ufm.verify.unpredicted import describe, states

SADDLE_SCALES = (-1.5, 0.5)
"""log10 of the smallest and largest scale of the saddle search's starts."""
BLOCK_BYTES = 2**24, 2**30
"""Starts are drawn, minimised and checked in blocks whose points take about this many bytes, on CPUs and elsewhere."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one loss; `saddles` has one row per kind of critical point that is not the minimiser.

    `convergence` shows how the first starts came to their end points (`ufm/verify/convergence.py`).
    `curvature` counts the starts whose smallest eigenvalue is bounded by their distance from the predicted orbit
    (`certificate`) and those for which it is computed (`numeric`), and says what the bound rests on (`orbit`).
    A kind is a value with Morse index, nullity and rank; points of the same value as the minimiser count as minimisers.
    `saddle_evidence` counts those with a spectrum of their own and those with a distance from the orbit of one that has
    (`ufm/curvature/orbit_classes.py`): the greatest, and the most by which an eigenvalue may differ there.
    `elsewhere` has one row per value at which other converged starts end, where theory says that some may.
    Without a prediction `target` is None, `no_prediction` says why, `known_states` has values of states that are known
    to exist, and `found` one row per value at which starts end.
    `landscape` says what is proved of all critical points at once (the plain model).
    """

    spec: LossSpec
    target: Target | None
    saddle_target: Target | None
    statuses: dict[str, int]
    claims: dict[str, Claim]
    quantiles: dict[str, list[float]]
    elsewhere: list[dict[str, Any]]
    convergence: dict[str, Any]
    saddle_statuses: dict[str, int]
    saddles: list[dict[str, Any]]
    minimisers_among_saddles: int
    seconds: float
    profile: dict[str, float]
    no_prediction: str | None = None
    known_states: dict[str, float] = field(default_factory=dict)
    found: list[dict[str, Any]] = field(default_factory=list)
    landscape: Landscape | None = None
    curvature: dict[str, Any] = field(default_factory=dict)
    saddle_evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(claim.holds for claim in self.claims.values())


@dataclass(frozen=True)
class _Case:
    """One loss at the size of the end points and at the size of the saddle search."""

    setting: VerifySetting
    spec: LossSpec
    device: torch.device

    @cached_property
    def model(self) -> Model:
        return self._model("")

    @cached_property
    def saddle_model(self) -> Model:
        return self._model("saddle_")

    @cached_property
    def prediction(self) -> Target | NoPrediction:
        try:
            return target_of(self.model)
        except NoPrediction as none:
            return none

    @cached_property
    def saddle_target(self) -> Target | None:
        """The target of the saddle search; None where there is none: for models with kinks or without prediction."""
        if self.model.is_rectified:
            return None
        try:
            return target_of(self.saddle_model)
        except NoPrediction:
            return None

    @cached_property
    def units(self) -> Units:
        return own_units(self.model)

    @cached_property
    def saddle_units(self) -> Units:
        return own_units(self.saddle_model)

    def _model(self, prefix: str) -> Model:
        setting = self.setting
        K, d, n = (getattr(setting, prefix + name) for name in ("classes", "dim", "per_class"))
        decays = setting.decay_W, setting.decay_H, setting.decay_b
        return setting.model_choice.make(make_loss(self.spec), K, d, n, decays)


def verify(setting: VerifySetting, progress: Progress) -> Iterator[Verdict]:
    """Verify the loss asked for, or all that have a prediction, and yield one verdict after the other.

    Raises:
        ValueError: on a loss, size, device or tolerance that makes no sense, before any work is done.
    """
    names = setting.model_choice.LOSSES if setting.loss["name"] == "all" else ()
    asked: list[LossSpec] = [{"name": name} for name in names] or [setting.loss]
    specs = [{"name": spec["name"], **parameters_of(make_loss(spec))} for spec in asked]
    device = torch_device(setting.device)
    cases = [_Case(setting, spec, device) for spec in specs]
    for case in cases:
        _ = case.prediction, case.saddle_target  # what makes no sense is refused here
        check_resolution(case.units, setting.tolerance)
        if isinstance(case.prediction, Target):
            check_spread(case.units, case.units.target(case.prediction))
        if setting.saddle_starts and case.saddle_target is not None:
            check_spread(case.saddle_units, case.saddle_units.target(case.saddle_target))
    return (_verdict(case, progress) for case in cases)


def _verdict(case: _Case, progress: Progress) -> Verdict:
    began = time.perf_counter()
    profile = Profile(case.device) if case.setting.profile else None
    setting, target, saddle_target = case.setting, case.prediction, case.saddle_target
    if isinstance(target, NoPrediction):
        return _without_prediction(case, target, progress, profile)
    own = case.units.target(target)
    allowed = bounds_of(case.units, setting.tolerance)["smallest eigenvalue"]
    curvature = Curvature(case.units.model, known_orbit(case.units.model, own.point), allowed)
    path = _path(case, TRACED)
    ends = _end_points(case, partial(measure, case.units.model, own), curvature, progress, profile, path)
    status, measures = ends.status, ends.measures
    certified = ~ends.distance.isnan()
    claims = claims_about(case.units, own, setting.tolerance, setting.first_start, status, measures, certified)
    saddle_statuses: dict[str, int] = {}
    others = _Others([], 0, Claim(math.nan, 0.0, False, None), {})
    if setting.saddle_starts and saddle_target is not None:
        with phases(profile)("other critical points"):
            found = _search(case, progress)
            saddle_statuses = _count(found.status)
            units = case.saddle_units
            others = _other_critical_points(units, units.target(saddle_target), found)
        # Where zero is the minimiser there may be nothing else.
        if target.is_benign and (others.rows or not saddle_target.is_zero):
            claims["strict saddles"] = others.claim
    return Verdict(
        spec=case.spec,
        target=target,
        saddle_target=saddle_target,
        statuses=_count(status),
        claims=claims,
        quantiles={name: _quantiles(values) for name, values in measures.items()},
        elsewhere=[] if target.is_benign else _elsewhere(case, target, status, measures),
        convergence={"starts": len(path.numbers), "percentiles": PERCENTILES}
        | convergence(case.units, own.value, path, setting.max_steps),
        saddle_statuses=saddle_statuses,
        saddles=others.rows,
        minimisers_among_saddles=others.minimisers,
        seconds=time.perf_counter() - began,
        profile=profile.seconds if profile else {},
        landscape=landscape_of(case.model),
        curvature=curvature.summary(ends.distance, status != Status.NONFINITE),
        saddle_evidence=others.evidence,
    )


def _without_prediction(case: _Case, none: NoPrediction, progress: Progress, profile: Profile | None) -> Verdict:
    """A verdict without claims: what the starts found, in the original units."""
    began, units = time.perf_counter(), case.units

    def described(end: EndPoints) -> Measures:
        x, value = units.scales.to(case.device) * end.x, float(units.value) * end.value
        return describe(case.model, dataclasses.replace(end, x=x, value=value))

    curvature = Curvature(units.model)
    ends = _end_points(case, described, curvature, progress, profile, _path(case, 0))
    status, measures = ends.status, ends.measures
    return Verdict(
        spec=case.spec,
        target=None,
        saddle_target=None,
        statuses=_count(status),
        claims={},
        quantiles={"objective": _quantiles(measures["objective"])},
        elsewhere=[],
        convergence={},
        saddle_statuses={},
        saddles=[],
        minimisers_among_saddles=0,
        seconds=time.perf_counter() - began,
        profile=profile.seconds if profile else {},
        no_prediction=str(none),
        known_states=none.known,
        found=states(_at_zero(case.model), case.setting.first_start, status, measures),
        curvature=curvature.summary(ends.distance, status != Status.NONFINITE),
    )


class _Ends(NamedTuple):
    """The numbers that are kept of all end points."""

    status: Int[Tensor, " S"]
    measures: Measures
    distance: Float[Tensor, " S"]
    """The distance from the predicted orbit, where that certifies the curvature; nan elsewhere."""


def _end_points(
    case: _Case,
    measured: Callable[[EndPoints], Measures],
    curvature: Curvature,
    progress: Progress,
    profile: Profile | None,
    path: Path,
) -> _Ends:
    """Minimise every start, block by block, and keep of each end point only what is measured of it, and the path."""
    setting, units, model, device = case.setting, case.units, case.units.model, case.device
    phase = phases(profile)
    # Made as a whole: what a block left between its temporaries would keep the C library from using their room again.
    status, measures = torch.empty(setting.starts, dtype=torch.int64), dict[str, Tensor]()
    distance = torch.empty(setting.starts, dtype=torch.float64)
    solving = progress.add_task(f"{case.spec['name']}: minimise", total=setting.starts)
    curving = progress.add_task(f"{case.spec['name']}: smallest eigenvalue", total=setting.starts)

    def check_block(block: range) -> None:
        with phase("starts"):
            starts = normal_starts(model.size, setting.seed, setting.first_start + block.start, len(block), device)
        advance = partial(progress.advance, solving)
        rows = slice(block.start, block.stop)
        end = minimise(units, starts, setting.tolerance, setting.max_steps, advance, profile, path.of(rows))
        finite = end.status != Status.NONFINITE
        x = model.normalised(torch.where(finite[:, None], end.x, 0.0))
        end = dataclasses.replace(end, x=x, value=units.gradient * end.value)
        with phase("measures"):
            found = measured(end)
        with phase("smallest eigenvalue"):
            below = curvature.from_below(end.x, partial(progress.advance, curving))
        found["smallest eigenvalue"] = below.smallest_eigenvalue
        status[rows], distance[rows] = end.status.cpu(), below.distance.where(finite, torch.nan).cpu()
        for name, values in found.items():
            whole = measures.setdefault(name, torch.empty(setting.starts, dtype=torch.float64))
            whole[rows] = values.where(finite, torch.nan).cpu()

    step = min(_block(model, device), math.ceil(setting.starts / cores(device)))
    blocks = [range(first, min(first + step, setting.starts)) for first in range(0, setting.starts, step)]
    map_chunks(check_block, blocks, device)
    return _Ends(status, measures, distance)


def _block(model: Model, device: torch.device) -> int:
    """Starts in a block."""
    return max(1, room(device, *BLOCK_BYTES) // (8 * model.size))


def _at_zero(model: Model) -> float:
    """f(0)."""
    return float(model.value(torch.zeros(model.size, dtype=torch.float64)))


def _elsewhere(case: _Case, target: Target, status: Tensor, measures: Measures) -> list[dict[str, Any]]:
    """The values, lowest first, at which starts end that do not reach the minimum."""
    lost = (status == Status.CONVERGED) & ~reached(target, status, measures)
    start, scale = lost.nonzero()[:, 0], _at_zero(case.model)
    values = target.value + scale * measures["below"][start]
    rows = []
    for group in groups_of(values, SAME_VALUE * float(case.units.value)):
        first = case.setting.first_start + int(start[group].min())
        smallest = float(measures["smallest eigenvalue"][start[group]].min())
        row = {
            "value": float(values[group[0]]),
            "found": len(group),
            "first_start": first,
            "smallest_eigenvalue": smallest,
        }
        rows.append(row)
    return rows


def saddle_starts(problem: Model, seed: int, count: int, device: torch.device) -> Float[Tensor, "S P"]:
    """Starts of the critical-point search: standard normal times a scale that cycles through 16 values."""
    scales = torch.logspace(*SADDLE_SCALES, 16, dtype=torch.float64)[torch.arange(count) % 16]
    return normal_starts(problem.size, seed, 0, count, device) * scales[:, None].to(device)


def _path(case: _Case, most: int) -> Path:
    """Room for the path of at most that many of the first starts."""
    count = min(most, case.setting.starts, _block(case.model, case.device))
    return Path.unknown(count, case.setting.max_steps, torch.empty(0, dtype=torch.float64, device=case.device))


def _search(case: _Case, progress: Progress) -> EndPoints:
    count = case.setting.saddle_starts
    task = progress.add_task(f"{case.spec['name']}: other critical points", total=count)
    model = case.saddle_units.model
    starts = saddle_starts(model, case.setting.seed, count, case.device)
    return find_critical_points(model, starts, progress=partial(progress.advance, task))


class _Others(NamedTuple):
    """Critical points of a search: rows of those that are not the minimiser, how many are, the claim, the evidence."""

    rows: list[dict[str, Any]]
    minimisers: int
    claim: Claim
    evidence: dict[str, Any]


def _other_critical_points(units: Units, target: Target, ends: EndPoints) -> _Others:
    """The critical points that are not the predicted minimiser, one row per kind, and the claim about them."""
    model = units.model
    number = ends.is_converged.nonzero()[:, 0]
    classified = classify_by_orbit(model, model.normalised(ends.x[number]))
    found = classified.kinds
    is_minimiser = (found.value - target.value).abs() <= SAME_VALUE * max(1.0, abs(target.value))
    others = (~is_minimiser).nonzero()[:, 0]
    curvature = torch.maximum(found.smallest_eigenvalue, found.curvature)[others]
    breaks = others[~found.is_strict_saddle[others] | (found.value[others] < target.value)]
    worst = float(curvature.max()) if len(others) else math.nan
    broken_by = int(number[breaks[0]]) if len(breaks) else None
    claim = Claim(worst, 0.0, len(others) > 0 and broken_by is None, broken_by, len(breaks))
    kinds = _distinct(found, others, number)
    in_given_units = [kind | {"value": float(units.value) * kind["value"]} for kind in kinds]
    return _Others(in_given_units, int(is_minimiser.sum()), claim, _evidence(classified))


def _evidence(found: Classified) -> dict[str, Any]:
    """How many critical points have a spectrum, and how many their distance from one that has."""
    is_near = ~found.distance.isnan()
    farthest, shift = (
        float(values[is_near].max()) if is_near.any() else 0.0 for values in (found.distance, found.shift)
    )
    counts = {"spectrum": int((~is_near).sum()), "distance": int(is_near.sum())}
    return counts | {"farthest": farthest, "largest_shift": shift}


def _distinct(found: Classification, others: Tensor, number: Tensor) -> list[dict[str, Any]]:
    """Kinds by rising value: points whose value, index, nullity and rank agree are one row."""
    names = ("morse_index", "nullity", "rank")
    kinds = [tuple(int(getattr(found, name)[i]) for name in names) for i in others.tolist()]
    rows: list[dict[str, Any]] = []
    for group in groups_of(found.value[others], SAME_VALUE, kinds):
        i = int(others[group[0]])
        row: dict[str, Any] = dict(zip(names, kinds[group[0]], strict=True))
        row |= {"value": float(found.value[i]), "found": len(group), "first_start": int(number[others[group]].min())}
        row["smallest_eigenvalue"] = float(found.smallest_eigenvalue[i])
        row["curvature"] = float(found.curvature[i])
        row["direction_is"] = "rank one" if found.is_rank_one[i] else "eigenvector"
        row["direction"] = found.direction[i].tolist()
        rows.append(row)
    return rows


def _count(status: Tensor) -> dict[str, int]:
    """The number of starts per status, zeros included."""
    return {kind.name: int((status == kind).sum()) for kind in Status if kind != Status.RUNNING}


def _quantiles(values: Tensor) -> list[float]:
    """The 101 quantiles, 0 % to 100 %, of the values that are not nan."""
    known = values[~values.isnan()]
    if not len(known):
        return []
    rank = torch.linspace(0, len(known) - 1, 101, dtype=torch.float64).round().long()
    return [float(value) for value in known.sort().values[rank]]
