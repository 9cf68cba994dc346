"""Properties of a loss (smooth, class-symmetric, convex, contrastive), tested by a search for counterexamples.

Every answer is numeric evidence: a counterexample is one (up to rounding), none found is not a proof.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ufm.arguments import instance, integer, takes, tensor
from ufm.model.loss import Loss
from ufm.tolerances import LOSS_ROUNDING

POINTS = 2000
SCALES = (0.1, 1.0, 3.0, 10.0)
STEPS = (1e-2, 1e-4, 1e-6)
STEEP = 1e3
"""Where a difference quotient of the gradient grows by more than this over `STEPS`, there is a kink (or nearly one)."""
RAY = (-30.0, 60.0, 9001)
"""Margins of the ray on which uniqueness is looked at: from, to, count."""


@dataclass(frozen=True)
class Property:
    """The result of the search for a counterexample to one property.

    Attributes:
        holds: whether no counterexample was found.
        worst: the largest violation, or what comes closest to one.
        point: where, by name: logits, label and what else is needed to see it.
    """

    name: str
    holds: bool
    worst: float
    point: dict[str, Any]


@takes(loss=instance(Loss), K=integer(2))
def properties(loss: Loss, K: int) -> list[Property]:
    """The properties of a loss for K classes."""
    generator = torch.Generator().manual_seed(0)
    z, labels = _points(K, generator)
    return [
        _smooth(loss, z, labels, generator),
        _symmetric(loss, z, labels, generator),
        _convex(loss, z, labels),
        _bounded_by_the_ray(loss, z, labels),
        _unique_on_the_ray(loss, K),
    ]


@takes(loss=instance(Loss), K=integer(2), margin=tensor(None))
def on_ray(loss: Loss, K: int, margin: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    """phi(a), the loss of a sample whose label's logit is a while all others are 0."""
    return loss(*_ray_points(K, margin))


def _ray_points(K: int, margin: Tensor) -> tuple[Tensor, Tensor]:
    z = margin.new_zeros(len(margin), K)
    z[:, 0] = margin
    return z, torch.zeros(len(margin), dtype=torch.int64)


def _points(K: int, generator: torch.Generator) -> tuple[Float[Tensor, "M K"], Int[Tensor, " M"]]:
    """Normal logits of several sizes; integer ones, which have ties and zeros; the origin."""
    normal = torch.randn(len(SCALES) * POINTS, K, dtype=torch.float64, generator=generator)
    normal *= torch.tensor(SCALES, dtype=torch.float64).repeat_interleave(POINTS)[:, None]
    whole = torch.randint(-2, 3, (POINTS, K), generator=generator).double()
    z = torch.cat([normal, whole, torch.zeros(K, K, dtype=torch.float64)])
    return z, torch.arange(len(z)) % K


def _at(z: Tensor, labels: Tensor, i: int, **more: Any) -> dict[str, Any]:
    return {"logits": z[i].tolist(), "label": int(labels[i]), **more}


def _smooth(loss: Loss, z: Tensor, labels: Tensor, generator: torch.Generator) -> Property:
    """Difference quotients of the gradient stay bounded as the step shrinks."""
    v = torch.randn(z.shape, dtype=z.dtype, generator=generator)
    v /= v.norm(dim=1, keepdim=True)

    def quotient(h: float) -> Tensor:
        ahead, behind = (loss.value_and_gradient(z + sign * h * v, labels)[1] for sign in (1, -1))
        return (ahead - behind).norm(dim=1) / (2 * h)

    coarse, *_, fine = (quotient(h) for h in STEPS)
    growth = fine / coarse.clamp(min=1.0)
    worst = int(growth.argmax())
    point = _at(z, labels, worst, direction=v[worst].tolist(), quotient=float(fine[worst]))
    return Property("smooth", float(growth[worst]) <= STEEP, float(growth[worst]), point)


def _symmetric(loss: Loss, z: Tensor, labels: Tensor, generator: torch.Generator) -> Property:
    """Renaming the classes, of logits and label alike, changes nothing."""
    order = torch.rand(z.shape, generator=generator).argsort(1)
    renamed = (order == labels[:, None]).int().argmax(1)
    value = loss(z, labels)
    change = (loss(z.gather(1, order), renamed) - value).abs() / value.abs().clamp(min=1.0)
    worst = int(change.argmax())
    point = _at(z, labels, worst, order=order[worst].tolist())
    return Property("class-symmetric", float(change[worst]) <= LOSS_ROUNDING, float(change[worst]), point)


