"""Every wrong value of every argument of the Python interface: refused with a sentence that names the argument?

Run as a program, without the tests' type checker, which would refuse most of them first. It prints what was taken, or
refused in other words than ours, one line each.
"""

import dataclasses
import inspect
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import torch

import deepnet
import theory_checks
import ufm.collapse
from deepnet.comparison import compare, layer_norm, price
from deepnet.data import load
from deepnet.measures import calibration, features, measure
from deepnet.nets import heads, nets
from deepnet.nn import criteria, etf, replace
from ufm import plot, simplex
from ufm.atlas import atlas, canonical, descent, orbit, relabelling, symmetric_starts
from ufm.cli import grid
from ufm.collapse import FeatureStats, between, classifier, margin, metrics, outside, within
from ufm.curvature import collapsed_spectrum, hessian_lipschitz, orbit_bound
from ufm.errors import RequestError
from ufm.model import deep, factors, losses, own_loss, pick_all_labels, problem, spheres, starts
from ufm.scan import outcomes
from ufm.solve import condition_number, critical_points, end_points, hessian, minimise, newton, units
from ufm.theory import (
    central_path,
    certificate,
    focal_window,
    imbalance,
    landscape,
    loss_properties,
    margin_loss,
    model_choice,
    multi_label_prediction,
    prediction,
    softmax_codes,
    sphere_prediction,
)
from ufm.verify import convergence

CE = losses.CrossEntropy
PROBLEM = problem.Problem(CE(), 3, 3, 2, 5e-3, 5e-3, 0.01)
IMBALANCED = problem.Problem(CE(), 3, 3, 1, 0.1, 0.1, sizes=(2, 1, 1))
PICK_ALL, SIZES = pick_all_labels.all_sets(3, (2, 1))
MULTILABEL = problem.Problem(PICK_ALL, 3, 3, 1, 5e-3, 5e-3, sizes=SIZES)
SPHERES = spheres.SphereProblem(CE(), 3, 3, 1, temperature=2.0)
DEEP = deep.DeepProblem(CE(), 3, 3, 1, 0.1, 0.1, 0.1, (0.1,))
OF_POINTS = ("value", "value_and_gradient", "hessian", "unpack", "factorised", "logits", "before_last", "spanning")
OF_POINTS += ("normalised", "penalty", "logit_gradient", "logit_hessian", "check_batch")
X = starts.normal_starts(PROBLEM.size, 0, 0, 2)
Y = starts.normal_starts(MULTILABEL.size, 0, 0, 2)
H, LABELS, W = torch.randn(6, 4).double(), torch.arange(6) % 3, torch.randn(3, 4).double()
READING = compare.Reading(**dict.fromkeys(inspect.signature(compare.Reading).parameters, 1.0))
CODE = torch.nn.functional.normalize(W, dim=-1)
LAYER = features.LastLayer(H, LABELS, W, torch.zeros(3).double())
STATS = FeatureStats.from_features(H, LABELS, W)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


NET = torch.nn.Sequential(torch.nn.Linear(4, 3))
BATCHES = [(H.float(), LABELS)]
METRIC = deepnet.NeuralCollapse(3)
SPLIT = deepnet.Split(torch.arange(72, dtype=torch.uint8).view(6, 1, 3, 4), LABELS)
DATA = deepnet.Data({"train": SPLIT, "test": SPLIT}, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 3)
SETTING = deepnet.TrainSetting(
    data="digits", net="mlp", width=1 / 16, per_class=2, test_per_class=2, epochs=1, batch_size=2
)
TRAINING = deepnet.begin_on(DATA, SETTING)
PAIR = (H, LABELS)
FOLDER = tempfile.TemporaryDirectory()
FIELDS = {field.name: getattr(SETTING, field.name) for field in dataclasses.fields(SETTING)}
COMPARED = {"loss": "ce", "decay": 0.1, "decay_H": None, "decay_b": None}


