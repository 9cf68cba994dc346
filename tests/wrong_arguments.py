"""Every wrong value of every argument of the Python interface: refused with a sentence that names the argument?

Run as a program, without the tests' type checker, which would refuse most of them first. It prints what was taken, or
refused in other words than ours, one line each.
"""

import inspect
import math
import sys
from collections.abc import Callable
from typing import Any

import torch

import deepnet.calibration
import deepnet.compare
import deepnet.data
import deepnet.features
import deepnet.heads
import deepnet.measures
import deepnet.nets
import ufm.canonical
import ufm.central_path
import ufm.certificate
import ufm.condition_number
import ufm.convergence
import ufm.critical_points
import ufm.deep
import ufm.factors
import ufm.focal_window
import ufm.grid
import ufm.hessian
import ufm.imbalance
import ufm.loss_properties
import ufm.losses
import ufm.minimise
import ufm.model_choice
import ufm.multi_label_prediction
import ufm.newton
import ufm.orbit
import ufm.outcomes
import ufm.own_loss
import ufm.pick_all_labels
import ufm.prediction
import ufm.problem
import ufm.relabelling
import ufm.softmax_codes
import ufm.sphere_prediction
import ufm.spheres
import ufm.starts
import ufm.symmetric_starts
import ufm.units
from ufm.errors import RequestError

CE = ufm.losses.CrossEntropy
PROBLEM = ufm.problem.Problem(CE(), 3, 3, 2, 5e-3, 5e-3, 0.01)
IMBALANCED = ufm.problem.Problem(CE(), 3, 3, 1, 0.1, 0.1, sizes=(2, 1, 1))
PICK_ALL, SIZES = ufm.pick_all_labels.all_sets(3, (2, 1))
MULTILABEL = ufm.problem.Problem(PICK_ALL, 3, 3, 1, 5e-3, 5e-3, sizes=SIZES)
SPHERES = ufm.spheres.SphereProblem(CE(), 3, 3, 1, temperature=2.0)
X = ufm.starts.normal_starts(PROBLEM.size, 0, 0, 2)
Y = ufm.starts.normal_starts(MULTILABEL.size, 0, 0, 2)
H, LABELS, W = torch.randn(6, 4).double(), torch.arange(6) % 3, torch.randn(3, 4).double()
READING = deepnet.compare.Reading(**dict.fromkeys(inspect.signature(deepnet.compare.Reading).parameters, 1.0))
CODE = torch.nn.functional.normalize(W, dim=-1)
LAYER = deepnet.features.LastLayer(H, LABELS, W, torch.zeros(3).double())


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


