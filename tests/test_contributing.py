"""CONTRIBUTING is true: in a copy of the repository one of each kind is added as it says, and the commands take it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOSS = '''
@dataclass(frozen=True)
class OneVsRest(Loss):
    """K logistic losses, the label against the rest; `scale` is that of the logits."""

    scale: Parameter = 1.0

    def __call__(self, logits: Logits, labels: Labels) -> PerSample:
        """Sum over the classes of softplus(-+ scale z)."""
        labels = checked_labels(labels, logits)
        return functional.softplus(along(self.scale, logits) * (1 - 2 * _one_hot(labels, logits)) * logits).sum(-1)


'''
MODEL = '''"""Free features whose classifier pays decay/4 |W|^4: the penalty is felt more the longer it is."""

from dataclasses import dataclass

import torch

from ufm.model.model import Factors, Model, Point, check_points


@dataclass(frozen=True)
class QuarticProblem(Model):
    """f = mean loss + decay/4 |W|^4 + decay/2 |H|^2."""

    decay: float = 0.01

    has_bias = False
    least_curvature = curvature_scale = property(lambda self: self.decay)

    @property
    def size(self):
        """(K + N) d."""
        return (self.K + self.N) * self.d

    def factorised(self, x):
        """W and H."""
        check_points(x, self.size)
        W, H = torch.split(x.view(*x.shape[:-1], -1, self.d), [self.K, self.N], -2)
        return Factors(W, [], H, torch.zeros_like(W[..., 0]))

    def assembled(self, W, inner, H, b):
        """The flat vector."""
        return torch.cat([W, H], -2).flatten(-2)

    def unpack(self, x):
        """The last layer."""
        W, _, H, b = self.factorised(x)
        return Point(W, H, b)

    def logits(self, x):
        """W h_i."""
        W, H, _ = self.unpack(x)
        return H @ W.mT

    def value(self, x):
        """f."""
        W, H, _ = self.unpack(x)
        penalty = W.square().sum((-2, -1)) ** 2 / 4 + H.square().sum((-2, -1)) / 2
        return self.loss(self.logits(x), self.labels(x.device)).mean(-1) + self.decay * penalty

    def value_and_gradient(self, x, rows=None):
        """By automatic differentiation."""
        with torch.enable_grad():
            y = x.detach().requires_grad_()
            value = self.value(y)
            return value.detach(), torch.autograd.grad(value.sum(), y)[0]

    def hessian(self, x):
        """By automatic differentiation."""
        gradient = torch.func.grad(lambda y: self.value(y).sum())
        return lambda v: torch.func.jvp(gradient, ((x.unsqueeze(-2) + 0 * v),), (v + 0 * x.unsqueeze(-2),))[1]
'''
CHOICE = '''class Quartic(ModelChoice):
    """A quartic penalty of the classifier."""

    OPTIONS: ClassVar[dict[str, Option]] = {
        "decay": Option(0.01, lambda v: _is_number(v) and 0 < v <= 1, "a number in (0, 1]")
    }
    LOSSES = ()

    def make(self, loss: "Loss", K: int, d: int, n: int, decays: Decays) -> "Model":
        """The model itself."""
        from ufm.model.quartic import QuarticProblem

        return QuarticProblem(loss, K, d, n, decay=float(self.options["decay"]))


'''
METRIC = '''

def longest_mean(stats: FeatureStats) -> Float[Tensor, "*batch"]:
    """Relative excess of the longest centred class mean over the mean length; 0 at collapse."""
    norms = stats.centred_means.norm(dim=-1)
    return norms.amax(-1) / norms.mean(-1) - 1
'''
THEOREM = '''"""The mean of two numbers lies between them, at 100 random pairs.

Theme: minimisers

Source: the axioms of order, here as of 2024

Evidence: numeric at 100 pairs.

