"""The setting of `ufm verify`."""

from dataclasses import dataclass, field

from ufm.cli.bounds import check_bias_decay, check_decay, check_integer, check_memory, check_tolerance
from ufm.cli.common_setting import CommonSetting
from ufm.errors import check
from ufm.specs import LOSS_NAMES, LossSpec, ModelSpec
from ufm.theory.model_choice import ModelChoice


@dataclass(frozen=True, kw_only=True)
class VerifySetting(CommonSetting):
    """Minimise the unconstrained feature model from random starts and hold every end point against the theory.

    For each loss: end points against the predicted global minimiser (value, logits, NC1-NC4), the dual certificate, the
    smallest Hessian eigenvalue; then critical points of other kinds, each with its negative curvature.

    Examples:
        python -m ufm verify
        python -m ufm verify --loss focal --loss.gamma 2 --starts 5000

    Writes: record.json and verification.png into --out.
    """

    loss: LossSpec = field(default_factory=lambda: {"name": "all"})
    """all (that the model has a theory for), or one of {losses}."""
    model: ModelSpec = field(default_factory=lambda: {"name": "plain"})
    """plain; spheres (--model.temperature 5); multilabel (--model.multiplicity '[2,1]': n times 2 samples of every
    class, n times 1 of every pair); deep (--model.factors 3, features and classifier counted, --model.decay 5e-3 of the
    layers between, --model.relu true); imbalance (--model.sizes '[4,4,1,1]': n times as many samples of each class,
    which also sets the number of classes). n is --per-class."""
    classes: int = 10
    """Number of classes K >= 2."""
    dim: int = 20
    """Feature dimension d >= classes - 1 (>= classes for squared error without a free bias)."""
    per_class: int = 10
    """Samples per class n >= 1."""
    decay_W: float = 5e-3
    """Weight decay of the classifier, > 0 (the objective has decay_W/2 |W|^2)."""
    decay_H: float = 5e-3
    """Weight decay of the features, > 0 (the objective has decay_H/2 |H|^2)."""
    decay_b: float | None = 1e-2
    """Weight decay of the bias: > 0 decayed, 0 free, null for a model without bias."""
    starts: int = 1000
    """Number of random starts, standard normal in the model's own units (both decays equal, targets of length 1)."""
    first_start: int = 0
    """Number of the first start; a seed and a number give the same start in every run (and its end up to rounding)."""
    tolerance: float = 1e-10
    """A start has converged when the norm of its gradient, in the model's own units, is at most this."""
    max_steps: int = 10_000
    """Steps a start may take."""
    saddle_starts: int = 200
    """Starts of the search for other critical points (0: no search)."""
    saddle_classes: int = 6
    """Number of classes K of that search."""
    saddle_dim: int = 7
    """Feature dimension d of that search."""
    saddle_per_class: int = 2
    """Samples per class n of that search."""
    profile: bool = False
    """Show where the time went, by phase (on an accelerator this makes the run slower)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for prefix, option in (("", ""), ("saddle_", "saddle-")):
            K, d, n = (getattr(self, prefix + name) for name in ("classes", "dim", "per_class"))
            K = self.model_choice.classes(K)
            is_imbalanced = self.model_choice.name == "imbalance"
            least, text = (K, f"{option}classes") if is_imbalanced else (K - 1, f"{option}classes - 1")
            check_integer(f"--{option}classes", K, 2, 10_000)
            check(least <= d <= 100_000, f"--{option}dim", d, f"an integer in [{text}, 100000] = [{least}, 100000]")
            check_integer(f"--{option}per-class", n, 1, 1_000_000)
        for name in ("decay_W", "decay_H"):
            value = getattr(self, name)
            check_decay(f"--{name.replace('_', '-')}", value)
        check_bias_decay(self.decay_b)
        self._check_memory()
        check_integer("--starts", self.starts, 1, 10**9)
        check_integer("--first-start", self.first_start, 0, 10**12)
        check_tolerance(self.tolerance)
        check_integer("--max-steps", self.max_steps, 1, 10**9)
        check_integer("--saddle-starts", self.saddle_starts, 0, 10**6)
        loss = self.loss.get("name")
        elsewhere = " (one of your own goes to report-card and scan)" if "." in str(loss) else ""
        check(loss in (*LOSS_NAMES, "all"), "--loss", loss, f"one of {', '.join(LOSS_NAMES)} or all{elsewhere}")
        extra = next((key for key in self.loss if key != "name"), "")
        check(loss != "all" or not extra, f"--loss.{extra}", self.loss.get(extra), "left out when --loss is all")

    @property
    def model_choice(self) -> ModelChoice:
        """The model with all of its options."""
        return ModelChoice.of(self.model)

    def _check_memory(self) -> None:
        """Refuse sizes for which a single start does not fit into half of the machine's memory.

        A start at work takes about 40 vectors of all variables in `minimise`, 8 dense Hessians in the saddle search.
        """
        variables = self.model_choice.variables(self.classes, self.dim, self.per_class)
        saddle_variables = self.model_choice.variables(self.saddle_classes, self.saddle_dim, self.saddle_per_class)
        searched = saddle_variables if self.saddle_starts else 0
        check_memory("--dim", self.dim, 40 * 8 * variables)
        check_memory("--saddle-dim", self.saddle_dim, 8 * 8 * searched**2)