RIGHT: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (problem.Problem, {"loss": CE(), "K": 3, "d": 3, "n": 2, "decay_W": 0.1, "decay_H": 0.1, "decay_b": 0.0}),
    (
        problem.Problem,
        {"loss": CE(), "K": 3, "d": 3, "n": 2, "decay_W": 0.1, "decay_H": 0.1, "sizes": (1, 1, 2)},
    ),
    (
        deep.DeepProblem,
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
            "sizes": None,
        },
    ),
    (spheres.SphereProblem, {"loss": CE(), "K": 3, "d": 3, "n": 2, "temperature": 2.0, "sizes": None}),
    (losses.LabelSmoothing, {"alpha": 0.1}),
    (losses.Focal, {"gamma": 2.0}),
    (losses.SquaredError, {"rescale": 2.0, "convention": "mean"}),
    (losses.make_loss, {"spec": {"name": "ce"}}),
    (losses.parameters_of, {"loss": CE()}),
    (own_loss.loss_of, {"spec": {"name": "ce"}}),
    (own_loss.full_spec, {"spec": {"name": "ce"}}),
    (own_loss.check_loss, {"loss": CE(), "K": 3}),
    (loss_properties.properties, {"loss": CE(), "K": 3}),
    (loss_properties.on_ray, {"loss": CE(), "K": 3, "margin": torch.ones(2).double()}),
    (pick_all_labels.PickAllLabels, {"sets": ((0,), (1, 2))}),
    (pick_all_labels.all_sets, {"K": 3, "multiplicity": (2, 1)}),
    (multi_label_prediction.counts_of, {"problem": MULTILABEL}),
    (multi_label_prediction.multi_label_target, {"problem": MULTILABEL}),
    (multi_label_prediction.tag_wise_residual, {"problem": MULTILABEL, "x": Y}),
    (multi_label_prediction.tag_wise_averages, {"K": 3, "counts": {1: 2}, "decay_W": 0.1, "decay_H": 0.1}),
    (prediction.predict, {"problem": PROBLEM}),
    (prediction.balanced_target, {"problem": PROBLEM}),
    (prediction.phase_boundaries, {"problem": PROBLEM}),
    (prediction.predicted_point, {"problem": PROBLEM, "prediction": prediction.predict(PROBLEM)}),
    (prediction.cross_entropy_of_margin, {"a": 1.0, "K": 3}),
    (prediction.focal_of_margin, {"a": 1.0, "K": 3, "gamma": 2.0}),
    (prediction.focal_slope, {"a": 1.0, "K": 3, "gamma": 2.0}),
    (prediction.focal_curvature_sign, {"a": 1.0, "K": 3, "gamma": 2.0}),
    (prediction.focal_relative_fall, {"a": 1.0, "K": 3, "gamma": 2.0}),
    *[
        (function, {"problem": PROBLEM, "gamma": 2.0})
        for function in (
            prediction.focal_benign_bound,
            prediction.focal_slope_allowed,
            prediction.focal_zero_is_alone,
        )
    ],
    (landscape.landscape, {"problem": PROBLEM}),
    (margin_loss.margin_loss, {"loss": CE(), "K": 3}),
    (model_choice.target_of, {"model": PROBLEM}),
    (imbalance.imbalanced_target, {"problem": IMBALANCED}),
    (imbalance.class_sizes, {"problem": IMBALANCED}),
    (imbalance.collapsing_sizes, {"problem": IMBALANCED}),
    (sphere_prediction.sphere_target, {"problem": SPHERES}),
    (starts.normal_starts, {"size": 4, "seed": 0, "first": 0, "count": 2, "device": "cpu"}),
    (simplex.simplex_etf, {"K": 3, "d": 4}),
    (simplex.simplex_on_axes, {"K": 3, "d": 4}),
    (simplex.simplex_basis, {"K": 3}),
    (symmetric_starts.symmetrised, {"model": PROBLEM, "x": X, "generator": _generator()}),
    (
        minimise.minimise,
        {
            "model": PROBLEM,
            "starts": X,
            "tolerance": 1e-3,
            "max_steps": 9,
            "progress": None,
            "profile": None,
            "path": None,
        },
    ),
    (
        newton.find_critical_points,
        {"problem": PROBLEM, "starts": X, "tolerance": 1e-3, "max_steps": 2, "progress": None},
    ),
    (critical_points.classify, {"problem": PROBLEM, "x": X}),
    (certificate.certify, {"problem": PROBLEM, "x": X}),
    (orbit_bound.known_orbit, {"model": PROBLEM, "x": X[0]}),
    (collapsed_spectrum.collapsed_spectrum, {"small": PROBLEM, "y": X[0], "d": 4}),
    (collapsed_spectrum.symmetrised, {"small": PROBLEM, "y": X[0]}),
    (collapsed_spectrum.spectrum_at_zero, {"small": PROBLEM, "y": 0 * X[0]}),
    (descent.descents, {"atlas": atlas.Atlas(PROBLEM)}),
    (
        hessian_lipschitz.lipschitz,
        {
            "problem": PROBLEM,
            "bounds": hessian_lipschitz.derivative_bounds(PROBLEM.loss, 3),
            "size": hessian_lipschitz.Size(1.0, 1.0, 1.0),
            "radius": X[:, 0].abs(),
        },
    ),
    (hessian.dense_hessian, {"problem": PROBLEM, "x": X}),
    (hessian.smallest_eigenpair, {"problem": PROBLEM, "x": X, "tolerance": 1e-9, "progress": None}),
    (hessian.lanczos, {"operator": PROBLEM.hessian(X), "like": X, "tolerance": 1e-3, "keeps_basis": False}),
    (condition_number.condition_number, {"problem": PROBLEM, "x": X}),
    (
        convergence.convergence,
        {
            "units": units.own_units(PROBLEM),
            "predicted": 0.1,
            "path": end_points.Path(torch.ones(2, 4, 2, dtype=torch.float64)),
            "max_steps": 3,
        },
    ),
    (outcomes.end_states, {"problem": PROBLEM, "x": X}),
    (units.own_units, {"model": PROBLEM}),
    (factors.widened, {"small": PROBLEM, "model": PROBLEM, "x": X}),
    (factors.with_dimension, {"model": PROBLEM, "d": 3}),
    (canonical.largest_rank, {"model": PROBLEM}),
    (canonical.polished, {"model": PROBLEM, "y": X}),
    (canonical.canonical, {"model": PROBLEM, "x": X[0]}),
    (canonical.ranks, {"model": PROBLEM, "x": X}),
    (orbit.expected_nullity, {"model": PROBLEM, "rank": 2, "x": X[0]}),
    (orbit.together, {"model": PROBLEM, "x": X[0]}),
    (orbit.geometry, {"model": PROBLEM, "x": X[0]}),
    (relabelling.label_sets, {"model": PROBLEM}),
    (plot.curves, {"history": [{"nc3": 1.0}], "steps": [1.0], "ax": None}),
    (
        FeatureStats.from_features,
        {"H": H, "labels": LABELS, "W": W, "b": W[:, 0], "num_classes": 3, "ignore_index": -100, "progress": None},
    ),
    (
        FeatureStats.from_sweeps,
        {"sweep": lambda: iter([(H, LABELS)]), "W": W, "b": None, "num_classes": 3, "ignore_index": -100},
    ),
    (softmax_codes.exact_margin, {"K": 4, "d": 3}),
    (softmax_codes.packing_margin, {"K": 4, "d": 3}),
    (softmax_codes.find_softmax_code, {"K": 3, "d": 2, "starts": 1, "seed": 0}),
    (softmax_codes.annealed_codes, {"K": 3, "d": 2, "starts": 1, "seed": 0}),
    (softmax_codes.sum_of_simplices, {"K": 4, "d": 2}),
    (softmax_codes.least_margin, {"W": W, "H": W}),
    (softmax_codes.polish, {"W": CODE, "H": CODE}),
    (focal_window.ray_thresholds, {"K": 4, "gamma": 2.0}),
    (focal_window.TwoLevels, {"K": 4, "gamma": 2.0, "decay_b": 0.0}),
    (
        central_path.split_along_central_path,
        {
            "H": H,
            "labels": LABELS,
            "W": W,
            "b": None,
            "decay_W": 0.1,
            "decay_b": 0.0,
            "loss": losses.SquaredError(),
        },
    ),
    *[
        (function, {"stats": STATS})
        for function in (
            metrics.all_metrics,
            metrics.collapse_metrics,
            within.nc1_trace,
            within.nc1_pinv,
            within.nc1_cdnv,
            classifier.nc3_self_duality,
            classifier.nc3_etf_distance,
            classifier.bias_residual,
        )
    ],
    *[(function, {"train": STATS, "H": H}) for function in (outside.nc4_held_out, outside.nc5, outside.neco_score)],
    *[(function, {"M": W}) for function in (between.nc2_equinorm, between.nc2_equiangular, between.nc2_etf)],
    (between.nc2_welch_gap, {"M": W.mT}),
    (margin.gnc2, {"rows": W}),
    (grid.axis, {"field": "gamma", "text": "0:1:3"}),
    *[
        (getattr(model, name), {"x": torch.ones(2, model.size, dtype=torch.float64)})
        for model in (PROBLEM, DEEP, SPHERES)
        for name in OF_POINTS
        if hasattr(model, name)
    ],
    *[
        (getattr(loss, name), {"logits": H[:, :3], "labels": LABELS})
        for loss in (CE(), losses.LabelSmoothing(), losses.SquaredError(), PICK_ALL)
        for name in ("__call__", "value_and_gradient", "hessian")
    ],
    *[
        (loss.conjugate, {"dual": H[:, :3], "labels": LABELS})
        for loss in (CE(), losses.LabelSmoothing(), losses.SquaredError(), PICK_ALL)
    ],
    (critical_points.classify(PROBLEM, X).plot, {"ax": None}),
    (FeatureStats, vars(STATS)),
    (
        load.Selection,
        {
            "validation": 0.1,
            "per_class": 3,
            "test_per_class": 3,
            "seed": 0,
            "imbalance": 2.0,
            "multilabel": 1,
            "image_size": None,
        },
    ),
    (compare.Sizes, {"K": 3, "n": 2, "d": 3, "decay": 0.1}),
    (
        compare.compare,
        {"reading": READING, "loss": CE(), "sizes": compare.Sizes(3, 2, 3, 0.01)},
    ),
    (
        compare.calibrated_problem,
        {"reading": READING, "loss": CE(), "sizes": compare.Sizes(3, 2, 3, 0.01)},
    ),
    (compare.bias_decay, {"decay": 0.1, "reading": READING}),
    *[
        (function, {"loss": CE(), "sizes": compare.Sizes(3, 2, 3, 0.01)})
        for function in (layer_norm.in_ball, layer_norm.least_with_scale)
    ],
    *[
        (function, {"source": price.FeatureSource(1, True), "loss": CE(), "sizes": compare.Sizes(3, 2, 3, 0.01)})
        for function in (price.derived_prediction, price.lower_bound)
    ],
    (
        nets.make_net,
        {"name": "mlp", "width": 0.02, "classes": 3, "shape": (1, 2, 2), "generator": _generator(), "head": None},
    ),
    (heads.make_head, {"spec": {"name": "linear"}, "size": 4, "classes": 3, "generator": _generator()}),
    (
        load.load,
        {"name": "digits", "folder": "", "selection": load.Selection(), "download": False},
    ),
    (
        etf.ETFClassifier,
        {
            "in_features": 4,
            "num_classes": 3,
            "capacity": 4,
            "scale": 2.0,
            "normalize": False,
            "seed": 0,
            "device": None,
            "dtype": None,
        },
    ),
    (etf.ETFClassifier(4, 3).expand, {"num_classes": 5}),
    (criteria.Criterion, {"loss": CE(), "reduction": "mean"}),
    (criteria.Criterion(CE()).forward, {"logits": H, "labels": LABELS}),
    (criteria.DotRegressionLoss, {"scale": 2.0, "reduction": "mean"}),
    (replace.replace_head, {"model": torch.nn.Sequential(torch.nn.Linear(4, 3)), "head": etf.ETFClassifier(4, 3)}),
    (measure.measures_of, {"loss": CE(), "decay": 0.1}),
    (measure.measure, {"layer": LAYER, "loss": CE()}),
    (
        deepnet.watch,
        {"model": NET, "loader": BATCHES, "every": 1, "layer": None, "log": None, "folder": None},
    ),
    (
        deepnet.evaluate,
        {
            "model": NET,
            "loader": BATCHES,
            "layers": "auto",
            "test": None,
            "outside": None,
            "num_classes": 3,
            "ignore_index": -100,
            "progress": None,
        },
    ),
    (deepnet.compare, {"features": H, "labels": LABELS, "weight": W, "bias": None, **COMPARED}),
    (deepnet.compare, {"reading": READING, "loss": CE(), "sizes": compare.Sizes(3, 2, 3, 0.01)}),
    (deepnet.NeuralCollapse, {"num_classes": 3, "num_features": 4, "ignore_index": -100}),
    (METRIC.update, {"features": H, "labels": LABELS, "weight": W, "bias": None}),
    (METRIC.merge_state, {"incoming_state": METRIC}),
    (deepnet.TrainSetting, FIELDS),
    (deepnet.Data, {"splits": DATA.splits, "mean": DATA.mean, "std": DATA.std, "classes": 3, "tags": None}),
    (deepnet.LastLayer, vars(LAYER)),
    (DATA.to, {"device": torch.device("cpu")}),
    (deepnet.Network, {"body": TRAINING.net.body, "classifier": TRAINING.net.classifier}),
    (deepnet.Reading, vars(READING)),
    (deepnet.Reading.from_measures, {"measures": vars(READING)}),
    (READING.stationarity, {"decay": 0.1}),
    (READING.balance, {"decay": 0.1}),
    (deepnet.begin, {"setting": SETTING}),
    (deepnet.begin_on, {"data": DATA, "setting": SETTING}),
    (
        deepnet.train,
        {"training": TRAINING, "folder": Path(FOLDER.name), "on_step": lambda _: None, "on_epoch": lambda _: None},
    ),
    (deepnet.last_layer, {"net": TRAINING.net, "data": DATA, "split": SPLIT, "precision": "fp32"}),
    (deepnet.similarities, {"layers": [LAYER, LAYER]}),
    (deepnet.calibration, {"fitted_on": PAIR, "measured_on": PAIR, "bins": 3}),
    (theory_checks.check, {"name": "imbalanced_squared_error_drops_small_classes"}),
    (measure.central_path, {"layer": LAYER, "loss": losses.SquaredError(), "decay": 0.1}),
    (measure.top_accuracy, {"logits": H, "labels": LABELS, "k": 2}),
    (measure.least_margin, {"logits": H, "labels": LABELS}),
    *[
        (function, {"logits": H, "labels": LABELS})
        for function in (
            calibration.negative_log_likelihood,
            calibration.fit_temperature,
        )
    ],
    (calibration.reliability, {"logits": H, "labels": LABELS, "bins": 3}),
    (calibration.expected_calibration_error, {"logits": H, "labels": LABELS, "bins": 3}),
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
    "beyond float64": 10**400,
    "list": [1.5, "x"],
    "class": CE,
    "object": object(),
    "short tensor": torch.ones(7, 5, dtype=torch.float64),
    "scalar tensor": torch.tensor(1.0, dtype=torch.float64),
    "float32": torch.ones(2, PROBLEM.size),
    "integers": torch.ones(2, PROBLEM.size, dtype=torch.int64),
    "empty": torch.empty(0),
    "no class": torch.full((6,), 9),
    "narrow": torch.zeros(6, dtype=torch.int32),
    "no entries": [],
    "dict": {},
}
"""By name."""

