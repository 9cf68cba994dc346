"""What a user can ask for: one frozen dataclass per command, checked on construction, without torch (help is fast)."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from ufm.command_line import (
    LOSS_NAMES,
    CommonSetting,
    LossSpec,
    ModelSpec,
    OutputSetting,
    ResumableSetting,
    check,
)
from ufm.engine_setting import EngineSetting
from ufm.grid import axis
from ufm.model_choice import ModelChoice


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
    """all, ce, ls (--loss.alpha in [0, 1)), focal (--loss.gamma >= 0) or mse (--loss.rescale > 0, --loss.convention
    half_norm or mean)."""
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
    """Number of random starts, standard normal."""
    first_start: int = 0
    """Number of the first start; a seed and a number give the same start in every run (and its end up to rounding)."""
    tolerance: float = 1e-10
    """A start has converged when the norm of its gradient is at most this."""
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
            least, text = (K, "classes") if is_imbalanced else (K - 1, "classes - 1")
            check(2 <= K <= 10_000, f"--{option}classes", K, "an integer in [2, 10000]")
            check(least <= d <= 100_000, f"--{option}dim", d, f"an integer in [{text}, 100000] = [{least}, 100000]")
            check(1 <= n <= 1_000_000, f"--{option}per-class", n, "an integer in [1, 1000000]")
        for name in ("decay_W", "decay_H"):
            value = getattr(self, name)
            check(0 < value < math.inf, f"--{name.replace('_', '-')}", value, "finite and > 0")
        allowed = "finite and > 0 (decayed), 0 (free) or null (no bias)"
        check(self.decay_b is None or 0 <= self.decay_b < math.inf, "--decay-b", self.decay_b, allowed)
        self._check_memory()
        check(1 <= self.starts <= 10**9, "--starts", self.starts, "an integer in [1, 1000000000]")
        check(0 <= self.first_start <= 10**12, "--first-start", self.first_start, "an integer in [0, 10^12]")
        check(0 < self.tolerance < 1, "--tolerance", self.tolerance, "in (0, 1)")
        decay = min(self.decay_W, self.decay_H)
        allowed = f"at most a hundredth of the smallest decay, {decay:g}: else an end point shows little"
        check(self.tolerance <= decay / 100, "--tolerance", self.tolerance, allowed)
        check(1 <= self.max_steps <= 10**9, "--max-steps", self.max_steps, "an integer in [1, 1000000000]")
        check(0 <= self.saddle_starts <= 10**6, "--saddle-starts", self.saddle_starts, "an integer in [0, 1000000]")
        loss = self.loss.get("name")
        check(loss in (*LOSS_NAMES, "all"), "--loss", loss, f"one of {', '.join(LOSS_NAMES)} or all")
        extra = next((key for key in self.loss if key != "name"), "")
        check(loss != "all" or not extra, f"--loss.{extra}", self.loss.get(extra), "left out when --loss is all")

    @property
    def model_choice(self) -> ModelChoice:
        """The model with all of its options."""
        return ModelChoice.of(self.model)

    def _check_memory(self) -> None:
        """Refuse sizes of which not even one start fits into half of the machine's memory.

        A start at work takes about 40 vectors of all variables in `minimise`, 8 dense Hessians in the saddle search.
        """
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        variables = self.model_choice.variables(self.classes, self.dim, self.per_class)
        saddle_variables = self.model_choice.variables(self.saddle_classes, self.saddle_dim, self.saddle_per_class)
        searched = saddle_variables if self.saddle_starts else 0
        for size, needed in (("--dim", 40 * 8 * variables), ("--saddle-dim", 8 * 8 * searched**2)):
            value = self.dim if size == "--dim" else self.saddle_dim
            allowed = f"such that one start fits into half of the memory ({needed / 1e9:.1f} of {memory / 2e9:.1f} GB)"
            check(needed <= memory / 2, size, value, allowed)


@dataclass(frozen=True, kw_only=True)
class AtlasSetting(CommonSetting):
    """Find the critical points of the model up to its symmetries, and check by Morse theory whether any is missing.

    Rounds of random starts go on until several in a row add no new orbit. Each row is one orbit under rotations and
    relabellings, with its Morse index, labelled copies, and a ball in which a true critical point is proved to lie.
    Exit code 1 when a saddle is not strict or a Morse relation fails.

    Examples:
        python -m ufm atlas --loss ce --classes 4 --dim 5
        python -m ufm atlas --loss focal --loss.gamma 3 --classes 3 --dim 4 --per-class 2 --out results/focal

    Writes: record.json (the atlas itself, after every round) and landscape.png into --out.
    """

    out: Path | None = None
    """Folder of the atlas; an atlas of the same model that is there is extended. Default: results/atlas-<time>."""
    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """ce, ls (--loss.alpha in [0, 1)), focal (--loss.gamma >= 0) or mse (--loss.rescale > 0, --loss.convention
    half_norm or mean)."""
    classes: int = 4
    """Number of classes K in [2, 8]: all relabellings are enumerated."""
    dim: int = 5
    """Feature dimension d >= 1."""
    per_class: int = 1
    """Samples per class n >= 1."""
    decay_W: float = 5e-3
    """Weight decay of the classifier, > 0 (the objective has decay_W/2 |W|^2)."""
    decay_H: float = 5e-3
    """Weight decay of the features, > 0 (the objective has decay_H/2 |H|^2)."""
    decay_b: float | None = 1e-2
    """Weight decay of the bias: > 0 decayed, 0 free, null for a model without bias."""
    starts: int = 1000
    """Random starts per round, shared out over feature dimensions 1, 2, ... up to the largest rank, and d."""
    symmetric: bool = True
    """Give every other start a random symmetry; highly symmetric critical points are all but unreachable without."""
    quiet_rounds: int = 3
    """The search ends when this many rounds in a row have added no orbit and no Morse relation misses one."""
    max_rounds: int = 50
    """It ends after this many rounds in any case."""
    max_steps: int = 300
    """Steps a start may take."""
    certify: bool = True
    """Prove by ball arithmetic that a critical point of the stated index lies near each row's representative."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.loss.get("name") in LOSS_NAMES, "--loss", self.loss.get("name"), f"one of {', '.join(LOSS_NAMES)}")
        check(2 <= self.classes <= 8, "--classes", self.classes, "an integer in [2, 8]")
        check(1 <= self.dim <= 10_000, "--dim", self.dim, "an integer in [1, 10000]")
        check(1 <= self.per_class <= 10_000, "--per-class", self.per_class, "an integer in [1, 10000]")
        check(1 <= self.starts <= 10**7, "--starts", self.starts, "an integer in [1, 10000000]")
        check(1 <= self.quiet_rounds <= 10**4, "--quiet-rounds", self.quiet_rounds, "an integer in [1, 10000]")
        check(1 <= self.max_rounds <= 10**6, "--max-rounds", self.max_rounds, "an integer in [1, 1000000]")
        check(1 <= self.max_steps <= 10**6, "--max-steps", self.max_steps, "an integer in [1, 1000000]")


