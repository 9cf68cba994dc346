"""The settings of `ufm atlas`, `atlas-compare` and `atlas-scan`."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from ufm.cli.bounds import check_bias_decay, check_integer
from ufm.cli.common_setting import CommonSetting, TableSetting
from ufm.errors import check
from ufm.specs import LOSS_NAMES, LossSpec, ModelSpec
from ufm.theory.model_choice import ModelChoice


@dataclass(frozen=True, kw_only=True)
class AtlasSetting(CommonSetting):
    """Find the critical points of the model up to its symmetries, and check by Morse theory whether any is missing.

    Rounds of random starts go on until several in a row add no new orbit. Each row is one orbit under rotations and
    relabellings, with its Morse index, labelled copies, and a ball in which a true critical point is proved to lie.
    Exit code 1 when a saddle is not strict or a Morse relation fails. For the other models, what is not checked is said
    in table and record: no ball, and Morse relations only for cross entropy with unequal classes or several labels.

    Examples:
        python -m ufm atlas --loss ce --classes 4 --dim 5
        python -m ufm atlas --loss ce --classes 3 --decay-b null --prove-complete true
        python -m ufm atlas --model spheres --model.temperature 2 --classes 3 --dim 3
        python -m ufm atlas --loss focal --loss.gamma 3 --classes 3 --dim 4 --per-class 2 --out results/focal

    Writes: record.json (the atlas itself, after every round) and landscape.png into --out.
    """

    out: Path | None = None
    """Folder of the atlas; an atlas of the same model that is there is extended. Default: results/atlas-<time>."""
    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """One of {losses}."""
    model: ModelSpec = field(default_factory=lambda: {"name": "plain"})
    """plain; spheres (--model.temperature 5); multilabel (--model.multiplicity '[2,1]'); deep (--model.factors 3,
    --model.decay 5e-3); imbalance (--model.sizes '[4,4,1,1]', which also sets the number of classes)."""
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
    prove_complete: bool = False
    """Prove in interval arithmetic that no row is missing (plain model, few classes); exit code 1 where that fails."""
    descents: bool = False
    """Record how steepest descent leaves every saddle and reaches a minimum, which `python -m figures report` plays."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.loss.get("name") in LOSS_NAMES, "--loss", self.loss.get("name"), f"one of {', '.join(LOSS_NAMES)}")
        check_integer("--classes", self.model_choice.classes(self.classes), 2, 8)
        check_integer("--dim", self.dim, 1, 10_000)
        check_integer("--per-class", self.per_class, 1, 10_000)
        check_bias_decay(self.decay_b)
        check_integer("--starts", self.starts, 1, 10**7)
        check_integer("--quiet-rounds", self.quiet_rounds, 1, 10**4)
        check_integer("--max-rounds", self.max_rounds, 1, 10**6)
        check_integer("--max-steps", self.max_steps, 1, 10**6)

    @property
    def model_choice(self) -> ModelChoice:
        """The model with all of its options."""
        return ModelChoice.of(self.model)


@dataclass(frozen=True, kw_only=True)
class AtlasCompareSetting(TableSetting):
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
        super().__post_init__()
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
        check_integer("--classes", self.classes, 2, 8)
        names = [spec.get("name") for spec in self.losses]
        check(bool(names) and set(names) <= {"ce", "ls", "focal"}, "--losses", names, "some of ce, ls, focal")
        positive = bool(self.strengths) and all(0 < value < math.inf for value in self.strengths)
        check(positive, "--strengths", self.strengths, "finite and > 0")
        allowed = all(value is None or 0 <= value < math.inf for value in self.decays_b)
        check(bool(self.decays_b) and allowed, "--decays-b", self.decays_b, "finite and >= 0, or null")
        check_integer("--starts", self.starts, 1, 10**7)
        check_integer("--max-rounds", self.max_rounds, 1, 10**6)
        check(1 <= self.quiet_rounds <= self.max_rounds, "--quiet-rounds", self.quiet_rounds, "in [1, max-rounds]")
