"""The setting of `ufm report-card`."""

from dataclasses import dataclass, field

from ufm.cli.bounds import check_bias_decay, check_integer, check_tolerance
from ufm.cli.common_setting import CommonSetting
from ufm.errors import check
from ufm.specs import LossSpec


@dataclass(frozen=True, kw_only=True)
class ReportCardSetting(CommonSetting):
    """What is known about a loss, yours or a built-in one: properties, end states of the model, comparison.

    A loss is any callable (logits (M, K), labels (M,)) -> loss of each sample (M,), as a class, whose parameters are
    then those of its constructor, or as a function; its module lies in the current folder or is installed. A property
    is searched for counterexamples, so "no counterexample found" is no proof.

    Examples:
        python -m ufm report-card --loss ufm.example_losses.GeneralisedCrossEntropy --loss.q 0.7
        python -m ufm report-card --loss focal --loss.gamma 3 --classes 5

    Writes: record.json and report_card.png into --out.
    """

    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """Yours as module.Class or module.function, with parameters as --loss.NAME VALUE; or one of {losses}."""
    classes: int = 4
    """Number of classes K >= 2."""
    dim: int = 6
    """Feature dimension d >= classes - 1."""
    per_class: int = 3
    """Samples per class n >= 1."""
    decay: float = 5e-3
    """Weight decay of W and of H, > 0."""
    decay_b: float | None = 0.0
    """Weight decay of the bias: > 0 decayed, 0 free, null for a model without bias."""
    starts: int = 1000
    """Random starts of the model, standard normal."""
    tolerance: float = 1e-9
    """A start has converged when the norm of its gradient is at most this."""
    max_steps: int = 1000
    """Steps a start may take."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("--classes", self.classes, 2, 100)
        check(self.dim >= self.classes - 1, "--dim", self.dim, f">= classes - 1 = {self.classes - 1}")
        check_bias_decay(self.decay_b)
        check_integer("--starts", self.starts, 1, 10**6)
        check_tolerance(self.tolerance)
        check_integer("--max-steps", self.max_steps, 1, 10**9)
