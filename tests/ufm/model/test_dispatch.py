"""Losses and models say what they are: which one it is, is asked in one place."""

import ast
from pathlib import Path

from ufm.model.deep import DeepProblem
from ufm.model.losses import LOSSES, SoftMarginLoss
from ufm.model.own_loss import OwnLoss
from ufm.model.pick_all_labels import PickAllLabels
from ufm.model.problem import Problem
from ufm.model.spheres import SphereProblem

ROOT = Path(__file__).parents[3]
KINDS = (*LOSSES.values(), SoftMarginLoss, PickAllLabels, OwnLoss, Problem, DeepProblem, SphereProblem)
NAMES = {kind.__name__ for kind in KINDS}
THE_ONE = "ufm/theory/model_choice.py"


def asked_in(source: str) -> set[str]:
    """The kinds that `isinstance` or a `case` asks for."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            found |= {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
        if isinstance(node, ast.MatchClass):
            found |= {part.id for part in ast.walk(node.cls) if isinstance(part, ast.Name)}
    return found & NAMES


def test_which_loss_or_model_it_is_is_asked_in_one_place():
    paths = [path for package in ("ufm", "deepnet") for path in (ROOT / package).glob("**/*.py")]
    found = {str(path.relative_to(ROOT)) for path in paths if asked_in(path.read_text())}
    assert found == {THE_ONE}


def test_such_questions_are_found():
    assert asked_in("x = isinstance(loss, Focal | CrossEntropy)") == {"Focal", "CrossEntropy"}
    assert asked_in("match model:\n    case Problem(is_balanced=True):\n        pass") == {"Problem"}
    assert not asked_in("x = isinstance(value, Tensor)\ny = Problem(loss)")
