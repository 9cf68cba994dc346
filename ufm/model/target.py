"""What theory says the minimum of a model is: a value, a point that attains it, and how far that is proved."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ufm.errors import RequestError


class NoPrediction(RequestError):
    """Theory knows no minimum of this model; it can be minimised, but there is nothing to compare the result with.

    Attributes:
        known: objectives of known points by their names; the minimum is at most the lowest of them.
    """

    def __init__(self, why: str, known: dict[str, float]) -> None:
        super().__init__(why)
        self.known = known


Residual = Callable[[Any, Float[Tensor, "S P"]], Float[Tensor, " S"]]
"""Maps a model and points (S, P) to one number per point, which is zero where the theory holds."""


@dataclass(frozen=True)
class Target:
    """The minimum that theory predicts for one model.

    Attributes:
        value: the objective.
        point: a minimiser; where all others have the same logits, norms and metrics of collapse, end points are held
            against these.
        margin: the scale of its logits.
        is_proved_global: whether no point of the model lies below.
        facts: further numbers that the theory gives, by name, for the record.
        is_benign: whether it is to be checked that every critical point that is not a minimiser is a strict saddle:
            theory says so, or, where a note says that it does not reach so far, it is not known to fail.
        other_minima: objectives of the other local minima that theory predicts; None where it makes no statement.
        notes: sentences that a reader needs.
        residuals: by name, how far points of the model, in any units, are from what else the theory says of minimisers.
    """

    value: float
    point: Float[Tensor, " P"]
    margin: float
    is_proved_global: bool
    facts: dict[str, Any]
    is_benign: bool = True
    other_minima: tuple[float, ...] | None = ()
    notes: tuple[str, ...] = field(default=())
    residuals: dict[str, Residual] = field(default_factory=dict)

    @property
    def is_zero(self) -> bool:
        """Whether the predicted minimiser is the zero solution, whose logits are the bias alone."""
        return self.margin == 0
