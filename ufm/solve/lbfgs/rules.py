"""The rules of L-BFGS, which both of its forms follow, and what a form has to offer.

The forms stand in two pairs of files that read side by side, function by function: `line_search_batched` and
`line_search_compiled`, what one evaluation says to a start; `batched` and `compiled`, what a start does next.
"""

from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ufm.solve.end_points import EndPoints

MEMORY = 3
"""Pairs of curvature memory per start."""


class Rules(NamedTuple):
    """When a trial is taken, and when a start ends.

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


class Lbfgs(Protocol):
    """Some of the starts at work, the others in the queue: made of starts, the number at work, and the rules."""

    end: EndPoints
    """Where the starts ended that have ended."""
    TICKS_BETWEEN_EXCHANGES: int

    def __init__(self, starts: Float[Tensor, "S P"], width: int, rules: Rules) -> None: ...

    @property
    def active(self) -> int:
        """How many are at work."""

    @property
    def trial(self) -> Float[Tensor, "B P"]:
        """The points to be evaluated next."""

    @property
    def rows(self) -> Int[Tensor, " B"]:
        """Which of the starts those are."""

    def search(self, f: Float[Tensor, " B"], g: Float[Tensor, "B P"]) -> None:
        """Hear the evaluation: is the trial taken, has the start ended, what is tried next?"""

    def turn(self) -> None:
        """Take the accepted steps, remember them, and find a new direction where a line search is over."""

    def exchange(self) -> int:
        """Write out who ended, let the queue take their places; returns how many ended."""