False twin: twice the mean does.
"""

import numpy as np

from theory_checks.verdict import Verdict, deviation


def check() -> Verdict:
    """Half the sum."""
    return _verdict(0.5)


def refuted() -> Verdict:
    """The sum."""
    return _verdict(1.0)


def _verdict(factor: float) -> Verdict:
    low, high = np.sort(np.random.default_rng(0).uniform(1, 2, (2, 100)), axis=0)
    beyond = float(np.maximum(factor * (low + high) - high, 0).max())
    return Verdict.of("numeric", [deviation("beyond the larger", beyond, 1e-12)], sizes="reals in [1, 2]", starts=100)
'''
FIGURE = '''"""How long each loss of `ufm verify` took."""

from figures.style import in_our_style, save, subplots

RECORDS = {"verify": "python -m ufm verify --json figures/data/verify.json"}


@in_our_style
def draw(record, path):
    """One bar per loss."""
    verdicts = record["result"]["verdicts"]
    figure, axes = subplots(figsize=(4, 3))
    axes.bar([verdict["spec"]["name"] for verdict in verdicts], [verdict["seconds"] for verdict in verdicts])
    return save(figure, path)
'''
DATA_SET = '''def load_stripes(_: Path, __: bool = False) -> Images:
    """Three classes of noisy stripes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    images = torch.randint(0, 200, (90, 1, 8, 8), generator=generator, dtype=torch.uint8)
    images[torch.arange(90), 0, labels] = 255
    return Images(Split(images[:60], labels[:60]), Split(images[60:], labels[60:]), 3)