RIGHT: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (ufm.problem.Problem, {"loss": CE(), "K": 3, "d": 3, "n": 2, "decay_W": 0.1, "decay_H": 0.1, "decay_b": 0.0}),
    (ufm.problem.Problem, {"loss": CE(), "K": 3, "d": 3, "n": 2, "decay_W": 0.1, "decay_H": 0.1, "sizes": (1, 1, 2)}),
    (
        ufm.deep.DeepProblem,
        {
            "loss": CE(),
            "K": 3,
            "d": 3,
            "n": 2,
            "decay_W": 0.1,
            "decay_H": 0.1,
            "decay_b": 0.0,
            "inner": (0.1,),
            "is_rectified": False,
        },
    ),
    (ufm.spheres.SphereProblem, {"loss": CE(), "K": 3, "d": 3, "n": 2, "temperature": 2.0}),
    (ufm.losses.LabelSmoothing, {"alpha": 0.1}),
    (ufm.losses.Focal, {"gamma": 2.0}),
    (ufm.losses.SquaredError, {"rescale": 2.0, "convention": "mean"}),
    (ufm.losses.make_loss, {"spec": {"name": "ce"}}),
    (ufm.losses.parameters_of, {"loss": CE()}),
    (ufm.own_loss.loss_of, {"spec": {"name": "ce"}}),
    (ufm.own_loss.full_spec, {"spec": {"name": "ce"}}),
    (ufm.own_loss.check_loss, {"loss": CE(), "K": 3}),
    (ufm.loss_properties.properties, {"loss": CE(), "K": 3}),
    (ufm.loss_properties.on_ray, {"loss": CE(), "K": 3, "margin": torch.ones(2).double()}),
    (ufm.pick_all_labels.PickAllLabels, {"sets": ((0,), (1, 2))}),
    (ufm.pick_all_labels.all_sets, {"K": 3, "multiplicity": (2, 1)}),
    (ufm.multi_label_prediction.counts_of, {"problem": MULTILABEL}),
    (ufm.multi_label_prediction.multi_label_target, {"problem": MULTILABEL}),
    (ufm.multi_label_prediction.tag_wise_residual, {"problem": MULTILABEL, "x": Y}),
    (ufm.multi_label_prediction.tag_wise_averages, {"K": 3, "counts": {1: 2}, "decay_W": 0.1, "decay_H": 0.1}),
    (ufm.prediction.predict, {"problem": PROBLEM}),
    (ufm.prediction.balanced_target, {"problem": PROBLEM}),
    (ufm.prediction.phase_boundaries, {"problem": PROBLEM}),
    (ufm.prediction.predicted_point, {"problem": PROBLEM, "prediction": ufm.prediction.predict(PROBLEM)}),
    (ufm.prediction.cross_entropy_of_margin, {"a": 1.0, "K": 3}),
    (ufm.prediction.focal_of_margin, {"a": 1.0, "K": 3, "gamma": 2.0}),
    (ufm.prediction.focal_slope, {"a": 1.0, "K": 3, "gamma": 2.0}),
    (ufm.prediction.focal_curvature_sign, {"a": 1.0, "K": 3, "gamma": 2.0}),
    (ufm.model_choice.target_of, {"model": PROBLEM}),
    (ufm.imbalance.imbalanced_target, {"problem": IMBALANCED}),
    (ufm.imbalance.class_sizes, {"problem": IMBALANCED}),
    (ufm.imbalance.collapsing_sizes, {"problem": IMBALANCED}),
    (ufm.sphere_prediction.sphere_target, {"problem": SPHERES}),
    (ufm.starts.normal_starts, {"size": 4, "seed": 0, "first": 0, "count": 2, "device": "cpu"}),
    (ufm.symmetric_starts.symmetrised, {"model": PROBLEM, "x": X, "generator": _generator()}),
    (
        ufm.minimise.minimise,
        {
            "objective": PROBLEM.value_and_gradient,
            "starts": X,
            "tolerance": 1e-3,
            "max_steps": 9,
            "progress": None,
            "profile": None,
            "takes_rows": False,
        },
    ),
    (
        ufm.newton.find_critical_points,
        {"problem": PROBLEM, "starts": X, "tolerance": 1e-3, "max_steps": 2, "progress": None},
    ),
    (ufm.critical_points.classify, {"problem": PROBLEM, "x": X}),
    (ufm.certificate.certify, {"problem": PROBLEM, "x": X}),
    (ufm.hessian.dense_hessian, {"problem": PROBLEM, "x": X}),
    (ufm.hessian.smallest_eigenpair, {"problem": PROBLEM, "x": X, "tolerance": 1e-9, "progress": None}),
    (ufm.hessian.lanczos, {"operator": PROBLEM.hessian(X), "like": X, "tolerance": 1e-3, "keeps_basis": False}),
    (ufm.condition_number.condition_number, {"problem": PROBLEM, "x": X}),
    (ufm.convergence.convergence, {"model": PROBLEM, "predicted": 0.1, "starts": X, "tolerance": 1e-3, "max_steps": 3}),
    (ufm.outcomes.end_states, {"problem": PROBLEM, "x": X}),
    (ufm.units.own_units, {"model": PROBLEM}),
    (ufm.factors.factors_of, {"model": PROBLEM, "x": X}),
    (ufm.factors.widened, {"small": PROBLEM, "model": PROBLEM, "x": X}),
    (ufm.factors.with_dimension, {"model": PROBLEM, "d": 3}),
    (ufm.canonical.largest_rank, {"model": PROBLEM}),
    (ufm.canonical.polished, {"model": PROBLEM, "y": X}),
    (ufm.canonical.canonical, {"model": PROBLEM, "x": X[0]}),
    (ufm.canonical.ranks, {"model": PROBLEM, "x": X}),
    (ufm.orbit.expected_nullity, {"model": PROBLEM, "rank": 2, "x": X[0]}),
    (ufm.orbit.together, {"model": PROBLEM, "x": X[0]}),
    (ufm.orbit.geometry, {"model": PROBLEM, "x": X[0]}),
    (ufm.relabelling.label_sets, {"model": PROBLEM}),
    (ufm.softmax_codes.exact_margin, {"K": 4, "d": 3}),
    (ufm.softmax_codes.packing_margin, {"K": 4, "d": 3}),
    (ufm.softmax_codes.find_softmax_code, {"K": 3, "d": 2, "starts": 1, "seed": 0}),
    (ufm.softmax_codes.least_margin, {"W": W, "H": W}),
    (ufm.softmax_codes.polish, {"W": CODE, "H": CODE}),
    (ufm.focal_window.ray_thresholds, {"K": 4, "gamma": 2.0}),
    (ufm.focal_window.TwoLevels, {"K": 4, "gamma": 2.0, "decay_b": 0.0}),
    (
        ufm.central_path.split_along_central_path,
        {
            "H": H,
            "labels": LABELS,
            "W": W,
            "b": None,
            "decay_W": 0.1,
            "decay_b": 0.0,
            "loss": ufm.losses.SquaredError(),
        },
    ),
    (ufm.grid.axis, {"field": "gamma", "text": "0:1:3"}),
    *[
        (method, {"x": X})
        for method in (
            PROBLEM.value,
            PROBLEM.value_and_gradient,
            PROBLEM.unpack,
            PROBLEM.logits,
            PROBLEM.hessian,
            PROBLEM.logit_gradient,
        )
    ],
    (
        deepnet.data.Selection,
        {"validation": 0.1, "per_class": 3, "test_per_class": 3, "seed": 0, "imbalance": 2.0, "multilabel": 1},
    ),
    (deepnet.compare.Sizes, {"K": 3, "n": 2, "d": 3, "decay": 0.1}),
    (deepnet.compare.compare, {"reading": READING, "loss": CE(), "sizes": deepnet.compare.Sizes(3, 2, 3, 0.01)}),
    (
        deepnet.compare.calibrated_problem,
        {"reading": READING, "loss": CE(), "sizes": deepnet.compare.Sizes(3, 2, 3, 0.01)},
    ),
    (deepnet.compare.bias_decay, {"decay": 0.1, "reading": READING}),
    (
        deepnet.nets.make_net,
        {"name": "mlp", "width": 0.02, "classes": 3, "shape": (1, 2, 2), "generator": _generator(), "head": None},
    ),
    (deepnet.heads.make_head, {"spec": {"name": "linear"}, "size": 4, "classes": 3, "generator": _generator()}),
    (deepnet.data.load, {"name": "digits", "folder": "", "selection": deepnet.data.Selection(), "download": False}),
    (deepnet.measures.measures_of, {"loss": CE(), "decay": 0.1}),
    (deepnet.measures.measure, {"layer": LAYER, "loss": CE()}),
    (deepnet.measures.central_path, {"layer": LAYER, "loss": ufm.losses.SquaredError(), "decay": 0.1}),
    (deepnet.measures.top_accuracy, {"logits": H, "labels": LABELS, "k": 2}),
    (deepnet.measures.least_margin, {"logits": H, "labels": LABELS}),
    *[
        (function, {"logits": H, "labels": LABELS})
        for function in (deepnet.calibration.negative_log_likelihood, deepnet.calibration.fit_temperature)
    ],
    (deepnet.calibration.reliability, {"logits": H, "labels": LABELS, "bins": 3}),
    (deepnet.calibration.expected_calibration_error, {"logits": H, "labels": LABELS, "bins": 3}),
]
"""Every function with right arguments."""

