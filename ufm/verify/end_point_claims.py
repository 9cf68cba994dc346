"""Deviations of end points from a model's predicted minimum, and the claims that they break."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ufm.collapse import FeatureStats, collapse_metrics
from ufm.errors import check
from ufm.model.model import Model
from ufm.model.target import Target
from ufm.solve.end_points import EndPoints, Status
from ufm.solve.units import Units
from ufm.theory.certificate import duality_gap
from ufm.tolerances import DUALITY_GAP, GEOMETRY, NEGATIVE_CURVATURE, RANK_TOLERANCE, SAME_VALUE, VALUE

RESOLVED = 10.0
"""The distance of an end point from a minimiser is about this times tolerance / smallest curvature."""
FARTHEST = 0.1
"""The largest distance from a minimiser that a tolerance may allow."""
MOST_SPREAD, MOST_SPREAD_AT_ZERO = 3e5, 5e6
"""Largest quotient of two curvatures at the predicted minimum; beyond it searches end unfinished or in rounding.

Zero has two curvatures only, that of the decays and that of the bias, and takes few steps.
"""
POWER_STEPS = 30
BY_RANK = ("nc1_quotient", "nc2_equinorm", "nc2_equiangular", "nc4_disagreement")
"""Metrics that have no meaning where class means coincide."""

Measures = dict[str, Float[Tensor, " S"]]


@dataclass(frozen=True)
class Claim:
    """The outcome of one claim about all starts.

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


def measure(model: Model, target: Target, end: EndPoints) -> Measures:
    """The deviations of every end point from the prediction, by claim."""
    predicted = target.point.to(end.x.device)
    scale = _at_zero(model, predicted.device)
    measures = {
        "gradient": end.gradient_norm,
        "value": (end.value - target.value).abs() / scale,
        "below": (end.value - target.value) / scale,
        "logits": _logit_distance(model, predicted, end.x) / max(1.0, target.margin),
        "norms": _norm_distance(model, target, predicted, end.x),
    }
    if target.other_minima:
        others = end.x.new_tensor([target.value, *target.other_minima])
        measures["states"] = (end.value[:, None] - others).abs().amin(1) / scale
    measures |= {name: residual(model, end.x) for name, residual in target.residuals.items()}
    measures |= _collapse(model, target, predicted, end.x)
    gap = duality_gap(model, end.x)
    if gap is not None:
        measures["duality gap"] = gap.abs() / scale
    return measures


def reached(target: Target, status: Int[Tensor, " S"], measures: Measures) -> Bool[Tensor, " S"]:
    """Whether each start is one that the claims about the minimiser cover.

    All that converged where theory says that all get there; otherwise those with its value.
    """
    converged = status == Status.CONVERGED
    return converged if target.is_benign else converged & (measures["value"] <= SAME_VALUE)


def claims_about(
    units: Units,
    target: Target,
    tolerance: float,
    first_start: int,
    status: Int[Tensor, " S"],
    measures: Measures,
    is_certified: Bool[Tensor, " S"],
) -> dict[str, Claim]:
    """Every claim about the end points, which like the target are in the model's own units.

    `is_certified`: whose smallest eigenvalue is bounded and not computed.
    """
    model = units.model
    converged, there = status == Status.CONVERGED, reached(target, status, measures)
    claims = {}
    if not model.is_rectified:  # starts end at kinks, where the gradient need not vanish
        claims["all converged"] = _none_of(~converged, first_start)
    if not target.is_benign:
        count = int(there.sum())
        claims["reached"] = Claim(float(count), 0.0, count > 0, None)
    bounds = bounds_of(units, tolerance)
    certified = {"duality gap"} | ({"smallest eigenvalue"} if bool(is_certified[converged].all()) else set())
    for name, values in measures.items():
        if name == "gradient" or (name == "smallest eigenvalue" and model.is_rectified):
            continue
        about = converged if name in ("below", "states", "smallest eigenvalue") else there
        evidence = "certificate" if name in certified else "numeric"
        claims[name] = _bounded(values, about, bounds.get(name, bounds["geometry"]), first_start, evidence)
    return claims


def _none_of(breaks: Tensor, first_start: int) -> Claim:
    rows = breaks.nonzero()[:, 0]
    return Claim(float(len(rows)), 0.0, not len(rows), first_start + int(rows[0]) if len(rows) else None, len(rows))


def _bounded(values: Tensor, about: Tensor, bound: float, first_start: int, evidence: str) -> Claim:
    """A negative bound is a lower one."""
    kept = values >= bound if bound < 0 else values <= bound
    breaks = (about & ~kept).nonzero()[:, 0]
    worst = math.nan
    if about.any():
        worst = float(values[about].amin() if bound < 0 else values[about].amax())
    broken_by = first_start + int(breaks[0]) if len(breaks) else None
    return Claim(worst, bound, bool(about.any()) and broken_by is None, broken_by, len(breaks), evidence)


