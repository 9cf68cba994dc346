"""Which model a request names, with its options, and what theory predicts for it.

Options are `--model NAME --model.OPTION VALUE`, checked without torch; what is not given has the default written here.
A further model is a subclass of `ModelChoice`, its line in `MODELS`, and, if theory predicts its minimum, a `case` in
`target_of`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ufm.errors import check
from ufm.specs import ModelSpec

if TYPE_CHECKING:
    from ufm.model.loss import Loss
    from ufm.model.model import Model
    from ufm.model.target import Target

MOST_SETS = 100_000
Decays = tuple[float, float, float | None]
"""decay_W, decay_H and decay_b (None: no bias)."""


class Option(NamedTuple):
    """An option of a model: its default, whether a value is allowed, and what is, in words."""

    default: Any
    holds: Callable[[Any], bool]
    allowed: str


@dataclass(frozen=True)
class ModelChoice:
    """A model's name and all of its options; a subclass per model, the plain one here.

    Attributes:
        OPTIONS: of the model, by name.
        LOSSES: what `--loss all` means, the losses that have a theorem.
        HAS_DECAYS: whether the model has any.
    """

    name: str
    options: dict[str, Any]

    OPTIONS: ClassVar[dict[str, Option]] = {}
    LOSSES: ClassVar[tuple[str, ...]] = ("ce", "ls", "focal", "mse")
    HAS_DECAYS: ClassVar[bool] = True

    @classmethod
    def of(cls, spec: ModelSpec) -> "ModelChoice":
        """Fill in defaults and check every option.

        Raises:
            ValueError: on an unknown model or option, or a value that is not allowed.
        """
        given = dict(spec)
        name = str(given.pop("name", "plain"))
        check(name in MODELS, "--model", name, f"one of {', '.join(MODELS)}")
        allowed = MODELS[name].OPTIONS
        known = ", ".join(f"--model.{option}" for option in allowed) or "no options"
        for option, value in given.items():
            check(option in allowed, f"--model.{option}", value, f"left out: the model {name} takes {known}")
        options = {option: each.default for option, each in allowed.items()} | given
        for option, value in options.items():
            check(allowed[option].holds(value), f"--model.{option}", value, allowed[option].allowed)
        return MODELS[name](name, options)

    def classes(self, K: int) -> int:
        """The number of classes: the one asked for, unless the options say."""
        return K

    def samples(self, K: int) -> int:
        """The number of samples where n = 1."""
        return K

    def layers(self) -> int:
        """The number of layers between features and classifier."""
        return 0

    def variables(self, K: int, d: int, n: int) -> int:
        """An upper bound of the number of variables of a point.

        Raises:
            ValueError: if there are more label sets than can be listed.
        """
        K = self.classes(K)
        return (K + n * self.samples(K) + self.layers() * d) * d + K

    def make(self, loss: "Loss", K: int, d: int, n: int, decays: Decays) -> "Model":
        """The model itself."""
        from ufm.model.problem import Problem

        return Problem(loss, K, d, n, *decays)


class Spheres(ModelChoice):
    """Unit vectors."""

    OPTIONS: ClassVar[dict[str, Option]] = {
        "temperature": Option(5.0, lambda v: _is_number(v) and 0 < v <= 100, "a number in (0, 100]")
    }
    LOSSES = ("ce",)
    HAS_DECAYS = False

    def make(self, loss: "Loss", K: int, d: int, n: int, decays: Decays) -> "Model":
        """The model itself; it has no decays."""
        from ufm.model.spheres import SphereProblem

        return SphereProblem(loss, K, d, n, temperature=float(self.options["temperature"]))


class MultiLabel(ModelChoice):
    """Several labels per sample."""

    OPTIONS: ClassVar[dict[str, Option]] = {
        "multiplicity": Option(
            [2, 1],
            lambda v: _are_integers(v, 0) and any(v),
            "a list such as [2, 1]: relative counts of samples with 1, 2, ... labels, not all 0",
        )
    }
    LOSSES = ("ce",)

    def samples(self, K: int) -> int:
        """As many of every set of m classes as the m-th count says."""
        counts = self.options["multiplicity"]
        check(len(counts) < K, "--model.multiplicity", counts, f"1 to classes - 1 = {K - 1} counts")
        sets = sum(math.comb(K, m) for m, count in enumerate(counts, 1) if count)
        allowed = f"for at most {MOST_SETS} label sets (here {sets})"
        check(sets <= MOST_SETS, "--model.multiplicity", counts, allowed)
        return sum(math.comb(K, m) * count for m, count in enumerate(counts, 1))

    def make(self, loss: "Loss", K: int, d: int, n: int, decays: Decays) -> "Model":
        """The model itself."""
        from ufm.model.losses import CrossEntropy
        from ufm.model.pick_all_labels import all_sets
        from ufm.model.problem import Problem

        check(type(loss) is CrossEntropy, "--loss", loss, "ce with several labels per sample (pick all labels)")
        pick_all, sizes = all_sets(K, tuple(self.options["multiplicity"]))
        return Problem(pick_all, K, d, n, *decays, sizes=sizes)


class Deep(ModelChoice):
    """More layers between features and classifier."""

    OPTIONS: ClassVar[dict[str, Option]] = {
        "factors": Option(
            3, lambda v: type(v) is int and 3 <= v <= 20, "an integer in [3, 20] (2 are the plain model)"
        ),
        "decay": Option(5e-3, lambda v: _is_number(v) and 0 < v <= 1e100, "a number in (0, 1e100]"),
        "relu": Option(False, lambda v: type(v) is bool, "true or false"),
    }
    LOSSES = ("mse",)

    def layers(self) -> int:
        """All factors but features and classifier."""
        layers: int = self.options["factors"] - 2
        return layers

    def make(self, loss: "Loss", K: int, d: int, n: int, decays: Decays) -> "Model":
        """The model itself."""
        from ufm.model.deep import DeepProblem

        inner = (float(self.options["decay"]),) * self.layers()
        return DeepProblem(loss, K, d, n, *decays, inner, self.options["relu"])


class Imbalance(ModelChoice):
    """Classes of different sizes."""

    OPTIONS: ClassVar[dict[str, Option]] = {
        "sizes": Option(
            [4, 4, 1, 1],
            lambda v: _are_integers(v, 1) and len(v) >= 2,
            "a list such as [4, 4, 1, 1]: relative class sizes >= 1, one per class",
        )
    }
    LOSSES = ("ce", "ls", "mse")

    def classes(self, K: int) -> int:
        """As many as there are sizes."""
        return len(self.options["sizes"])

    def samples(self, K: int) -> int:
        """All sizes together."""
        return sum(self.options["sizes"])

    def make(self, loss: "Loss", K: int, d: int, n: int, decays: Decays) -> "Model":
        """The model itself."""
        from ufm.model.problem import Problem

        sizes = tuple(self.options["sizes"])
        return Problem(loss, len(sizes), d, n, *decays, sizes=sizes)


MODELS: dict[str, type[ModelChoice]] = {
    "plain": ModelChoice,
    "spheres": Spheres,
    "multilabel": MultiLabel,
    "deep": Deep,
    "imbalance": Imbalance,
}
"""The models that `--model` names."""


def target_of(model: "Model") -> "Target":
    """The minimum that theory predicts for any model. This is the one place that asks of which class a model is.

    Raises:
        NoPrediction: if theory has nothing on the model or loss.
        ValueError: if the theory does not cover the model's sizes.
    """
    from ufm.arguments import instance
    from ufm.model.deep import DeepProblem
    from ufm.model.model import Model
    from ufm.model.pick_all_labels import PickAllLabels
    from ufm.model.problem import Problem
    from ufm.model.spheres import SphereProblem
    from ufm.model.target import NoPrediction
    from ufm.theory.deep_prediction import deep_target
    from ufm.theory.imbalance import imbalanced_target
    from ufm.theory.multi_label_prediction import multi_label_target
    from ufm.theory.prediction import balanced_target
    from ufm.theory.sphere_prediction import sphere_target

    instance(Model).check("model", model)
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
    raise NoPrediction(f"no prediction is known for the model {type(model).__name__}.", {})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_integers(value: Any, least: int) -> bool:
    return isinstance(value, list) and all(type(entry) is int and least <= entry <= 10**6 for entry in value)