@dataclass(frozen=True, kw_only=True)
class AtlasCompareSetting(OutputSetting):
    """Compare atlases row by row: rank, index, labelled copies, which classes are apart.

    Exit code 0 when all are isomorphic to the first, 1 when one is not.

    Examples:
        python -m ufm atlas-compare --atlases '[results/ce, results/ls]'
        python -m ufm atlas-compare --atlases '[results/ce, results/ls, results/focal]' --out results/compared

    Writes: record.json into --out.
    """

    atlases: list[Path] = field(default_factory=list)
    """Folders of two or more atlases of the same K, d and n."""

    def __post_init__(self) -> None:
        check(len(self.atlases) >= 2, "--atlases", [str(path) for path in self.atlases], "two folders or more")


def _losses_of_the_scan() -> list[LossSpec]:
    smoothed: list[LossSpec] = [{"name": "ls", "alpha": alpha} for alpha in (0.1, 0.3)]
    focal: list[LossSpec] = [{"name": "focal", "gamma": gamma} for gamma in (1.0, 3.0)]
    return [{"name": "ce"}, *smoothed, *focal]


@dataclass(frozen=True, kw_only=True)
class AtlasScanSetting(CommonSetting):
    """Grow one atlas per loss, strength c and bias decay, and sort the landscapes into isomorphism classes.

    Runs at n = 1, d = K and decay_W = decay_H = c: the landscape depends on c = sqrt(n decay_W decay_H), on the bias
    decay and on the loss alone. A folder that holds a scan of the same request is continued.

    Examples:
        python -m ufm atlas-scan --classes 3
        python -m ufm atlas-scan --classes 4 --losses '[{name: ce}, {name: focal, gamma: 3}]' --strengths '[0.01, 0.1]'

    Writes: record.json into --out, after every atlas.
    """

    out: Path | None = None
    """Folder of the scan; one of the same request that is there is continued. Default: results/atlas-scan-<time>."""
    classes: int = 3
    """Number of classes K in [2, 8]."""
    losses: list[LossSpec] = field(default_factory=_losses_of_the_scan)
    """Softmax losses with their parameters, such as '[{name: ce}, {name: focal, gamma: 3}]'."""
    strengths: list[float] = field(default_factory=lambda: [1e-3, 5e-3, 0.02, 0.05, 0.1, 0.15])
    """Values of c, > 0. From 1/K on zero is the only critical point of cross entropy."""
    decays_b: list[float | None] = field(default_factory=lambda: [0.0, 0.01, 1.0, None])
    """Bias decays: > 0 decayed, 0 free, null for no bias."""
    starts: int = 400
    """Random starts per round."""
    quiet_rounds: int = 3
    """An atlas ends when this many rounds in a row have added no orbit."""
    max_rounds: int = 20
    """It ends after this many rounds in any case."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.device == "cpu", "--device", self.device, "cpu for an atlas")
        check(2 <= self.classes <= 8, "--classes", self.classes, "an integer in [2, 8]")
        names = [spec.get("name") for spec in self.losses]
        check(bool(names) and set(names) <= {"ce", "ls", "focal"}, "--losses", names, "some of ce, ls, focal")
        positive = bool(self.strengths) and all(0 < value < math.inf for value in self.strengths)
        check(positive, "--strengths", self.strengths, "finite and > 0")
        allowed = all(value is None or 0 <= value < math.inf for value in self.decays_b)
        check(bool(self.decays_b) and allowed, "--decays-b", self.decays_b, "finite and >= 0, or null")
        check(1 <= self.starts <= 10**7, "--starts", self.starts, "an integer in [1, 10000000]")
        check(1 <= self.quiet_rounds <= self.max_rounds, "--quiet-rounds", self.quiet_rounds, "in [1, max-rounds]")


@dataclass(frozen=True, kw_only=True)
class FocalWindowSetting(CommonSetting):
    """Where focal loss leaves the theory: zero, the ETF and partial collapse compete in a window of decays.

    Thresholds on the ray to the ETF, the window in which m < K active classes are lower than both, the best m, and for
    every m at one strength a proof that it is a local minimiser.

    Examples:
        python -m ufm focal-window --classes 30
        python -m ufm focal-window --classes 20 --gamma 2 --at 0.05

    Writes: record.json and focal_window.png into --out.
    """

    classes: int = 30
    """Number of classes K in [2, 1000]; the proofs take about (K / 30)^3 times 5 s."""
    gamma: float = 3.0
    """Focal parameter gamma, >= 0."""
    decay_b: float | None = 0.0
    """Weight decay of the bias: > 0 decayed, 0 free, null for a model without bias."""
    at: float | None = None
    """c = sqrt(n decay_W decay_H) at which all states are listed; by default where zero and the ETF are equal."""
    points: int = 200
    """Points of the curves and of the order of transitions."""
    certify: bool = True
    """Prove each state in ball arithmetic (n = 1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.device == "cpu", "--device", self.device, "cpu for proofs")
        check(2 <= self.classes <= 1000, "--classes", self.classes, "an integer in [2, 1000]")
        check(0 <= self.gamma <= 100, "--gamma", self.gamma, "in [0, 100]")
        allowed = "finite and > 0 (decayed), 0 (free) or null (no bias)"
        check(self.decay_b is None or 0 <= self.decay_b < math.inf, "--decay-b", self.decay_b, allowed)
        check(self.at is None or 0 < self.at < math.inf, "--at", self.at, "finite and > 0")
        check(2 <= self.points <= 10_000, "--points", self.points, "an integer in [2, 10000]")


