"""The result of a solver: where every start ended, and with which status."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ufm.arguments import integer, positive, progress, tensor
from ufm.html import html_table


class Status(IntEnum):
    """The way in which a start ended.

    CONVERGED: |gradient| <= tolerance. MAX_STEPS: all steps were used. STALLED: no step was found, even along the
    gradient, or none of very many brought progress (tolerance below rounding, or an objective without a
    minimum). NONFINITE: value or gradient were not finite at the start itself.
    """

    RUNNING = 0
    CONVERGED = 1
    MAX_STEPS = 2
    STALLED = 3
    NONFINITE = 4


@dataclass(frozen=True)
class EndPoints:
    """The end point of every start, in the order of the starts.

    Attributes:
        x: the end points.
        value: objective there.
        gradient_norm: Euclidean norm of the gradient there.
        status: a `Status` each.
        steps, evaluations: accepted steps and evaluations of the objective.
    """

    x: Float[Tensor, "S P"]
    value: Float[Tensor, " S"]
    gradient_norm: Float[Tensor, " S"]
    status: Int[Tensor, " S"]
    steps: Int[Tensor, " S"]
    evaluations: Int[Tensor, " S"]

    @classmethod
    def joined(cls, parts: Sequence["EndPoints"]) -> "EndPoints":
        """The results of several parts as one."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(cls)))

    @classmethod
    def unknown(cls, starts: Float[Tensor, "S P"]) -> "EndPoints":
        """A result for these starts that is still to be filled in."""
        values = [starts.new_full((len(starts),), torch.nan) for _ in range(2)]
        counts = [torch.zeros(len(starts), dtype=torch.int64, device=starts.device) for _ in range(3)]
        return cls(torch.empty_like(starts), *values, *counts)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The CPU memory of every field, in their order."""
        return tuple(getattr(self, field.name).numpy() for field in dataclasses.fields(self))

    @property
    def is_converged(self) -> Bool[Tensor, " S"]:
        """Whether each start reached the tolerance."""
        return self.status == Status.CONVERGED

    def _repr_html_(self) -> str:
        """The number of starts, lowest value and largest gradient of each status, for a notebook."""
        rows = [
            (status.name, int(here.sum()), float(self.value[here].min()), float(self.gradient_norm[here].max()))
            for status in Status
            if bool((here := self.status == status).any())
        ]
        columns = ("status", "starts", "lowest value", "largest gradient")
        return html_table(f"{len(self.x)} starts", columns, rows)


@dataclass(frozen=True)
class Path:
    """The value and the gradient's norm of the first starts after 0, 1, 2, 4, ... steps.

    Attributes:
        numbers: of both, by start and by the bits that the number of steps has, nan where a start has ended before;
            behind these, the end.
    """

    numbers: Float[Tensor, "C T 2"]

    @classmethod
    def unknown(cls, count: int, max_steps: int, like: Tensor) -> "Path":
        """A path for that many starts that is still to be walked."""
        return cls(like.new_full((count, max_steps.bit_length() + 2, 2), torch.nan))

    def of(self, rows: slice) -> "Path":
        """The path of those starts that are among the first, in the same memory."""
        return Path(self.numbers[rows])


SOLVER_RULES = {"starts": tensor(None, None), "tolerance": positive, "max_steps": integer(1), "progress": progress}
"""The rules for the arguments that every solver takes."""
