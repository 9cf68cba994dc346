"""The ways down from the saddles of an atlas to a minimum, as frames to be played. Evidence is numeric.

From a critical point a step along its direction of negative curvature begins steepest descent, whose steps are halved
until the objective falls enough (Armijo 1966). Descent from a point of rank r along the rank-one direction stays in
points of rank r + 1, so that it can end at another saddle: there `minimise` finds the end, and its own direction leads
on. Steps are so short that frames, which are points of the way, lie at nearly equal distances.
"""

from typing import Any, TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import instance, takes
from ufm.atlas.atlas import Atlas
from ufm.atlas.orbit import geometry
from ufm.model.model import Model
from ufm.solve.critical_points import classify
from ufm.solve.minimise import minimise
from ufm.tolerances import LOCAL_MINIMUM, NEGATIVE_CURVATURE

FRAMES = 12
"""Of every piece of a way, from one critical point to the next."""
MOST_PIECES = 10
STEPS = 2000
FIRST = 0.02
"""The step off a critical point, over the norm of the lowest row's point."""
LONGEST = 0.01
"""Of a step of descent, in the same unit."""
ARMIJO = 0.5
"""Of the fall that the gradient promises, the part that a step must give; so long a step does not pass the floor of a
valley, whose curvature L allows it 1 / L."""
NEAR = 1e-2
"""A piece is at its end when the gradient is that much smaller than its largest on the way."""
AXES = 3
DECIMALS = 4


class Descent(TypedDict):
    """The way from one row down to a minimum.

    Attributes:
        row: where it begins, by its number from 0; `passes`: the saddles that it meets, and its end, as rows; None for
            a point that is in no row.
        value: objective at every frame.
        means: class means at every frame, in the directions, at most three, along which those of all frames
            extend most.
        seen: the share of the squared length of the class means that these directions show.
    """

    row: int
    passes: list[int | None]
    value: list[float]
    means: list[list[list[float]]]
    seen: float


@takes(atlas=instance(Atlas))
def descents(atlas: Atlas) -> list[Descent]:
    """The way down from every row that has a direction of negative curvature."""
    return [_descent(atlas, number) for number, row in enumerate(atlas.rows) if row.curvature < -NEGATIVE_CURVATURE]


def _descent(atlas: Atlas, number: int) -> Descent:
    model, x = atlas.model, atlas.embedded(atlas.rows[number])
    size = float(atlas.embedded(atlas.rows[0]).norm()) or 1.0
    points, passes = x[None], []
    found = classify(model, x[None])
    for _ in range(MOST_PIECES):
        path, x = _piece(model, x, found.direction[0], size)
        points = torch.cat([points, path])
        passes.append(atlas.number_of(x))
        found = classify(model, x[None])
        if found.smallest_eigenvalue[0] >= LOCAL_MINIMUM:
            break
    means, seen = _drawn(model, points)
    value = [float(f"{each:.6g}") for each in model.value(points).tolist()]
    return {"row": number, "passes": passes, "value": value, "means": means, "seen": seen}


def _piece(
    model: Model, x: Float[Tensor, " P"], direction: Float[Tensor, " P"], size: float
) -> tuple[Tensor, Float[Tensor, " P"]]:
    """Frames of the way from x to the next critical point, x left out; and that point."""
    path = [x, x + FIRST * size * direction]
    value, gradient = model.value_and_gradient(path[-1][None])
    largest, length = gradient.norm(), 1.0
    for _ in range(STEPS):
        square = gradient.square().sum()
        largest = torch.maximum(largest, square.sqrt())
        if square.sqrt() < NEAR * largest:
            break
        length = min(length, LONGEST * size / float(square.sqrt()))
        trial = path[-1] - length * gradient[0]
        next_value, next_gradient = model.value_and_gradient(trial[None])
        if next_value > value - ARMIJO * length * square:
            length /= 2
            continue
        path.append(trial)
        value, gradient, length = next_value, next_gradient, 1.5 * length
    end = minimise(model, path[-1][None]).x[0]
    return _evenly(torch.stack([*path, end])), end


def _evenly(path: Float[Tensor, "T P"]) -> Float[Tensor, "F P"]:
    """`FRAMES` points of the path at nearly equal distances, the last one its end; its first point is left out."""
    along = torch.cat([path.new_zeros(1), (path[1:] - path[:-1]).norm(dim=1).cumsum(0)])
    wanted = torch.linspace(0, float(along[-1]), FRAMES + 1, dtype=path.dtype)[1:]
    return path[torch.searchsorted(along, wanted).clamp(1, len(path) - 1)]


def _drawn(model: Model, points: Float[Tensor, "T P"]) -> tuple[list[list[list[float]]], float]:
    means = torch.tensor([geometry(model, x)["means"] for x in points], dtype=points.dtype)
    axes = torch.linalg.svd(means.flatten(0, 1), full_matrices=False).Vh[:AXES]
    drawn = means @ axes.mT
    seen = float(drawn.square().sum() / means.square().sum().clamp(min=torch.finfo(points.dtype).tiny))
    rounded: Any = [[[round(value, DECIMALS) + 0.0 for value in row] for row in frame] for frame in drawn.tolist()]
    return rounded, round(seen, 4)
