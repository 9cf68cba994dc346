"""Which model a request names, with its options: checked without torch, made into a model with it.

Options are `--model NAME --model.OPTION VALUE`; what is not given has the default written here.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ufm.errors import RequestError, check
from ufm.specs import ModelSpec

if TYPE_CHECKING:
    from ufm.model.loss import Loss
    from ufm.model.model import Model
    from ufm.model.target import Target

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "spheres": {"temperature": 5.0},
    "multilabel": {"multiplicity": [2, 1]},
    "deep": {"factors": 3, "decay": 5e-3, "relu": False},
    "imbalance": {"sizes": [4, 4, 1, 1]},
}
"""The models and their options with defaults."""
LOSSES_WITH_THEORY = {
    "plain": ("ce", "ls", "focal", "mse"),
    "spheres": ("ce",),
    "multilabel": ("ce",),
    "deep": ("mse",),
    "imbalance": ("ce", "ls", "mse"),
}
"""What `--loss all` means: the losses that have a theorem."""
MOST_SETS = 100_000


@dataclass(frozen=True)
class ModelChoice:
    """A model's name and all of its options."""

    name: str
    options: dict[str, Any]

    @classmethod
    def of(cls, spec: ModelSpec) -> "ModelChoice":
        """Fill in defaults and check every option.

        Raises:
            ValueError: on an unknown model or option, or a value that is not allowed.
        """
        given = dict(spec)
        name = str(given.pop("name", "plain"))
        check(name in OPTIONS, "--model", name, f"one of {', '.join(OPTIONS)}")
        known = ", ".join(f"--model.{option}" for option in OPTIONS[name]) or "no options"
        for option, value in given.items():
            check(option in OPTIONS[name], f"--model.{option}", value, f"left out: the model {name} takes {known}")
        options = OPTIONS[name] | given
        for option, value in options.items():
            is_allowed, allowed = _RULES[option](value)
            check(is_allowed, f"--model.{option}", value, allowed)
        return cls(name, options)

    @property
    def losses(self) -> tuple[str, ...]:
        """What `--loss all` means."""
        return LOSSES_WITH_THEORY[self.name]

    def classes(self, K: int) -> int:
        """The number of classes: the one asked for, unless the options say."""
        return len(self.options["sizes"]) if self.name == "imbalance" else K

    def variables(self, K: int, d: int, n: int) -> int:
        """How many numbers a point has (no less).

        Raises:
            ValueError: if there are more label sets than can be listed.
        """
        K = self.classes(K)
        samples, layers = K * n, 0
        if self.name == "imbalance":
            samples = n * sum(self.options["sizes"])
        if self.name == "multilabel":
            counts = self.options["multiplicity"]
            check(len(counts) < K, "--model.multiplicity", counts, f"1 to classes - 1 = {K - 1} counts")
            sets = sum(math.comb(K, m) for m, count in enumerate(counts, 1) if count)
            check(
                sets <= MOST_SETS, "--model.multiplicity", counts, f"for at most {MOST_SETS} label sets (here {sets})"
            )
            samples = n * sum(math.comb(K, m) * count for m, count in enumerate(counts, 1))
        if self.name == "deep":
            layers = self.options["factors"] - 2
        return (K + samples + layers * d) * d + K

    def make(self, loss: "Loss", K: int, d: int, n: int, decays: tuple[float, float, float | None]) -> "Model":
        """The model itself."""
        from ufm.model.deep import DeepProblem
        from ufm.model.losses import CrossEntropy
        from ufm.model.pick_all_labels import all_sets
        from ufm.model.problem import Problem
        from ufm.model.spheres import SphereProblem

        options = self.options
        match self.name:
            case "spheres":
                return SphereProblem(loss, K, d, n, temperature=float(options["temperature"]))
            case "multilabel":
                check(type(loss) is CrossEntropy, "--loss", loss, "ce with several labels per sample (pick all labels)")
                pick_all, sizes = all_sets(K, tuple(options["multiplicity"]))
                return Problem(pick_all, K, d, n, *decays, sizes=sizes)
            case "deep":
                inner = (float(options["decay"]),) * (options["factors"] - 2)
                return DeepProblem(loss, K, d, n, *decays, inner, options["relu"])
            case "imbalance":
                sizes = tuple(options["sizes"])
                return Problem(loss, len(sizes), d, n, *decays, sizes=sizes)
        return Problem(loss, K, d, n, *decays)


def target_of(model: "Model") -> "Target":
    """What theory predicts for a model.

    Raises:
        ValueError: if it predicts nothing.
    """
    from ufm.model.deep import DeepProblem
    from ufm.model.pick_all_labels import PickAllLabels
    from ufm.model.problem import Problem
    from ufm.model.spheres import SphereProblem
    from ufm.theory.deep_prediction import deep_target
    from ufm.theory.imbalance import imbalanced_target
    from ufm.theory.multi_label_prediction import multi_label_target
    from ufm.theory.prediction import balanced_target
    from ufm.theory.sphere_prediction import sphere_target

    match model:
        case SphereProblem():
            return sphere_target(model)
        case DeepProblem():
            return deep_target(model)
        case Problem(loss=PickAllLabels()):
            return multi_label_target(model)
        case Problem(is_balanced=False):
            return imbalanced_target(model)
        case Problem():
            return balanced_target(model)
    raise RequestError(f"`model` must be one that theory has a prediction for, got a {type(model).__name__}.")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integers(value: Any, least: int) -> bool:
    return isinstance(value, list) and all(type(entry) is int and least <= entry <= 10**6 for entry in value)


_RULES: dict[str, Any] = {
    "temperature": lambda v: (_number(v) and 0 < v <= 100, "a number in (0, 100]"),
    "multiplicity": lambda v: (
        _integers(v, 0) and any(v),
        "a list such as [2, 1]: relative counts of samples with 1, 2, ... labels, not all 0",
    ),
    "factors": lambda v: (type(v) is int and 3 <= v <= 20, "an integer in [3, 20] (2 are the plain model)"),
    "decay": lambda v: (_number(v) and 0 < v <= 1e100, "a number in (0, 1e100]"),
    "relu": lambda v: (isinstance(v, bool), "true or false"),
    "sizes": lambda v: (
        _integers(v, 1) and len(v) >= 2,
        "a list such as [4, 4, 1, 1]: relative class sizes >= 1, one per class",
    ),
}
