"""The rules of L-BFGS, which both of its forms follow, and what a form has to offer.

The forms stand in two pairs of files that read side by side, function by function: `line_search_batched` and
`line_search_compiled`, what one evaluation says to a start; `batched` and `compiled`, what a start does next.
"""

from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ufm.solve.end_points import EndPoints, Path

MEMORY = 3
"""The pairs (step, change of gradient) that each start remembers."""


class Rules(NamedTuple):
    """The rules by which a trial step is accepted and a start ends.

    Attributes:
        tolerance, max_steps: as in `minimise`.
        trials: evaluations of one line search before it gives up.
        idle_steps: after how many steps a start has stalled if neither value nor gradient have become clearly lower
            than ever before.
        clearly: a gradient is clearly shorter below this share of the shortest.
        armijo, wolfe: the constants of the two conditions.
        rounding: rounding error of a value, relative to it.
    """

    tolerance: float
    max_steps: int
    trials: int = 30
    idle_steps: int = 1000
    clearly: float = 0.9
    armijo: float = 1e-4
    wolfe: float = 0.9
    rounding: float = 16 * float(np.finfo(np.float64).eps)


class Metric(NamedTuple):
    """The metric that L-BFGS begins with: the last variables count otherwise than the rest (`ufm/solve/metric.py`).

    Attributes:
        last: how many variables.
        step: the entry of the inverse metric for them, where the others have 1; of every start, or one for all.
    """

    last: int
    step: Float[Tensor, " S"]


class Lbfgs(Protocol):
    """An implementation of L-BFGS.

    Made from starts, the number of starts at work at a time, the rules, the metric, and the path that is to be kept.
    """

    end: EndPoints
    """The results of the starts that have ended."""
    TICKS_BETWEEN_EXCHANGES: int

    def __init__(self, starts: Float[Tensor, "S P"], width: int, rules: Rules, metric: Metric, path: Path) -> None: ...

    @property
    def active(self) -> int:
        """The number of starts at work."""

    @property
    def trial(self) -> Float[Tensor, "B P"]:
        """The points (B, P) to be evaluated next."""

    @property
    def rows(self) -> Int[Tensor, " B"]:
        """The numbers of the starts to which `trial` belongs."""

    def search(self, f: Float[Tensor, " B"], g: Float[Tensor, "B P"]) -> None:
        """Process the values and gradients at `trial`: accept it or not, end starts, and set the next trial step."""

    def turn(self) -> None:
        """Move to the accepted points, remember the steps, and set a new direction where a line search is over."""

    def exchange(self) -> int:
        """Store the results of ended starts, replace them by waiting ones, and return how many ended."""
