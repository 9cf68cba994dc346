"""The settings of the commands, without torch, so that `--help` answers at once."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ufm.cli.common_setting import CommonSetting, ResumableSetting, TableSetting
from ufm.errors import check
from ufm.specs import HeadSpec, LossSpec

MOST = 10**6
"""The most images, epochs or runs."""
MOST_PIXELS = 4096
"""The most pixels of a side of an image."""

LEAST_DECAY, LARGEST_DECAY = 1e-100, 1e100
"""Between which float64 can compare a last layer with theory."""


@dataclass(frozen=True, kw_only=True)
class TrainSetting(ResumableSetting):
    """Train a network on real images, measuring neural collapse as it happens.

    What epochs minimise is the mean loss plus decay/2 times the squared norm of every parameter, what --terminal does
    has the decay of fewer. Measured on clean images
    of every split, in eval mode: loss, accuracy, top-5 accuracy, nll, ece (15 bins, Guo et al. 2017), margins; NC1 to
    NC4 (`ufm/collapse/README.md` has the formulas; NC1 alone is nc1_quotient); norms and balance of the last layer
    (`deepnet/measures/reading.py`); with mse the parts along the central path (Han, Papyan, Donoho 2021).

    Examples:
        python -m deepnet train --data digits --per-class 20 --width 0.25 --epochs 20
        python -m deepnet train --loss focal --loss.gamma 3 --width 0.25 --per-class 50 --epochs 120 --out results/focal
        python -m deepnet train --resume results/focal --log tensorboard

    Writes: setting.json, metrics.jsonl (a line an epoch), geometry.jsonl (class means, rows of W and spreads of
    features, of 10 classes or fewer), checkpoint.pt and previous.pt (states after the last two epochs), best.pt (the
    network that was best on validation), record.json and training.png into --out.
    """

    data: str = "cifar10"
    """Data set: cifar10, cifar100, fashion_mnist, or digits (8 x 8 grey images that come with scikit-learn). Your own:
    imagefolder:PATH (a folder of images for each class, or train and test with those), npz:PATH (arrays images, labels)
    or mymodule:MyData (a class of items (image, label), or a function of train); without test images every fifth of
    each class is one."""
    data_folder: Path = Path("data")
    """Folder with the published files of the data set, packed or (CIFAR) unpacked."""
    download: bool = False
    """true: download into the data folder what it lacks."""
    validation: float = 0.1
    """Fraction of each class of the training images kept for validation, in [0, 1)."""
    per_class: int | None = None
    """Train on this many images of each class; default: all that validation leaves."""
    test_per_class: int | None = None
    """Measure on this many validation and test images of each class; default: all."""
    imbalance: float = 1.0
    """Train on this many times fewer images of each class in the second half of the classes, >= 1."""
    multilabel: int = 1
    """Make composites of 1 to this many images of different classes side by side; the loss is cross entropy summed over
    the labels (needs --loss ce)."""
    image_size: int | None = None
    """Scale the shorter side of every image to this many pixels and cut out the middle square; default: as they are."""
    augment: bool = False
    """true: crop and flip the training images at random; metrics always see clean images."""
    net: str = "wide_resnet"
    """Network: wide_resnet (ResNet-50 with bottlenecks of that width), resnet18, preact_resnet (18 layers, normalised
    before each of them), conv (five convolutions, normalised), vit (a small transformer; vit_unscaled: its last layer
    normalisation has no scale; vit_unnormalised: it has none), or mlp (three hidden layers). Yours:
    mymodule:make_net, a function that takes num_classes and, if it likes, in_channels, image_size (height, width) and
    width, and makes a torch module whose last nn.Linear gives the logits, or the module's class; timm:NAME or
    torchvision:NAME, without their weights."""
    width: float = 1.0
    """Factor of the bottlenecks' inner channels, of all channels, or of the 512 hidden units or dimensions: a multiple
    of 1/16."""
    head: HeadSpec = field(default_factory=lambda: {"name": "linear"})
    """Last layers, in a network of yours in the place of the last nn.Linear: linear, normalised (temperature), etf (a
    fixed simplex), or layers (count, relu); each may map the features to another dimension first; parameters as
    --head.temperature 5 --head.dim 10."""
    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """Loss: one of {losses}; or yours as module.Class or module.function, what `ufm report-card` takes."""
    epochs: int = 200
    """Passes over the training images, >= 1."""
    terminal: int = 0
    """Blocks of L-BFGS on all training images at once after the last epoch, so that the last layer becomes stationary.
    Here only the last layer and the scales and shifts of the normalisations summed into the features decay, since the
    loss feels no other parameter's scale (where features are not normalised all parameters decay). A block counts as an
    epoch."""
    terminal_iterations: int = 100
    """Iterations of a block, >= 1. It begins with an empty memory: squared error needs long ones."""
    terminal_residual: float = 0.01
    """Stop after a block whose stationarity residual |G'H + decay W| / |decay W| is below this, > 0 (where W does not
    decay, as in --head normalised and --head etf, all blocks are done)."""
    batches: Literal["random", "balanced"] = "random"
    """Images of a step: any, or of every class its share of the training images."""
    batch_size: int = 100
    """Images a step, >= 2; a smaller last batch is used too, a single left-over image joins the batch before it."""
    lr: float = 0.1
    """Learning rate of the first epoch, > 0."""
    optimiser: Literal["sgd", "adam"] = "sgd"
    """Optimiser; both decay the weights through the gradient, so that they minimise the same function."""
    momentum: float = 0.9
    """Momentum of SGD, or Adam's beta_1, in [0, 1)."""
    nesterov: bool = False
    """true: Nesterov's momentum (SGD only)."""
    decay: float = 5e-4
    """Weight decay (its half times a squared norm joins the loss), > 0: in epochs on all parameters, in terminal blocks
    on those that --terminal names."""
    schedule: Literal["step", "cosine"] = "step"
    """Learning rate over the epochs: a tenth after 3/7 and again after 5/7 of them, or half a cosine."""
    clip: float | None = None
    """Clip the gradient of all parameters to this Euclidean norm, > 0; default: never."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the convolutions; bf16 is faster where hardware has it. Parameters and last layer stay float32."""
    measure_every: int = 1
    """Epochs between measurements on clean images, of which the best on validation is kept; first and last always."""
    log: Literal["csv", "tensorboard", "wandb"] | None = None
    """Write the numbers of every epoch as they come: log.csv, TensorBoard's event files (extra `tensorboard`), or a run
    of Weights & Biases (extra `wandb`; WANDB_MODE=offline sends nothing), in the folder of the run."""
    resume: Path | None = None
    """Continue the run in this folder with its setting; only where and how it computes may be given beside it, and code
    of your own that it runs must be: --loss, --net, --data as they were."""

    def __post_init__(self) -> None:
        super().__post_init__()
        is_multiple = 0 < self.width <= 32 and (16 * self.width) % 1 == 0
        check(is_multiple, "--width", self.width, "a multiple of 1/16 in (0, 32]")
        check(0 <= self.validation < 1, "--validation", self.validation, "in [0, 1)")
        check(1 <= self.imbalance < math.inf, "--imbalance", self.imbalance, "finite and >= 1")
        check(self.multilabel >= 1, "--multilabel", self.multilabel, ">= 1")
        check(self.multilabel <= MOST, "--multilabel", self.multilabel, f"at most {MOST}")
        if self.multilabel > 1:
            allowed = "ce with --multilabel: its sum over the labels; the other losses have no such form here"
            check(self.loss.get("name") == "ce", "--loss", self.loss.get("name"), allowed)
            check(self.imbalance == 1, "--imbalance", self.imbalance, "1 with --multilabel")
            check(not self.augment, "--augment", self.augment, "false with --multilabel: crops would cut images off")
        check(0 < self.lr < math.inf, "--lr", self.lr, "finite and > 0")
        check(0 <= self.momentum < 1, "--momentum", self.momentum, "in [0, 1)")
        is_nesterov = self.nesterov and (self.optimiser != "sgd" or self.momentum == 0)
        check(not is_nesterov, "--nesterov", self.nesterov, "false without SGD's momentum")
        check(0 <= self.terminal <= MOST, "--terminal", self.terminal, f"an integer in [0, {MOST}]")
        iterations = self.terminal_iterations
        check(0 < iterations <= MOST, "--terminal-iterations", iterations, f"an integer in [1, {MOST}]")
        residual = self.terminal_residual
        check(0 < residual < math.inf, "--terminal-residual", residual, "finite and > 0")
        is_balanced_tags = self.batches == "balanced" and self.multilabel > 1
        check(not is_balanced_tags, "--batches", self.batches, "random with --multilabel")
        check(self.clip is None or 0 < self.clip < math.inf, "--clip", self.clip, "finite and > 0")
        check(0 < self.decay < math.inf, "--decay", self.decay, "finite and > 0")
        allowed = f"an integer in [2, {MOST}] (batch normalisation needs two images)"
        check(2 <= self.batch_size <= MOST, "--batch-size", self.batch_size, allowed)
        size = self.image_size
        check(size is None or 1 <= size <= MOST_PIXELS, "--image-size", size, f"an integer in [1, {MOST_PIXELS}]")
        for argument in ("epochs", "measure_every", "per_class", "test_per_class"):
            value = getattr(self, argument)
            allowed = f"an integer in [1, {MOST}]"
            check(value is None or 1 <= value <= MOST, f"--{argument.replace('_', '-')}", value, allowed)

    @property
    def lines(self) -> int:
        """Epochs and terminal blocks: the lines of metrics that the run has at most."""
        return self.epochs + self.terminal


