"""GNC2 of generalised neural collapse: the one-vs-rest margin of unit vectors, between bounds that prove it.

The distance of w_k to the convex hull of the other rows is the least |w_k - sum_j a_j w_j| over convex weights a, and
its dual is max over unit h of min_j <w_k - w_j, h>: every h gives a lower bound, every a an upper one.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ufm.arguments import floats, takes, tensor
from ufm.collapse.matrices import directions, tiles
from ufm.tolerances import HULL_DISTANCE

STEPS = 2000
LOOKED_AT = 20
"""Steps between evaluations of the bounds, each of which waits for the device."""


@takes(rows=tensor(None, None, dtypes=floats))
def gnc2(rows: Float[Tensor, "K d"]) -> Float[Tensor, ""]:
    """The one-vs-rest margin min_k dist(w_k, hull of the other rows), rows at length 1 (Jiang et al. 2023), to 1e-6.

    The value is a lower bound. At collapse it is not 0 but the largest for K vectors in d dimensions: K / (K - 1) for
    K <= d + 1 (the simplex), 1 up to K = 2 d, less for more. It is 0 where a row is in the hull of the others.
    """
    units, K = directions(rows), len(rows)
    if K < 2 or not bool(units.isfinite().all()):
        return rows.new_full((), torch.nan)
    return torch.stack([_least(units, part) for part in tiles(K, K)]).amin()


def _least(units: Float[Tensor, "K d"], part: slice) -> Float[Tensor, ""]:
    """The least distance over the rows `part`, by Nesterov's method on convex weights (Beck and Teboulle 2009).

    Its momentum is reset where a step goes uphill.
    """
    w, own = units[part], torch.arange(len(units), device=units.device)[part]
    gram, places = units @ units.mT, torch.arange(len(w), device=units.device)
    length = 1 / torch.linalg.matrix_norm(units, 2) ** 2
    a = torch.full_like(gram[part], 1 / (len(units) - 1))
    a[places, own] = 0
    seen, momentum, lower = a, a.new_ones(len(w), 1), a.new_zeros(len(w))
    for step in range(STEPS):
        gradient = (seen @ units - w) @ units.mT
        moved = seen - length * gradient
        moved[places, own] = -torch.inf
        moved = _on_simplex(moved)
        climbs = (gradient * (moved - a)).nan_to_num().sum(-1, keepdim=True) > 0
        following = torch.where(climbs, 1.0, (1 + (1 + 4 * momentum.square()).sqrt()) / 2)
        seen = moved + torch.where(climbs, 0.0, (momentum - 1) / following) * (moved - a)
        a, momentum = moved, following
        if step % LOOKED_AT == 0:
            h = w - a @ units
            upper = h.norm(dim=-1)
            along = h @ units.mT
            along[places, own] = -torch.inf
            bound = ((h * w).sum(-1) - along.amax(-1)) / upper.clamp(min=torch.finfo(h.dtype).tiny)
            lower = torch.maximum(lower, bound)
            best = upper.amin()
            if bool((lower.amin() >= best - HULL_DISTANCE) | (best <= HULL_DISTANCE)):
                break
            if bool((lower <= best).sum() < len(w)):  # classes that cannot be the worst
                kept = lower <= best
                w, own, a, seen, momentum, lower = (x[kept] for x in (w, own, a, seen, momentum, lower))
                places = places[: len(w)]
    return lower.amin()


def _on_simplex(x: Float[Tensor, "m K"]) -> Float[Tensor, "m K"]:
    """The nearest convex weights (Held, Wolfe, Crowder 1974); an entry of -inf stays 0."""
    ordered = x.sort(-1, descending=True).values
    count = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    excess = ordered.cumsum(-1) - 1
    last = (ordered * count > excess).sum(-1, keepdim=True) - 1
    return (x - excess.gather(-1, last) / (last + 1)).clamp(min=0)