NUMBERS = {"0", "-1", "1.5"}
MAY_TAKE: dict[str, tuple[set[str], set[str]]] = {
    "a number": (NUMBERS, {"a", "predicted", "ETFClassifier.scale"}),
    "a number from 0 on": (
        {"0", "1.5"},
        {"decay_b", "gamma", "decay_W", "decay_H", "decay", "tolerance", "temperature", "alpha", "rescale", "width"}
        | {"imbalance", "validation", "seed", "first", "rank", "scale", "lr", "momentum", "clip", "terminal"}
        | {"terminal_residual"},
    ),
    "a number that may be undefined": (NUMBERS | {"nan", "inf"}, {f"Reading.{name}" for name in vars(READING)}),
    "an integer of any size": ({"0", "-1"}, {"ignore_index"}),
    "a matrix": ({"short tensor", "float32"}, {"M", "rows"}),
    "a number as a tensor": (
        {"scalar tensor"},
        {f"FeatureStats.{name}" for name in ("within_trace", "nearest_mean_disagreement", "mean_square_norm")},
    ),
    "labels of any type of integers": ({"narrow"}, {"labels"}),
    "looked up where it is used": (
        {"text", "dict", "no class"},
        {"folder", "field", "LastLayer.labels", *(f"TrainSetting.{name}" for name in ("data", "net", "device"))}
        | {"TrainSetting.loss", "TrainSetting.head"},
    ),
    "a function": ({"class"}, {"on_step", "on_epoch"}),
    "none at all": ({"no entries", "dict"}, {"inner", "layers", "counts"}),
    "read when an epoch has ended": ({"list", "no entries"}, {"watch.loader"}),
}
"""Why a value may be taken after all: words of `WRONG`, and arguments, of all functions or of one."""
OWN_ERRORS = {"class": {"progress", "operator", "sweep"}, "list": {"test", "outside"}}
"""What may raise anything: a class is a function, and is called; a list may be batches, which a model is given."""
OTHER_NAMES = {
    "logits": ("`labels`",),
    "text": ("--grid.",),
    "spec": ("`--loss`",),
    "starts": ("`x`",),
    "like": ("`directions`",),
    "dual": ("`logits`", "`labels`"),
    "features": ("`weight`",),
    "H": ("`W`",),
    "reading": ("`sizes`",),
    "fitted_on": ("`logits`",),
    "measured_on": ("`logits`",),
}
"""What a sentence may name instead: an option of the command line, or what the function handed in calls it."""