WRONG: dict[str, Any] = {
    "None": None,
    "text": "x",
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "True": True,
    "nan": math.nan,
    "inf": math.inf,
    "list": [1.5, "x"],
    "class": CE,
    "object": object(),
    "short tensor": torch.ones(7, 5, dtype=torch.float64),
    "scalar tensor": torch.tensor(1.0, dtype=torch.float64),
    "float32": torch.ones(2, PROBLEM.size),
    "integers": torch.ones(2, PROBLEM.size, dtype=torch.int64),
    "empty": torch.empty(0),
}
"""By name."""

NUMBERS = {"0", "-1", "1.5"}
OTHER_NAMES = {"text": ("--grid.",), "name": ("--net", "--data"), "starts": ("`x`",), "like": ("`directions`",)}
"""What a sentence may name instead: an option of the command line, or what the function handed in calls it."""


def _may_take(argument: str, value: str, right: Any) -> str:
    """Why a value may be taken after all ('' if it may not)."""
    if value == "None" and (right is None or argument in OPTIONAL):
        return "left out"
    if value in NUMBERS and argument in REALS:
        return "a number"
    if value in ("0", "1.5") and argument in AT_LEAST_ZERO:
        return "a number"
    if value == "True" and argument in TRUTHS:
        return "a truth value"
    if value == "text" and argument in TEXTS:
        return "text"
    return ""


OPTIONAL = {"decay_b", "sizes", "per_class", "test_per_class", "b", "head", "progress", "profile"}
REALS = {"a", "predicted"}
AT_LEAST_ZERO = {"decay_b", "gamma", "decay_W", "decay_H", "decay", "tolerance", "temperature", "alpha", "rescale"}
AT_LEAST_ZERO |= {"width", "imbalance", "validation", "seed", "first", "rank"}
TRUTHS = {"takes_rows", "keeps_basis", "is_rectified", "download"}
FUNCTIONS = {"progress", "objective", "operator"}
TEXTS = {"folder", "field"}


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """By name, but for what is chosen by the type of the first argument, which Python wants by place."""
    function(*arguments.values()) if hasattr(function, "dispatch") else function(**arguments)


def complaints() -> list[str]:
    """One line for every wrong value that was taken, or refused in other words."""
    lines = []
    for function, right in RIGHT:
        name = getattr(function, "__qualname__", str(function))
        _call(function, right)
        for argument, given in right.items():
            for word, value in WRONG.items():
                try:
                    _call(function, right | {argument: value})
                except RequestError as error:
                    names = (argument, argument.replace("_", "-"), *OTHER_NAMES.get(argument, ()))
                    if not any(each in str(error) for each in names) or "\n" in str(error):
                        lines.append(f"{name}({argument}={word}): does not name it: {error}")
                except Exception as error:
                    if word == "class" and argument in FUNCTIONS:  # it can be called; what it raises is its own
                        continue
                    lines.append(f"{name}({argument}={word}): {type(error).__name__}: {str(error)[:100]}")
                else:
                    if not _may_take(argument, word, given):
                        lines.append(f"{name}({argument}={word}): taken")
    return lines


if __name__ == "__main__":
    found = complaints()
    print("\n".join(found))
    sys.exit(bool(found))