@dataclass(frozen=True, kw_only=True)
class MeasureSetting(CommonSetting):
    """Measure loss, accuracy and neural collapse of a run's network on clean images.

    The measures are those of `train`; beside them stand the reliability diagram of the test images and one temperature
    fitted on the validation images.

    Examples:
        python -m deepnet measure --run results/focal
        python -m deepnet measure --run results/focal --checkpoint best --json focal.json

    Writes: record.json, measured_splits.png and reliability.png into --out.
    """

    run: Path
    """Folder of the run."""
    checkpoint: Literal["last", "best"] = "last"
    """Which of its networks: the last, or the best on validation."""
    data_folder: Path | None = None
    """Where the images are; default: where the run had them."""
    code: str = ""
    """Code of your own that the run may run, with commas between: mymodule.MyLoss,mymodule:make_net."""


@dataclass(frozen=True, kw_only=True)
class EvaluateSetting(TableSetting):
    """Neural collapse of features from elsewhere: files of features and labels, of any network.

    FEATURES is a file .npz, .pt, .safetensors (needs the extra `metrics`) or .parquet with arrays `features`
    (samples, d) and `labels` (samples), and W (classes, d) and b if what needs the last layer is wanted. Samples with
    the label -100 are left out, and classes without a sample. `ufm/collapse/README.md` has the formulas, and what
    other packages call them. Nothing in a file can run code.

    Examples:
        python -m deepnet evaluate features.npz
        python -m deepnet evaluate train.pt --test test.pt --outside other.pt --export csv
        python -m deepnet evaluate epoch-1.npz epoch-2.npz --last-layer fc.safetensors

    Writes: record.json and evaluated_features.png (curves where there are several files) into --out, and
    metrics.csv or metrics.parquet with --export.
    """

    features: list[Path] | Path
    """File of features, or several, as of checkpoints in order: the first words, or '[one.npz, two.npz]'."""
    last_layer: Path | None = None
    """File with W and b, the last layer; default: those in the file of features, if any."""
    test: Path | None = None
    """Features of test samples, held against the training means: NC4 of the test set."""
    outside: Path | None = None
    """Features of samples of no class: NC5, and how well NECO's score tells them apart."""
    export: Literal["csv", "parquet"] | None = None
    """Write the metrics as a table, too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(len(self.files) >= 1, "--features", self.features, "one file or more")

    @property
    def files(self) -> list[Path]:
        """The files of features as a list."""
        return [self.features] if isinstance(self.features, Path) else self.features


@dataclass(frozen=True, kw_only=True)
class CompareSetting(CommonSetting):
    """Compare the last layer of trained networks with what the unconstrained feature model predicts.

    The model is the mean loss + decay_W/2 |W|^2 + decay_H/2 |H|^2 + decay_b/2 |b|^2. A row per loss and decay has what
    decides how close it is to theory; --details prints every table. Of nets whose price of features is derived
    (deepnet/comparison/price.py) one has nothing fitted: measured, derived, deviation, and for convex
    losses the objective over a lower bound. Then the decay of the features is read off the balance decay_W |W|^2 =
    decay_H |H|^2 (unless --decay-H gives it), so that |w| / |h| is a calibration; identities test whether the last
    layer is stationary and collapsed; predictions could fail where it is both (deepnet/comparison/compare.py). The
    stationarity residual is |G'H + decay W| / |decay W|, the balanced decay its part along W (1: balanced), with batch
    normalisation by running, precise (averaged over the whole set) and batch statistics, batches with an equal share of
    each class. Several runs of one network predict each other, and their features are set side by side.

    With --features it is a network of any kind: a file as `evaluate` takes it, of training samples in eval mode, with
    W (and b). Which minimum is predicted follows from the samples (deepnet/comparison/theories.py): equal classes,
    unequal ones, more classes than dimensions + 1, features that are not negative, several labels a sample (labels a
    table of 0 and 1).

    Examples:
        python -m deepnet compare --runs results/focal
        python -m deepnet compare --runs '[results/ce, results/focal]' --out results/compared
        python -m deepnet compare --features features.npz --loss ce --decay 5e-4

    Writes: record.json and, as pictures, measured_against_derived (where anything is derived),
    prediction_against_measurement, prediction_over_epochs, feature_penalty (two runs of one network or more) and
    central_path (squared error), or theory_for_features, into --out.
    """

    runs: list[Path] | Path | None = None
    """Folder of a run, or of several: '[one, two]'."""
    data_folder: Path | None = None
    """Where the images are; default: where the runs had them."""
    code: str = ""
    """Code of your own that the runs may run, with commas between: mymodule.MyLoss,mymodule:make_net."""
    details: bool = False
    """Print every table, those between conditions too, beside the one with a row per condition."""
    depths: list[float] = field(default_factory=lambda: [1.0])
    """Values of m for the feature penalty decay |H|^(2/m) that one run calibrates for the others; 1 is the model's."""
    features: Path | None = None
    """File of features, labels, W and b of a network of any kind, instead of runs."""
    last_layer: Path | None = None
    """File with W and b; default: those in the file of features."""
    loss: LossSpec = field(default_factory=lambda: {"name": "ce"})
    """Loss that the network was trained with: one of {losses}."""
    decay: float | None = None
    """Weight decay of W that it was trained with, as SGD takes it (the half joins the loss), in [1e-100, 1e100]."""
    decay_H: float | None = None
    """Decay of the features, in [1e-100, 1e100]; default: read off their balance with W."""
    decay_b: float | None = None
    """Decay of the bias, in [0, 1e100], 0 where it has none; default: --decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.runs is not None or self.features is not None, "--runs", "", "given (or --features)")
        if self.features is not None:
            check(self.runs is None, "--features", self.features, "left out with --runs")
            check(not self.details, "--details", "true", "left out with --features, whose table has everything")
            check(self.decay is not None, "--decay", "", "given with --features, > 0")
            self._check_no_option_of_runs()
        of_features = {"last_layer": self.last_layer, "decay": self.decay, "decay_H": self.decay_H}
        for name, value in (of_features | {"decay_b": self.decay_b}).items():
            allowed = "left out with --runs, whose settings say it"
            check(value is None or self.features is not None, f"--{name.replace('_', '-')}", value, allowed)
        is_asked = self.features is not None or self.loss == {"name": "ce"}
        check(is_asked, "--loss", self.loss.get("name"), "left out with --runs, whose settings say it")
        for name, value in (("--decay", self.decay), ("--decay-H", self.decay_H)):
            is_allowed = value is None or LEAST_DECAY <= value <= LARGEST_DECAY
            check(is_allowed, name, value, "in [1e-100, 1e100]")
        is_allowed = self.decay_b is None or 0 <= self.decay_b <= LARGEST_DECAY
        check(is_allowed, "--decay-b", self.decay_b, "in [0, 1e100]")
        check(self.runs is None or len(self.folders) >= 1, "--runs", self.runs, "one folder or more")
        names = ", ".join(map(str, self.folders))
        check(len({*self.folders}) == len(self.folders), "--runs", names, "runs that differ")
        is_allowed = bool(self.depths) and all(0 < m < math.inf for m in self.depths)
        check(is_allowed, "--depths", self.depths, "one number or more, finite and > 0")

    def _check_no_option_of_runs(self) -> None:
        """Refuse what says nothing of a file of features, which is compared on the CPU and without chance."""
        plain = {"data_folder": None, "code": "", "depths": [1.0], "seed": 0, "device": "cpu"}
        for name, default in plain.items():
            value = getattr(self, name)
            check(value == default, f"--{name.replace('_', '-')}", value, "left out with --features")

    @property
    def folders(self) -> list[Path]:
        """The folders of the runs as a list."""
        return [self.runs] if isinstance(self.runs, Path) else self.runs or []


@dataclass(frozen=True, kw_only=True)
class ExperimentSetting(CommonSetting):
    """Train the nets that a paper's statements need, and judge whether the statements show.

    NAME is one experiment of deepnet/experiments/, or all. The same command with --out FOLDER goes on with what is in
    the folder. The seed is that of the first of --seeds runs. Exit code 0 whatever shows; 1 if a training failed.

    A statement is a number with bounds. With the 90 % confidence interval of its mean over the seeds (Student's t) it
    showed if the whole interval lies within the bounds, did not show if none of it does, and is not decided otherwise,
    or if a run failed. Nothing is corrected for the number of statements.

    Examples:
        python -m deepnet experiment
        python -m deepnet experiment label_smoothing_collapses_sooner --seeds 5 --out results/smoothing

    Writes: a folder per training, record.json and experiments.png into --out.
    """

    name: str = "all"
    """Name of the experiment, or all."""
    seeds: int = 3
    """Runs of each kind, >= 2: a spread takes two."""
    data: str = "digits"
    """Data set, as for train."""
    data_folder: Path = Path("data")
    """Folder of the data set, as for train."""
    per_class: int = 50
    """Training images of each class, >= 20."""
    epochs: int = 60
    """Passes over them, >= 8."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(2 <= self.seeds <= 1000, "--seeds", self.seeds, "an integer in [2, 1000]")
        check(self.seed <= 2**63 - self.seeds, "--seed", self.seed, "an integer in [0, 2^63 - seeds]")
        for option, value, least in (("--per-class", self.per_class, 20), ("--epochs", self.epochs, 8)):
            check(least <= value <= MOST, option, value, f"an integer in [{least}, {MOST}]")

    @property
    def common(self) -> dict[str, Any]:
        """The fields of the setting that the runs of all experiments share: a narrow ResNet-18 with 64 features.

        The weight decay is ten times the usual one: within some thousand steps the last layer becomes stationary only
        if the decay has the time to act.
        """
        return {
            "device": self.device,
            "data": self.data,
            "data_folder": self.data_folder,
            "per_class": self.per_class,
            "validation": 0.2,
            "net": "resnet18",
            "width": 0.125,
            "epochs": self.epochs,
            "batch_size": 50,
            "lr": 0.05,
            "decay": 5e-3,
            "schedule": "cosine",
            "measure_every": 4,
        }
