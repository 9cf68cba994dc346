"""Where the landscape with a free bias stops being benign: "K - 1 classes on a simplex, one at zero" becomes a minimum.

S(a) is minus the slope of a loss on the simplex ray, rising from 1 at a -> -infinity to its maximum at `top` and then
falling to 0, as that of focal loss does; D = -S'/S; S(0) > 1. Derived in
`theory_checks/focal_landscape_is_benign_up_to_partial_collapse.py`.
"""

from collections.abc import Callable

from ufm.theory.roots import root

Function = Callable[[float], float]
FAR = 100.0
"""A margin this far beyond the maximum has S < 1 and D (K + a) > 1."""


def onset(S: Function, top: float, K: int) -> float:
    """c_x = S(-A)/(K - 1), A > 0 the root of S((K - 1) A) = S(-A); needs `top` > 0."""
    last = root(lambda a: S(a) - 1, top, top + FAR) / (K - 1)
    A = root(lambda A: S((K - 1) * A) - S(-A), top / (K - 1), last)
    return S(-A) / (K - 1)


def benign_bound(S: Function, D: Function, top: float, K: int) -> float:
    """The c below which every critical point is proved to be a global minimiser or a strict saddle.

    That is c_x, or less where E of the proof has its maximum beyond the ETF's margin; where the ETF shrinks to zero
    continuously (`top` = 0) S(0)/(K - 1), or less for the same reason.
    """
    e = 0.0 if D(top) * (K + top) >= 1 else root(lambda a: D(a) * (K + a) - 1, top, top + FAR)
    at_e = S(-e / (K - 1))
    if top > 0 and S(e) >= at_e:
        return onset(S, top, K)
    return min(S(0.0), at_e) / (K - 1)
