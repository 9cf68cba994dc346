"""In a small box of the reduced problem there is exactly one critical point, or it is not known: ball arithmetic.

First Krawczyk's test for the inner variables y = (h, b) alone, for all outer variables of the box at once: it passes if
y(w) lies in the interior of a box of y for every w. Every critical point over the box is then in the product of both,
in which the test for all variables proves exactly one.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from ufm.complete.reduction import PRECISION, Reduced
from ufm.proof.ball_losses import Ball, Balls, in_balls
from ufm.proof.ball_model import Matrix

REFINEMENTS = 4
"""Further steps of Krawczyk's operator, each of which squares the radius."""
WIDER = (4.0, 2.0, 1.25)
"""By how much the box is widened, for critical points on the domain's boundary; the first that can be closed counts."""


@dataclass(frozen=True)
class Found:
    """A critical point of the reduced problem, proved to exist.

    Attributes:
        x: all coordinates of the reduced problem, to double precision.
        radius: how far, at most, each is from the true one, before it was rounded.
        box: (2, q), the outer variables among which there is no other.
    """

    x: np.ndarray
    radius: float
    box: np.ndarray


class ReducedBalls:
    """Gradient and Hessian of the reduced problem at a point or over a box, and each sample's odds 1/p - 1."""

    def __init__(self, reduced: Reduced, x: Balls) -> None:
        K, r, size, has_bias = reduced.K, reduced.r, reduced.size, reduced.problem.has_bias
        loss, at_h, at_b = in_balls(reduced.problem.loss), (K - 1) * r, (2 * K - 1) * r
        w = [x[j * r : (j + 1) * r] for j in range(K - 1)]
        w.append([-sum((row[a] for row in w), arb(0)) for a in range(r)])
        b = x[at_b:] if has_bias else [arb(0)] * (K - 1)
        b = [*b, -sum(b, arb(0))]
        penalty = _penalty(reduced)
        gradient, self.hessian, self.odds = penalty * arb_mat(size, 1, x), penalty, []
        for k in range(K):
            h = x[at_h + k * r : at_h + (k + 1) * r]
            z = [sum((w[j][a] * h[a] for a in range(r)), b[j]) for j in range(K)]
            slope, curvature = loss.derivatives(z, k)
            self.odds.append(sum(((z[j] - z[k]).exp() for j in range(K) if j != k), arb(0)))
            J = _jacobian(reduced, k, w, h)
            gradient += J.transpose() * arb_mat(K, 1, slope) / K
            self.hessian += J.transpose() * arb_mat(curvature) * J / K
            for j, a in itertools.product(range(K - 1), range(r)):
                cross = (slope[j] - slope[K - 1]) / K
                self.hessian[j * r + a, at_h + k * r + a] += cross
                self.hessian[at_h + k * r + a, j * r + a] += cross
        self.gradient = gradient.entries()


def _jacobian(reduced: Reduced, k: int, w: list[Balls], h: Balls) -> Matrix:
    """(K, size): of the logits of the sample of class k."""
    K, r, at_h = reduced.K, reduced.r, (reduced.K - 1) * reduced.r
    J = arb_mat(K, reduced.size)
    for j, a in itertools.product(range(K - 1), range(r)):
        J[j, j * r + a], J[K - 1, j * r + a] = h[a], -h[a]
    for j, a in itertools.product(range(K), range(r)):
        J[j, at_h + k * r + a] = w[j][a]
    for j in range((K - 1) * reduced.problem.has_bias):
        J[j, at_h + K * r + j], J[K - 1, at_h + K * r + j] = arb(1), arb(-1)
    return J


def _penalty(reduced: Reduced) -> Matrix:
    """Hessian of the decays, in coordinates that leave the last row of w and the last entry of b out."""
    K, r, size, c = reduced.K, reduced.r, reduced.size, reduced.c()
    at_h, at_b, decay_b = (K - 1) * r, (2 * K - 1) * r, arb(float(reduced.problem.decay_b or 0.0))
    penalty = arb_mat(size, size)
    for i, j in itertools.product(range(at_h), range(at_h)):
        penalty[i, j] = c * ((i % r == j % r) * (1 + (i == j)))
    for i in range(at_h, at_b):
        penalty[i, i] = c
    for i, j in itertools.product(range(at_b, size), range(at_b, size)):
        penalty[i, j] = decay_b * (1 + (i == j))
    return penalty