def _may_take(function: str, argument: str, value: str, kind: Any) -> bool:
    """Whether a function may take a value after all: its annotation says so, or `MAY_TAKE`."""
    if value == "None":
        return kind is Any or NoneType in get_args(kind) or "None" in str(kind)
    if value == "True" and (kind is bool or bool in get_args(kind)):
        return True
    return any(value in values and {argument, f"{function}.{argument}"} & of for values, of in MAY_TAKE.values())


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """By name, but for what is chosen by the type of the first argument, which Python wants by place."""
    function(*arguments.values()) if hasattr(function, "dispatch") else function(**arguments)


NOT_TRIED = {
    "abstract": {"Loss", "Model", "Head"},
    "a result, made by our functions": {
        *("Certificate", "Classification", "EndPoints", "Moments", "Point", "Prediction", "Target", "Comparison"),
        *("Evaluation", "NetComparison", "Training", "Watch", "Claim", "Finding", "Row", "Verdict"),
    },
    "a tuple, which `Data` or `load` checks": {"Split", "Images"},
    "a constant or an error": {"Status", "RequestError"},
    "asked by solvers at every step, of points and models of their own": {
        *("Model.labels", "Model.split", "take", "assembled", "pack", "above_rounding")
    },
    "asked of a loss by a model that has checked its sizes": {
        *("label_sets", "label_count", "in_own_units", "is_right", "indicators", "weight"),
        *("of_deficit", "slope", "curvature"),
    },
    "asked of every batch in a loop": {"forward", "seen", "normalise", "chunks", "cosines", "power_of_two"},
    "given to torchmetrics, or to the model": {"NeuralCollapse.plot", "NeuralCollapse.kwargs", "replace_head.inputs"},
}
"""Public classes (with their methods), methods, functions and arguments that are not tried, by the reason."""