def _convex(loss: Loss, z: Tensor, labels: Tensor) -> Property:
    """No negative eigenvalue of the Hessian in the logits where it exists; a counterexample lies above a chord."""
    K = z.shape[1]
    unit = torch.eye(K, dtype=z.dtype)[:, None].expand(K, len(z), K)
    hessian = loss.hessian(z.expand(K, -1, -1), labels)(unit).transpose(0, 1)
    exists = torch.isfinite(hessian).all(2).all(1)
    z, labels, hessian = z[exists], labels[exists], hessian[exists]
    eigenvalues, vectors = torch.linalg.eigh((hessian + hessian.mT) / 2)
    relative = eigenvalues[:, 0] / eigenvalues.abs().amax(1).clamp(min=1.0)
    worst = int(relative.argmin())
    v = vectors[worst, :, 0]
    steps = torch.logspace(-3, 0.5, 30, dtype=z.dtype)[:, None]
    ends = [loss(z[worst] + sign * steps * v, labels[worst].expand(len(steps))) for sign in (1, -1)]
    above = loss(z[worst : worst + 1], labels[worst : worst + 1]) - (ends[0] + ends[1]) / 2
    best = int(above.argmax())
    point = _at(z, labels, worst, eigenvalue=float(eigenvalues[worst, 0]), direction=(steps[best] * v).tolist())
    return Property("convex", float(above[best]) <= LOSS_ROUNDING, float(above[best]), point)


def _bounded_by_the_ray(loss: Loss, z: Tensor, labels: Tensor) -> Property:
    """First half of the contrastive property (Zhu et al. 2021): loss(z) >= phi(mean margin), phi the loss on the ray.

    Where the other logits differ (by 0.1 or more, at moderate size) the inequality must be strict.
    """
    K = z.shape[1]
    own = torch.nn.functional.one_hot(labels, K).bool()
    others = z[~own].view(len(z), K - 1)
    margin = z[own] - others.mean(1)
    above = loss(z, labels) - on_ray(loss, K, margin)
    is_uneven = (others.amax(1) - others.amin(1) >= 0.1) & (z.abs().amax(1) <= 5)
    fails = (above < -LOSS_ROUNDING) | (is_uneven & (above <= 0))
    worst = int(torch.where(fails.any() & ~fails, torch.inf, above).argmin())
    point = _at(z, labels, worst, mean_margin=float(margin[worst]))
    return Property("contrastive: at least its value on the ray", not bool(fails.any()), float(above[worst]), point)


def _unique_on_the_ray(loss: Loss, K: int) -> Property:
    """Second half: for every c > 0, phi(a) + (K - 1) c |a| has one minimiser, and it has a >= 0.

    Two minimisers are the ends of a falling straight piece, below phi, of the lower convex hull of phi on a >= 0.
    """
    margin = torch.linspace(*RAY, dtype=torch.float64)
    phi = on_ray(loss, K, margin)
    at_zero, wrong = phi[margin.abs().argmin()], int(phi[margin < 0].argmin())
    if phi[wrong] < at_zero - LOSS_ROUNDING:
        point: dict[str, Any] = {
            "margin": float(margin[wrong]),
            "phi": float(phi[wrong]),
            "phi_at_zero": float(at_zero),
        }
        return Property("contrastive: one minimiser on the ray", False, float(at_zero - phi[wrong]), point)
    a, values = margin[margin >= 0], phi[margin >= 0]
    gap, left, right = _widest_chord(a.tolist(), values.tolist())
    slope = float((values[right] - values[left]) / (a[right] - a[left]))
    point = {"c": -slope / (K - 1), "margins": [float(a[left]), float(a[right])]}
    return Property("contrastive: one minimiser on the ray", gap <= LOSS_ROUNDING, gap, point)


def _widest_chord(x: list[float], y: list[float]) -> tuple[float, int, int]:
    """Of the falling pieces of the lower convex hull, how far the function lies above, and the ends."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1 and _turns_right(x, y, hull[-2], hull[-1], i):
            hull.pop()
        hull.append(i)
    found = (0.0, 0, 1)
    for left, right in itertools.pairwise(hull):
        if right - left > 1 and y[right] < y[left] and math.isfinite(y[left]):
            slope = (y[right] - y[left]) / (x[right] - x[left])
            above = max(y[i] - y[left] - slope * (x[i] - x[left]) for i in range(left, right))
            found = max(found, (above, left, right))
    return found


def _turns_right(x: list[float], y: list[float], i: int, j: int, k: int) -> bool:
    return (y[j] - y[i]) * (x[k] - x[i]) >= (y[k] - y[i]) * (x[j] - x[i])
