"""Measures and statements that several experiments share, beyond the metrics of every run."""

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from deepnet.experiments.run import Run
from deepnet.experiments.statement import Runs, Statement

LEVELS = {"nc1_quotient": 0.02, "nc1_trace": 0.05}
"""Levels at which epochs until collapse are compared: of tr(S_W S_B^+)/K, as in the papers, and of tr S_W / tr S_B."""
FORMS = {"nc1_quotient": "quotient form", "nc1_trace": "trace form"}


def ratio_of_first_epochs(run: Run, other: Run, form: str) -> float:
    """The epoch at which a run's NC1 is first measured at its level, over that of another run.

    If only the other never gets there, its last epoch stands for it: then the ratio is smaller than what is returned,
    and a claim that it is below 1 is not made easier. inf if only the run never gets there, nan if neither does: no
    claim is decided by them.
    """
    first, against = (each.first_epoch(form, LEVELS[form]) for each in (run, other))
    if math.isinf(against):
        return math.nan if math.isinf(first) else first / other.epochs
    return first / against


def collapses_sooner(name: str, other: str) -> tuple[Statement, ...]:
    """The statement that the run `name` takes fewer epochs than the run `other` to each level of NC1."""

    def ratio(runs: Runs, form: str) -> float:
        return ratio_of_first_epochs(runs[name], runs[other], form)

    return tuple(
        Statement(
            f"epochs until NC1 ({FORMS[form]}) <= {level}, {name} over {other}: below 1".replace("_", " "),
            partial(ratio, form=form),
            high=1.0,
            strict=True,
        )
        for form, level in LEVELS.items()
    )


def cosines_between_rows(rows: Float[Tensor, "m d"]) -> Float[Tensor, " pairs"]:
    """The cosines of all ordered pairs of different rows."""
    unit = rows / rows.norm(dim=-1, keepdim=True)
    return (unit @ unit.mT)[~torch.eye(len(rows), dtype=torch.bool)]


def distance_from_simplex(rows: Float[Tensor, "m d"]) -> float:
    """The largest |cos + 1/(m - 1)| over the pairs (their mean is -1/(m - 1) for any unit rows whose sum is 0)."""
    return float((cosines_between_rows(rows) + 1 / (len(rows) - 1)).abs().max())


def share_of_top(matrix: Float[Tensor, "m d"], rank: int) -> float:
    """The share of the squared Frobenius norm in the largest `rank` singular values."""
    squares = torch.linalg.svdvals(matrix).square()
    return float(squares[:rank].sum() / squares.sum())