def public() -> Iterator[Callable[..., Any]]:
    """Every public function and class, and the methods of these classes."""
    for package in (ufm, ufm.collapse, deepnet, theory_checks):
        for each in (getattr(package, name) for name in package.__all__):
            for found in [getattr(each, name) for name in each.__all__] if inspect.ismodule(each) else [each]:
                yield found
                for name, method in inspect.getmembers(found) if inspect.isclass(found) else []:
                    is_ours = str(getattr(method, "__module__", "")).startswith(("ufm.", "deepnet.", "theory_checks."))
                    if is_ours and inspect.isroutine(method) and (name == "__call__" or not name.startswith("_")):
                        yield method


def gaps() -> list[str]:
    """One line for every argument of a public function that `RIGHT` lacks and `NOT_TRIED` does not name."""
    tried: dict[tuple[str, str], set[str]] = {}
    for function, right in RIGHT:
        tried.setdefault((function.__module__, function.__qualname__), set()).update(right)
    excused = set().union(*NOT_TRIED.values())
    lines = []
    for function in public():
        place, name = function.__module__, function.__qualname__
        if excused & {name, *name.split(".")}:
            continue
        missing = {*inspect.signature(function).parameters} - {"self"} - tried.get((place, name), set())
        lines += [f"{place}.{name}({each}=...) is not tried" for each in missing if f"{name}.{each}" not in excused]
    return sorted({*lines})


def complaints() -> list[str]:
    """One line for every wrong value that was taken, or refused in other words."""
    lines = []
    for function, right in RIGHT:
        name = function.__qualname__
        parameters = inspect.signature(function).parameters
        _call(function, right)
        for argument in right:
            for word, value in WRONG.items():
                try:
                    _call(function, right | {argument: value})
                except RequestError as error:
                    names = (argument, argument.replace("_", "-"), *OTHER_NAMES.get(argument, ()))
                    if not any(each in str(error) for each in names) or "\n" in str(error):
                        lines.append(f"{name}({argument}={word}): does not name it: {error}")
                except Exception as error:
                    if argument in OWN_ERRORS.get(word, ()):
                        continue
                    lines.append(f"{name}({argument}={word}): {type(error).__name__}: {str(error)[:100]}")
                else:
                    if not _may_take(name, argument, word, parameters[argument].annotation):
                        lines.append(f"{name}({argument}={word}): taken")
    return lines


if __name__ == "__main__":
    found = complaints()
    print("\n".join(found))
    sys.exit(bool(found))
