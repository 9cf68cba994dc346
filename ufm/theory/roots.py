"""The root of a function of one variable in a bracket."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq


def root(function: Callable[[float], float], low: float, high: float, within: float = 1e-300) -> float:
    """The root between `low` and `high`, to `within` or to the last bit that bisection can give.

    Raises:
        ValueError: if the function has the same sign at both ends.
    """
    return float(brentq(function, low, high, xtol=within, rtol=4 * float(np.finfo(float).eps), maxiter=1000))