def close(reduced: Reduced, box: np.ndarray, guess: np.ndarray) -> Found | None:
    """Exactly one critical point of the reduced problem over the box (2, q), widened; or None."""
    outer, inner = reduced.outer.tolist(), reduced.inner.tolist()
    x: list[Any] = [arb(0)] * reduced.size
    for place, value in zip(outer, box.mean(0).tolist(), strict=True):
        x[place] = arb(value)
    for place in inner:
        x[place] = arb(float(guess[place]))
    with ctx.workprec(PRECISION):
        start = _newton(reduced, x, inner)
        widths = (factor * (box[1] - box[0]).max() / 2 for factor in WIDER)
        tries = (_closed(reduced, start, outer, inner, half) for half in widths if start)
        return next((found for found in tries if found and _covers(found.box, box)), None)


def _covers(outer: np.ndarray, box: np.ndarray) -> bool:
    """Whether a box lies in another one."""
    return bool((outer[0] <= box[0]).all() and (box[1] <= outer[1]).all())


def _closed(reduced: Reduced, x: Balls, outer: list[int], inner: list[int], half: float) -> Found | None:
    """Exactly one critical point over the outer variables x +- half."""
    wide = _inner_box(reduced, x, outer, inner, half)
    image = wide and _krawczyk(reduced, x, wide, outer + inner)
    if not wide or not all(odds < reduced.limit for odds in ReducedBalls(reduced, wide).odds):
        return None
    if not image or not all(wide[i].contains_interior(image[i]) for i in outer + inner):
        return None
    unique = np.array([[_end(wide[i], side) for i in outer] for side in (-1, 1)])
    for _ in range(REFINEMENTS):
        finer = _krawczyk(reduced, [arb(entry.mid()) for entry in image], image, outer + inner)
        image = [a.intersection(b) for a, b in zip(image, finer or image, strict=True)]
    radius = max(float(entry.rad()) for entry in image)
    return Found(np.array([float(entry.mid()) for entry in image]), math.nextafter(radius, math.inf), unique)


def _end(ball: Ball, side: int) -> float:
    """A double inside the ball, close to its lower or upper end."""
    return float(ball.mid()) + side * float(ball.rad()) * (1 - 1e-9)


def _newton(reduced: Reduced, x: Balls, places: list[int]) -> Balls | None:
    """A few of Newton's steps in these places, rounded; a guess that proves nothing."""
    x = list(x)
    for _ in range(4):
        model = ReducedBalls(reduced, x)
        block = arb_mat([[model.hessian[i, j] for j in places] for i in places])
        try:
            step = block.solve(arb_mat(len(places), 1, [model.gradient[i] for i in places]))
        except ZeroDivisionError:
            return None
        for i, place in enumerate(places):
            x[place] = arb((x[place] - step[i, 0]).mid())
    return x


def _inner_box(reduced: Reduced, x: Balls, outer: list[int], inner: list[int], half: float) -> Balls | None:
    """The box of all variables, outer ones x +- half, whose inner part holds y(w) in its interior for every w."""
    radii = dict.fromkeys(inner, half)
    for _ in range(20):
        wide = list(x)
        for i in outer:
            wide[i] = x[i] + arb(0, half)
        for i in inner:
            wide[i] = x[i] + arb(0, radii[i])
        image = _krawczyk(reduced, x, wide, inner)
        if image is None:
            return None
        if all(wide[i].contains_interior(image[i]) for i in inner):
            return wide
        radii = {i: max(radii[i], 1.5 * float((image[i] - x[i]).abs_upper())) for i in inner}
    return None


def _krawczyk(reduced: Reduced, x: Balls, wide: Balls, places: list[int]) -> Balls | None:
    """Krawczyk's image of the box in these places, for all values that the others have in it."""
    size, others = len(places), [i for i in range(reduced.size) if i not in places]
    at_point, over = ReducedBalls(reduced, x), ReducedBalls(reduced, wide)
    middle = np.array([[float(over.hessian[i, j].mid()) for j in places] for i in places])
    if not np.isfinite(middle).all() or np.linalg.matrix_rank(middle) < size:
        return None
    V = arb_mat(np.linalg.inv(middle).tolist())
    residual = arb_mat(size, 1, [at_point.gradient[i] for i in places])
    for row, i in enumerate(places):
        for j in others:
            residual[row, 0] += over.hessian[i, j] * (wide[j] - x[j])
    block: Matrix = arb_mat([[over.hessian[i, j] for j in places] for i in places])
    moved = arb_mat(size, 1, [wide[i] - x[i] for i in places])
    step = (arb_mat(np.eye(size).tolist()) - V * block) * moved - V * residual
    image = list(wide)
    for row, i in enumerate(places):
        image[i] = x[i] + step[row, 0]
    return image
