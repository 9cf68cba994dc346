"""Classification of critical points, orbit by orbit: one of each by its spectrum, the others by their distance.

Let g be a symmetry of the model, x0 a point whose spectrum is known, x at the distance delta from g x0, and L a
Lipschitz constant of the Hessian there (`hessian_lipschitz.py`). The spectrum at g x0 is that at x0, and by Weyl's
inequality each eigenvalue at x is within L delta of its own at x0. So if the eigenvalues at x0 that count as zero are
apart from the others by more than 2 L delta, Morse index and nullity at x are those at x0, the smallest eigenvalue is
at most its own there + L delta, and so is the curvature along the image of a direction. Where that is not so, x has a
spectrum computed.

The inference is proved up to rounding; what it starts from is a dense spectrum in floating point. So the rank of the
whole is *numeric*.
"""

from dataclasses import dataclass, fields
from functools import singledispatch

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, tensor
from ufm.curvature.alignment import align
from ufm.curvature.hessian_lipschitz import Size, derivative_bounds, lipschitz
from ufm.model.model import Model
from ufm.model.problem import Problem
from ufm.solve.critical_points import Classification, classify
from ufm.solve.grouping import groups_of
from ufm.tolerances import SAME_VALUE

COUNTS, FLAGS = ("morse_index", "nullity", "rank"), ("is_rank_one", "is_strict_saddle")
ROUNDS = 8
"""Orbits of one value that are told apart; points of further ones have spectra of their own."""


@dataclass(frozen=True)
class Classified:
    """Critical points with their kinds, and how these are known.

    Attributes:
        kinds: of every point.
        distance: from the orbit of a point that has a spectrum; nan for those that have it themselves.
        shift: L delta: by how much an eigenvalue may differ from that of the orbit; 0 for those with a spectrum.
    """

    kinds: Classification
    distance: Float[Tensor, " B"]
    shift: Float[Tensor, " B"]


@singledispatch
def classify_by_orbit(model: Model, x: Float[Tensor, "B P"]) -> Classified:
    """Classify critical points; every one by its spectrum where no Lipschitz constant is known.

    Raises:
        ValueError: if x are not float64 points of this model.
    """
    instance(Model).check("model", model)
    tensor(None, model.size).check("x", x)
    return Classified(classify(model, x), torch.full_like(x[:, 0], torch.nan), torch.zeros_like(x[:, 0]))


@classify_by_orbit.register
def _of_problem(problem: Problem, x: Float[Tensor, "B P"]) -> Classified:
    tensor(None, problem.size).check("x", x)
    if derivative_bounds(problem.loss, problem.K) is None or problem.is_mixed or not problem.is_balanced:
        return classify_by_orbit.dispatch(Model)(problem, x)
    found = _unknown(problem, x)
    waiting = groups_of(found.kinds.value, SAME_VALUE)
    for _ in range(ROUNDS):
        _classify(problem, x, [group[0] for group in waiting], found)
        left = [_match(problem, x, group[0], torch.tensor(group[1:]).to(x.device).long(), found) for group in waiting]
        waiting = [group for group in left if group]
    _classify(problem, x, [i for group in waiting for i in group], found)
    return found


def _unknown(problem: Problem, x: Float[Tensor, "B P"]) -> Classified:
    """Room for the kinds of these points, of which the values are known."""
    numbers = {name: torch.full_like(x[:, 0], torch.nan) for name in ("smallest_eigenvalue", "curvature", "separation")}
    counts = {name: torch.zeros(len(x), dtype=torch.int64, device=x.device) for name in COUNTS}
    flags = {name: torch.zeros(len(x), dtype=torch.bool, device=x.device) for name in FLAGS}
    kinds = Classification(value=problem.value(x), direction=torch.empty_like(x), **numbers, **counts, **flags)
    return Classified(kinds, torch.full_like(x[:, 0], torch.nan), torch.zeros_like(x[:, 0]))


def _classify(problem: Problem, x: Tensor, chosen: list[int], found: Classified) -> None:
    """Classify some of the points by their spectra."""
    if chosen:
        kinds = classify(problem, x[chosen])
        for each in fields(kinds):
            getattr(found.kinds, each.name)[chosen] = getattr(kinds, each.name)


def _match(problem: Problem, x: Tensor, base: int, rows: Int[Tensor, " R"], found: Classified) -> list[int]:
    """Give points their kind where the base point's orbit is near enough, and return the others."""
    if not len(rows):
        return []
    kinds, size = found.kinds, _size(problem, x[base])
    bounds = derivative_bounds(problem.loss, problem.K)
    assert bounds is not None
    symmetry, distance = align(problem, x[base], x[rows])
    shift = lipschitz(problem, bounds, size, distance) * distance
    is_near = 2 * shift < kinds.separation[base]
    near, shift = rows[is_near], shift[is_near]
    for name in (*COUNTS, "is_rank_one", "separation"):
        getattr(kinds, name)[near] = getattr(kinds, name)[base].clone()
    kinds.smallest_eigenvalue[near] = kinds.smallest_eigenvalue[base] + shift
    kinds.curvature[near] = kinds.curvature[base] + shift
    kinds.direction[near] = symmetry.image(problem, kinds.direction[base])[is_near]
    kinds.is_strict_saddle[near] = kinds.is_strict_saddle[base] & (kinds.curvature[near] < 0)
    found.distance[near], found.shift[near] = distance[is_near], shift
    return rows[~is_near].tolist()


def _size(problem: Problem, x: Float[Tensor, " P"]) -> Size:
    W, H, _ = problem.unpack(x)
    of_W, of_H = (float(torch.linalg.matrix_norm(A, 2)) for A in (W, H))
    return Size(of_W, of_H, float(H.norm(dim=1).max()))