def check_resolution(units: Units, tolerance: float) -> None:
    """Refuse a tolerance that a start could meet far from any minimiser, because curvature is so small, or f(0) is.

    Raises:
        ValueError: naming the largest tolerance that means something, or the loss if none does.
    """
    least = float(units.model.least_curvature)
    largest = FARTHEST * least / (RESOLVED * float(units.gradient))
    allowed = f"at most {largest:.1e}, since curvature at the minimiser is as small as {least:.1e}"
    check(tolerance <= largest, "--tolerance", tolerance, allowed)
    at_zero = _at_zero(units.model)
    check(at_zero > 0, "--loss", units.model.loss, "such that f(0), the unit of objectives, does not underflow to 0")
    largest = (2 * least * FARTHEST * at_zero) ** 0.5 / (RESOLVED * float(units.gradient))
    allowed = f"at most {largest:.1e}, since f(0), the unit of objectives, is as small as {at_zero:.1e}"
    check(tolerance <= largest, "--tolerance", tolerance, allowed)


def _at_zero(model: Model, device: torch.device | str = "cpu") -> float:
    """f(0), in which objectives are measured."""
    return float(model.value(torch.zeros(model.size, dtype=torch.float64, device=device)))


def _resolved_value(units: Units, tolerance: float) -> float:
    """How far above its minimum, relative to f(0), the objective of a start that has converged may be."""
    gradient, least = tolerance * float(units.gradient), float(units.model.least_curvature)
    return (RESOLVED * gradient) ** 2 / (2 * least) / _at_zero(units.model)


def check_spread(units: Units, target: Target) -> None:
    """Refuse a problem whose curvatures at the predicted minimum are too far apart for float64 and a bounded search.

    Raises:
        ValueError: naming the decays, in the model's own units.
    """
    least, scale = float(units.model.least_curvature), float(units.model.curvature_scale)
    spread = max(_largest_curvature(units.model, target.point), scale, 1 / units.model.K) / min(
        least, 1 / units.model.K
    )
    most = MOST_SPREAD_AT_ZERO if target.is_zero else MOST_SPREAD
    allowed = f"such that curvatures at the predicted minimum differ by a factor of at most {most:.0e}"
    got = f"{least:.1e} in the loss's own units (a factor of {spread:.0e})"
    check(spread <= most, "--decay-W, --decay-H", got, allowed)


def _largest_curvature(model: Model, x: Float[Tensor, " P"]) -> float:
    """The largest |eigenvalue| of the Hessian at a point, to a few per cent, by the power method."""
    product = model.hessian(x)  # of a single point, by tensor operations: compiled loops would take longer to compile
    v = torch.randn(1, model.size, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    norm = v.norm()
    for _ in range(POWER_STEPS):
        v = product(v / norm)
        norm = v.norm()
    return float(norm)


def bounds_of(units: Units, tolerance: float) -> dict[str, float]:
    """What is allowed; negative: a lower bound. Where curvature is small, what a gradient of `tolerance` resolves."""
    model, gradient = units.model, tolerance * float(units.gradient)
    scale = float(model.curvature_scale)
    value = max(VALUE, _resolved_value(units, tolerance))
    distance = RESOLVED * gradient / min(float(model.least_curvature), 1 / model.K)
    return {
        "value": value,
        "below": -VALUE,
        "states": value,
        "geometry": max(GEOMETRY, distance),
        "duality gap": max(DUALITY_GAP, distance),
        "smallest eigenvalue": -max(NEGATIVE_CURVATURE * max(1.0, scale), distance * scale),
    }


def _collapse(model: Model, target: Target, predicted: Tensor, x: Tensor) -> Measures:
    """Deviations of the metrics of collapse, of those that have a meaning at the prediction."""
    rows = _samples_of_one_class(model)
    if target.is_zero or rows is None:
        return {}
    means = torch.linalg.matrix_rank(model.unpack(predicted).W, rtol=RANK_TOLERANCE)
    has_full_rank = int(means) >= min(model.K - 1, model.d)
    found, expected = (collapse_metrics(_stats(model, point, rows)) for point in (x, predicted))
    return {name: (found[name] - expected[name]).abs() for name in expected if has_full_rank or name not in BY_RANK}


def _samples_of_one_class(model: Model) -> Tensor | None:
    """The samples that have one class for a label, if every class has some."""
    singles = [label for label, chosen in enumerate(model.loss.label_sets(model.K)) if len(chosen) == 1]
    is_single = torch.isin(model.labels(), torch.tensor(singles))
    return is_single.nonzero()[:, 0] if len(singles) == model.K else None


def _stats(model: Model, x: Float[Tensor, "*batch P"], rows: Tensor) -> FeatureStats:
    W, H, b = model.unpack(x)
    rows = rows.to(x.device)
    return FeatureStats.from_features(H[..., rows, :], model.labels(x.device)[rows], W, b)


def _logit_distance(model: Model, predicted: Tensor, x: Tensor) -> Tensor:
    """Largest deviation of a logit, less the mean over classes where a bias carries it and no softmax sees it."""
    difference = model.logits(x) - model.logits(predicted)
    if model.has_bias and model.is_shift_invariant:
        difference = difference - difference.mean(-1, keepdim=True)
    return difference.abs().amax((-2, -1))


def _norm_distance(model: Model, target: Target, predicted: Tensor, x: Tensor) -> Tensor:
    """Largest deviation of a |w_k| or |h_i| relative to the longest (absolute at the zero solution)."""
    distances = []
    for part, expected in zip(model.unpack(x)[:2], model.unpack(predicted)[:2], strict=True):
        norms = expected.norm(dim=-1)
        longest = 1.0 if target.is_zero else float(norms.max())
        distances.append((part.norm(dim=-1) - norms).abs().amax(-1) / longest)
    return torch.maximum(*distances)