@dataclass(frozen=True, kw_only=True)
class SoftmaxCodesSetting(CommonSetting):
    """Find softmax codes: unit classifiers of more classes than dimensions with the largest least margin.

    Cross entropy on spheres is minimised at falling temperature, and the best starts end in linear programmes. The
    margins are those of the codes found, lower bounds of the largest; beside them exact values where they are known,
    and in 3 dimensions the best known packings of points.

    Examples:
        python -m ufm softmax-codes
        python -m ufm softmax-codes --dim 4 --classes '[9, 24]' --starts 256

    Writes: record.json and softmax_codes.png into --out. A folder that holds codes of the same request is continued.
    """

    dim: int = 3
    """Feature dimension d >= 2."""
    classes: list[int] = field(default_factory=lambda: [*range(4, 17), 20, 24, 30, 40, 50])
    """Numbers of classes K, each in [3, 200]."""
    starts: int = 64
    """Random starts per K."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(2 <= self.dim <= 100, "--dim", self.dim, "an integer in [2, 100]")
        allowed = bool(self.classes) and all(3 <= K <= 200 for K in self.classes)
        check(allowed, "--classes", self.classes, "a list of integers in [3, 200]")
        check(1 <= self.starts <= 10**5, "--starts", self.starts, "an integer in [1, 100000]")
        check(self.device == "cpu", "--device", self.device, "cpu (the linear programmes run there)")


@dataclass(frozen=True, kw_only=True)
class ScanSetting(ResumableSetting):
    """Minimise over a grid of problems and draw where the starts end against where theory says they do.

    The folder can be resumed and extended.

    Examples:
        python -m ufm scan --loss focal --grid.gamma 0:8:9 --grid.decay 1e-3:1e-1:9:log
        python -m ufm scan --resume results/scan

    Writes: one Parquet file per unit of work, record.json and phase_diagram.png into --out.
    """

    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """ce, ls (--loss.alpha), focal (--loss.gamma), mse (--loss.rescale, --loss.convention), or a class of your own as
    module.Class."""
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
        check(1 <= self.starts <= 10**6, "--starts", self.starts, "an integer in [1, 1000000]")
        check(0 < self.tolerance < 1, "--tolerance", self.tolerance, "in (0, 1)")
        check(1 <= self.max_steps <= 10**9, "--max-steps", self.max_steps, "an integer in [1, 1000000000]")
        check(self.workers is None or self.workers >= 0, "--workers", self.workers, ">= 0")
        _ = self.axes

    @property
    def axes(self) -> dict[str, list[float]]:
        """The values of every axis."""
        return {name: axis(name, text) for name, text in self.grid.items()}


@dataclass(frozen=True, kw_only=True)
class ReportCardSetting(CommonSetting):
    """What is known about a loss, yours or a built-in one: properties, end states of the model, comparison.

    Examples:
        python -m ufm report-card --loss ufm.example_losses.GeneralisedCrossEntropy --loss.q 0.7
        python -m ufm report-card --loss focal --loss.gamma 3 --classes 5

    Writes: record.json and report_card.png into --out.
    """

    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """module.Class (or module.function) with its parameters as --loss.NAME, or ce, ls, focal, mse."""
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
        check(2 <= self.classes <= 100, "--classes", self.classes, "an integer in [2, 100]")
        check(self.dim >= self.classes - 1, "--dim", self.dim, f">= classes - 1 = {self.classes - 1}")
        check(1 <= self.starts <= 10**6, "--starts", self.starts, "an integer in [1, 1000000]")
        check(0 < self.tolerance < 1, "--tolerance", self.tolerance, "in (0, 1)")
        check(1 <= self.max_steps <= 10**9, "--max-steps", self.max_steps, "an integer in [1, 1000000000]")
