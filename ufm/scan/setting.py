"""The setting of `ufm scan`."""

from dataclasses import dataclass, field
from pathlib import Path

from ufm.cli.bounds import check_bias_decay, check_integer, check_tolerance
from ufm.cli.common_setting import ResumableSetting
from ufm.cli.grid import axis
from ufm.engine.setting import EngineSetting
from ufm.errors import check
from ufm.specs import LossSpec


@dataclass(frozen=True, kw_only=True)
class ScanSetting(ResumableSetting):
    """Minimise over a grid of problems and draw where the starts end against where theory says they do.

    A start ends in the ETF, at zero, in a partial collapse (only some classes active), or in another state. The
    folder can be resumed and extended: Ctrl-C and kill -9 lose only the units at work.

    Examples:
        python -m ufm scan --loss focal --grid.gamma 0:8:9 --grid.decay 1e-3:1e-1:9:log
        python -m ufm scan --resume results/scan

    Writes: one Parquet file per unit of work, record.json and phase_diagram.png into --out.
    """

    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """One of {losses}; or a class of your own as module.Class."""
    grid: dict[str, str] = field(default_factory=dict)
    """An axis per field: --grid.gamma 0:8:33 (from:to:count), --grid.decay 1e-5:1e-1:33:log, --grid.dim 3,4,8. Fields:
    the loss's numbers, decay (sets decay_W and decay_H), decay_W, decay_H, decay_b, classes, dim, per_class."""
    classes: int = 4
    """Number of classes K >= 2 where the grid does not say."""
    dim: int = 6
    """Feature dimension d >= 1."""
    per_class: int = 3
    """Samples per class n >= 1."""
    decay_W: float = 5e-3
    """Weight decay of the classifier, > 0."""
    decay_H: float = 5e-3
    """Weight decay of the features, > 0."""
    decay_b: float | None = 0.0
    """Weight decay of the bias: > 0 decayed, 0 free, null for a model without bias."""
    starts: int = 64
    """Random starts per cell, standard normal, the same in every cell."""
    tolerance: float = 1e-9
    """A start has converged when the norm of its gradient is at most this."""
    max_steps: int = 10_000
    """Steps a start may take."""
    workers: int | None = None
    """Local engine: processes; default: one per CPU core, none (work in this process) on an accelerator."""
    engine: EngineSetting = field(default_factory=EngineSetting)
    """Where the work is done."""
    resume: Path | None = None
    """Go on in this folder with its setting; a new --grid extends it: only missing cells are computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(bool(self.grid) or self.resume is not None, "--grid", "none", "given, e.g. --grid.decay 1e-4:1e-1:20:log")
        check_bias_decay(self.decay_b)
        check_integer("--starts", self.starts, 1, 10**6)
        check_tolerance(self.tolerance)
        check_integer("--max-steps", self.max_steps, 1, 10**9)
        check(self.workers is None or self.workers >= 0, "--workers", self.workers, ">= 0")
        _ = self.axes

    @property
    def axes(self) -> dict[str, list[float]]:
        """The values of every axis."""
        return {name: axis(name, text) for name, text in self.grid.items()}
