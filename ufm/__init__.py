"""The unconstrained feature model: solve it, compare it with theory, certify its critical points.

The public names are imported from here, `from ufm import Problem, CrossEntropy, minimise, predict`; torch is loaded
when a name that needs it is first used.
"""

from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ufm import plot as plot
    from ufm.collapse.metrics import all_metrics as all_metrics
    from ufm.collapse.metrics import collapse_metrics as collapse_metrics
    from ufm.collapse.stats import FeatureStats as FeatureStats
    from ufm.errors import RequestError as RequestError
    from ufm.model.deep import DeepProblem as DeepProblem
    from ufm.model.loss import Loss as Loss
    from ufm.model.losses import CrossEntropy as CrossEntropy
    from ufm.model.losses import Focal as Focal
    from ufm.model.losses import LabelSmoothing as LabelSmoothing
    from ufm.model.losses import SquaredError as SquaredError
    from ufm.model.losses import make_loss as make_loss
    from ufm.model.model import Model as Model
    from ufm.model.model import Point as Point
    from ufm.model.pick_all_labels import PickAllLabels as PickAllLabels
    from ufm.model.problem import Problem as Problem
    from ufm.model.spheres import SphereProblem as SphereProblem
    from ufm.model.starts import normal_starts as normal_starts
    from ufm.model.target import Target as Target
    from ufm.simplex import simplex_etf as simplex_etf
    from ufm.solve.critical_points import Classification as Classification
    from ufm.solve.critical_points import classify as classify
    from ufm.solve.end_points import EndPoints as EndPoints
    from ufm.solve.end_points import Status as Status
    from ufm.solve.hessian import dense_hessian as dense_hessian
    from ufm.solve.hessian import smallest_eigenpair as smallest_eigenpair
    from ufm.solve.minimise import minimise as minimise
    from ufm.solve.newton import find_critical_points as find_critical_points
    from ufm.theory.certificate import Certificate as Certificate
    from ufm.theory.certificate import certify as certify
    from ufm.theory.model_choice import target_of as target_of
    from ufm.theory.prediction import Prediction as Prediction
    from ufm.theory.prediction import predict as predict
    from ufm.theory.prediction import predicted_point as predicted_point
    from ufm.theory.softmax_codes import find_softmax_code as find_softmax_code

HOMES = {
    "errors": ["RequestError"],
    "simplex": ["simplex_etf"],
    "collapse.metrics": ["all_metrics", "collapse_metrics"],
    "collapse.stats": ["FeatureStats"],
    "model.loss": ["Loss"],
    "model.losses": ["CrossEntropy", "Focal", "LabelSmoothing", "SquaredError", "make_loss"],
    "model.pick_all_labels": ["PickAllLabels"],
    "model.model": ["Model", "Point"],
    "model.problem": ["Problem"],
    "model.deep": ["DeepProblem"],
    "model.spheres": ["SphereProblem"],
    "model.starts": ["normal_starts"],
    "model.target": ["Target"],
    "solve.end_points": ["EndPoints", "Status"],
    "solve.minimise": ["minimise"],
    "solve.newton": ["find_critical_points"],
    "solve.critical_points": ["Classification", "classify"],
    "solve.hessian": ["dense_hessian", "smallest_eigenpair"],
    "theory.prediction": ["Prediction", "predict", "predicted_point"],
    "theory.model_choice": ["target_of"],
    "theory.certificate": ["Certificate", "certify"],
    "theory.softmax_codes": ["find_softmax_code"],
}
"""The public names by the module that defines each; a module is imported when one of its names is first used."""

ROOMS = ["plot"]
"""Public modules, used as `ufm.plot.curves`."""

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=ROOMS, submod_attrs=HOMES)