'''
NET = """    "flat": lambda width, shape: _Flat(width, shape),
"""
NET_CLASS = """class _Flat(nn.Sequential):
    def __init__(self, width: float, shape: Shape) -> None:
        self.feature_size = int(64 * width)
        super().__init__(nn.Flatten(), nn.Linear(math.prod(shape), self.feature_size), nn.ReLU())


"""
SMALL = ["--classes", "3", "--dim", "3", "--starts", "6"]
SADDLES = ["--per-class", "2", "--saddle-classes", "3", "--saddle-dim", "3", "--saddle-starts", "8"]


def put(path: Path, before: str, text: str) -> None:
    """Insert a text before the one place where another stands."""
    source = path.read_text()
    assert source.count(before) == 1, (path, before)
    path.write_text(source.replace(before, text + before))


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A copy with one of each kind added."""
    copy = tmp_path_factory.mktemp("house")
    for package in ("ufm", "deepnet", "theory_checks", "figures"):
        unwanted = shutil.ignore_patterns("__pycache__", "data" if package == "figures" else "")
        shutil.copytree(ROOT / package, copy / package, ignore=unwanted)
    put(copy / "ufm/model/losses.py", "LOSSES: dict[str, type[Loss]] =", LOSS.lstrip("\n"))
    put(
        copy / "ufm/specs.py",
        '}\n"""The losses that `--loss` names',
        '    "ovr": LossEntry("OneVsRest", "--loss.scale > 0"),\n',
    )
    (copy / "ufm/model/quartic.py").write_text(MODEL)
    put(copy / "ufm/theory/model_choice.py", "MODELS: dict[str, type[ModelChoice]] = {", CHOICE)
    put(copy / "ufm/theory/model_choice.py", '}\n"""The models that `--model` names."""', '    "quartic": Quartic,\n')
    home = next(path for path in copy.glob("ufm/**/*.py") if "def collapse_metrics(" in path.read_text())
    put(home, '        "nc1_trace": nc1_trace(stats),\n', '        "longest_mean": longest_mean(stats),\n')
    with home.open("a") as file:
        file.write(METRIC)
    (copy / "theory_checks/means_lie_between.py").write_text(THEOREM)
    (copy / "figures/durations.py").write_text(FIGURE)
    put(copy / "deepnet/data/load.py", "DATA_SETS: dict[", DATA_SET)
    put(copy / "deepnet/data/load.py", '    "digits": load_digits,\n', '    "stripes": load_stripes,\n')
    put(copy / "deepnet/nets/nets.py", "NETS: dict[", NET_CLASS)
    put(copy / "deepnet/nets/nets.py", '    "mlp": MLP,\n', NET)
    return copy


def run(house: Path, *words: str, code: int = 0) -> tuple[str, dict]:
    """The command's output and its record's result; its exit code is this one."""
    out = house / "out" / "-".join(words).replace("/", "_")[:150]
    environment = {**os.environ, "PYTHONPATH": str(house), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", *words, "--out", str(out)]
    done = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    record = out / "record.json"
    return done.stdout + done.stderr, json.loads(record.read_text())["result"] if record.exists() else {}


def test_a_loss_is_one_class_and_one_line(house):
    _, found = run(house, "ufm", "verify", *SMALL, *SADDLES, "--loss", "ovr", "--loss.scale", "2")
    assert "no prediction is known for the loss OneVsRest(scale=2.0)" in found["verdicts"][0]["no_prediction"]
    assert sum(found["verdicts"][0]["statuses"].values()) == 6
    _, found = run(house, "ufm", "atlas", *SMALL[:4], "--loss", "ovr", "--starts", "60", "--max-rounds", "2")
    assert "no derivatives in ball arithmetic" in found["not_checked"]["ball arithmetic"]
    assert len(found["rows"]) > 1
    assert max(row["rank"] for row in found["rows"]) == 3  # no softmax loss has that
    _, found = run(house, "ufm", "scan", *SMALL, "--per-class", "1", "--loss", "ovr", "--grid.scale", "1,2")
    _, found = run(house, "ufm", "report-card", *SMALL, "--per-class", "1", "--loss", "ovr")
    assert {row["loss"] for row in found["comparison"]} == {"ovr", "ce", "ls", "focal", "mse"}


def test_help_lists_the_loss(house):
    environment = {**os.environ, "PYTHONPATH": str(house)}
    for package, command in (("ufm", "verify"), ("ufm", "report-card"), ("deepnet", "train")):
        words = [sys.executable, "-m", package, command, "--help"]
        said = subprocess.run(words, cwd=house, env=environment, capture_output=True, text=True, check=True).stdout
        assert "ovr (--loss.scale > 0)" in " ".join(said.split())


def test_a_loss_without_a_known_minimum_leaves_the_others_alone(house):
    _, found = run(house, "ufm", "verify", *SMALL, *SADDLES)
    assert [verdict["spec"]["name"] for verdict in found["verdicts"]] == ["ce", "ls", "focal", "mse"]
    assert found["holds"]


def test_a_loss_trains_nets(house):
    words = ["--data", "digits", "--net", "mlp", "--width", "0.0625", "--per-class", "2", "--epochs", "2"]
    run(house, "deepnet", "train", *words, "--batch-size", "10", "--loss", "ovr", "--json", "trained.json")
    folder = next((house / "out").glob("deepnet-train*ovr*"))
    said, found = run(house, "deepnet", "compare", "--runs", f"[{folder}]")
    assert "no prediction is known for the loss OneVsRest" in " ".join(said.split())
    assert {row["name"] for row in found["runs"][0]["rows"] if row["predicted"] is not None} >= {"|w| / |h|"}


def test_a_model_is_two_files(house):
    _, found = run(house, "ufm", "verify", *SMALL, *SADDLES, "--model", "quartic", "--loss", "ce")
    assert found["verdicts"][0]["no_prediction"] == "no prediction is known for the model QuarticProblem."
    assert found["verdicts"][0]["statuses"]["CONVERGED"] > 0
    words = ["--model", "quartic", "--starts", "40", "--max-rounds", "2"]
    _, found = run(house, "ufm", "atlas", *SMALL[:4], *words)
    assert len(found["rows"]) > 1
    assert "no form in ball arithmetic" in found["not_checked"]["ball arithmetic"]


def test_a_metric_is_one_function(house):
    said, found = run(house, "ufm", "verify", *SMALL, *SADDLES, "--loss", "ce")
    assert "longest_mean" in said
    assert found["verdicts"][0]["claims"]["longest_mean"]["holds"]


def test_a_theorem_is_one_file(house):
    said, found = run(house, "theory_checks", "means_lie_between")
    assert found
    assert "The mean of two numbers lies between them" in said


def test_a_figure_is_one_file(house):
    records = house / "records"
    records.mkdir()
    run(house, "ufm", "verify", *SMALL, *SADDLES, "--loss", "mse", "--json", str(records / "verify.json"))
    run(house, "figures", "all", "--data", str(records), code=1)  # the other records are not there
    assert list((house / "out").glob("figures-all*/durations.png"))


def test_a_data_set_and_a_net_are_a_line_each(house):
    words = ["--data", "stripes", "--net", "flat", "--width", "0.25", "--epochs", "3", "--batch-size", "10"]
    run(house, "deepnet", "train", *words)
    folder = next((house / "out").glob("deepnet-train*stripes*"))
    _, found = run(house, "deepnet", "measure", "--run", str(folder))
    assert "longest_mean" in found["splits"]["train"]
    run(house, "deepnet", "compare", "--runs", f"[{folder}]")
