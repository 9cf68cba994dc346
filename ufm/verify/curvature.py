"""The smallest Hessian eigenvalue at end points: bounded near the predicted minimiser's orbit, computed elsewhere.

The bound (`ufm/curvature/orbit_bound.py`) is a *certificate* and costs a distance; Lanczos is *numeric* and costs tens
of Hessian products. So Lanczos has only those points that the bound does not decide: other minima, points that did not
converge, and models whose orbit's spectrum is not known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ufm.curvature.orbit_bound import KnownOrbit
from ufm.model.model import Model
from ufm.solve.hessian import smallest_eigenpair


class FromBelow(NamedTuple):
    """A lower bound of the smallest eigenvalue at every point.

    Attributes:
        smallest_eigenvalue: a lower bound of it.
        distance: a bound of the distance from the orbit where that decides; nan elsewhere.
    """

    smallest_eigenvalue: Float[Tensor, " B"]
    distance: Float[Tensor, " B"]


@dataclass(frozen=True)
class Curvature:
    """The method that finds the smallest eigenvalue at a model's end points.

    Attributes:
        model: the model, in its own units.
        orbit: of the predicted minimiser, None where its spectrum is not known.
        allowed: what the bound must reach to decide.
    """

    model: Model
    orbit: KnownOrbit | None = None
    allowed: float = 0.0

    def from_below(self, x: Float[Tensor, "B P"], progress: Callable[[int], None]) -> FromBelow:
        """The smallest eigenvalue at every point from below, by the bound or by Lanczos."""
        found = FromBelow(torch.full_like(x[:, 0], -torch.inf), torch.full_like(x[:, 0], torch.nan))
        if self.orbit:
            near = self.orbit.near(x)
            found = FromBelow(near.smallest_eigenvalue, near.distance)
        is_open = ~(found.smallest_eigenvalue >= self.allowed)
        found.distance[is_open] = torch.nan
        rest = is_open.nonzero()[:, 0]
        progress(len(x) - len(rest))
        if len(rest):
            pair = smallest_eigenpair(self.model, x[rest], progress=progress)
            found.smallest_eigenvalue[rest] = pair.value - pair.residual
        return found

    def summary(self, distance: Float[Tensor, " S"], is_finite: Bool[Tensor, " S"]) -> dict[str, Any]:
        """The counts of starts by evidence and the constants of the certificate, for the record.

        `objective` and `logits` bound how far the certified end points are from those of the predicted point.
        """
        is_certified = ~distance.isnan()
        counts = {"certificate": int(is_certified.sum()), "numeric": int((is_finite & ~is_certified).sum())}
        return counts | {"orbit": self._facts(distance[is_certified])}

    def _facts(self, distance: Float[Tensor, " C"]) -> dict[str, Any] | None:
        if self.orbit is None:
            return None
        orbit = self.orbit
        farthest = distance.amax() if len(distance) else torch.tensor(0.0, dtype=torch.float64)
        objective, logits = orbit.within(farthest[None])
        return {
            "rank": orbit.X.shape[1],
            "radius": orbit.radius,
            "least_curvature_across": orbit.curvature,
            "lipschitz_constant": float(orbit.lipschitz(farthest[None])),
            "gradient_of_the_prediction": orbit.gradient,
            "farthest": float(farthest),
            "objective": float(objective),
            "logits": float(logits),
        }
