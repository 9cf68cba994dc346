"""How unlikely can a label be where focal loss may have a minimum? Classes of any sizes n_y, N samples, any bias.

At a critical point that is no strict saddle (d >= K - 1) p_y >= rho = 1/(1 + (K - 1) e^delta): delta = 0 without bias,
sqrt(2 N) s/decay_b with a decayed one, s = sqrt(decay_W decay_H); rho = 0 with a free one. The landscape is benign if
rho >= p_infl, or if `slope_reached`, which bounds a mean of the slopes S of every class, is below S(rho). Derived in
`theory_checks/focal_landscape_is_benign_where_labels_are_likely.py`.
"""

import math
from collections.abc import Callable

from ufm.model.problem import Problem
from ufm.tolerances import THRESHOLD_ROUNDING

Function = Callable[[float], float]
FARTHEST = 600.0
"""From this delta on rho is 0 to rounding, and S(rho) is 1."""


def log_odds(problem: Problem) -> float:
    """delta, at most `FARTHEST`."""
    if not problem.has_bias:
        return 0.0
    decay_b, reach = float(problem.decay_b or 0.0), math.sqrt(2 * problem.N) * _strength(problem)
    return reach / decay_b if reach < FARTHEST * decay_b else FARTHEST


def slope_reached(problem: Problem) -> float:
    """At |G|_2 <= s no class has a root mean square (with a free bias: a mean) of S above this."""
    K, N, least = problem.K, problem.N, problem.n * min(problem.sizes or (1,))
    rest = (N - least) / N if problem.has_free_bias else 1.0
    return N * _strength(problem) * math.sqrt((K - 1) / (K * least)) * math.sqrt(rest)


def slope_allowed(problem: Problem, S: Function, bend: Function) -> float:
    """Infinite if rho >= p_infl, else S(rho), which is 1 with a free bias.

    Args:
        S: minus the slope of the loss on the simplex ray, by the margin.
        bend: a number of the sign of -dS/da.
    """
    delta = log_odds(problem)
    if delta >= FARTHEST:
        return 1.0
    return math.inf if bend(-delta * (1 + THRESHOLD_ROUNDING)) >= 0 else S(-delta)


def _strength(problem: Problem) -> float:
    return math.sqrt(problem.decay_W) * math.sqrt(problem.decay_H)
