"""Which Morse relations (`ufm.morse`) hold for the atlas of a model, and why none is known for the others.

They carry over to unequal classes and several labels under a softmax loss: the objective is as coercive, the domain as
contractible, critical orbits are O(d)/O(d - r) as before, and a row of rank r is critical in every d >= r, its index
rising by `escapes` with each column (`ufm.orbit`); none of this asks which relabellings there are.
"""

from collections.abc import Sequence

import torch

from ufm import morse
from ufm.critical_points import ZERO_EIGENVALUE
from ufm.deep import DeepProblem
from ufm.losses import SquaredError
from ufm.model import Model
from ufm.model_row import ModelRow
from ufm.problem import Problem
from ufm.spheres import SphereProblem


def verdicts(model: Model, rows: Sequence[ModelRow], dimensions: Sequence[int]) -> list[morse.Verdict]:
    """The relations in several dimensions; empty where there are none."""
    if why_none(model, rows) is not None or not isinstance(model, Problem):
        return []
    return morse.check_all([_critical_set(model, row) for row in rows], dimensions)


def why_none(model: Model, rows: Sequence[ModelRow]) -> str | None:
    """Why no Morse relation is held against the rows; None where they are."""
    match model:
        case SphereProblem():
            return "on products of spheres no relation is derived here, and some critical sets are no orbits"
        case DeepProblem():
            return "with hidden layers no relation is derived here"
        case Problem(loss=SquaredError()):
            return "for squared error with unequal classes no relation is derived here"
    return "a row is degenerate" if any(row.is_degenerate for row in rows) else None


def _critical_set(model: Problem, row: ModelRow) -> morse.CriticalSet:
    radius = float(model.radius) * (1 + ZERO_EIGENVALUE)
    escapes = int((torch.linalg.svdvals(model.logit_gradient(row.x)) > radius).sum())
    return morse.CriticalSet(row.rank, row.index - (model.d - row.rank) * escapes, escapes, row.copies)
