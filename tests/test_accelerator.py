"""Whatever takes a device gives there what it gives on the CPU.

`pytest tests/test_accelerator.py -n 0` on a machine that has a CUDA device; elsewhere with FAKE_CARD=1 on one that is
none, which finds what mixes devices (`tests/fake_card.py`). `tests/test_fake_card.py` does that.
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import deepnet
from deepnet.settings import TrainSetting
from deepnet.training.epoch import train_epoch
from deepnet.training.recorded import Recorded
from deepnet.training.terminal import terminal_block
from deepnet.training.training import begin
from tests import fake_card
from tests.conftest import LOSSES
from ufm import (
    CrossEntropy,
    FeatureStats,
    Focal,
    Problem,
    SphereProblem,
    SquaredError,
    all_metrics,
    certify,
    classify,
    collapse_metrics,
    find_critical_points,
    minimise,
    normal_starts,
    predict,
    predicted_point,
    smallest_eigenpair,
    target_of,
)
from ufm.curvature.orbit_bound import known_orbit
from ufm.model.own_loss import loss_of
from ufm.model.parameters import stackable
from ufm.solve.units import own_units
from ufm.verify.verify import saddle_starts

HAS_CARD = torch.cuda.is_available()
DEVICE = "cuda" if HAS_CARD else fake_card.NAME
pytestmark = pytest.mark.skipif(
    not (HAS_CARD or os.environ.get("FAKE_CARD")), reason="neither a CUDA device nor FAKE_CARD"
)
needs_card = pytest.mark.skipif(not HAS_CARD, reason="torch sees no CUDA device")
long_without_card = pytest.mark.skipif(False, reason="") if HAS_CARD else pytest.mark.slow
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
"""What rounding in another order of sums may change."""
HERE = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def a_card():
    with contextlib.nullcontext() if HAS_CARD else fake_card.a_fake_card():
        yield


def equal(here, there, **bounds):
    assert there.device.type == DEVICE
    torch.testing.assert_close(there.cpu(), here, equal_nan=True, **(bounds or CLOSE))


def run(*arguments, folder, module="ufm"):
    program = ["-m"] if HAS_CARD else ["-c", "import sys; from tests.fake_card import main; main(*sys.argv[1:])"]
    done = subprocess.run(
        [sys.executable, *program, module, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def record(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))["result"]


@long_without_card
def test_every_start_ends_where_it_ends_on_the_cpu(problem):
    starts = normal_starts(problem.size, 0, 0, 40)
    here, there = minimise(problem, starts, 1e-10), minimise(problem, starts.to(DEVICE), 1e-10)
    equal(here.status, there.status)
    equal(here.value, there.value, rtol=1e-12, atol=1e-12)
    value = predict(problem).value
    assert float((there.value - value).abs().max()) < 1e-12


def test_every_model_is_evaluated_alike(model):
    x = normal_starts(model.size, 1, 0, 6)
    moved = x.to(DEVICE)
    for here, there in zip(model.value_and_gradient(x), model.value_and_gradient(moved), strict=True):
        equal(here, there)
    direction = normal_starts(model.size, 2, 0, 6)[:, None]
    equal(model.hessian(x)(direction), model.hessian(moved)(direction.to(DEVICE)))
    equal(model.value(x), model.value(moved))
    equal(model.normalised(x), model.normalised(moved))


@long_without_card
def test_every_model_is_minimised_alike(model):
    starts = normal_starts(model.size, 0, 0, 20)
    here, there = minimise(model, starts, 1e-8, 3000), minimise(model, starts.to(DEVICE), 1e-8, 3000)
    if model.is_rectified:  # starts end at kinks, where rounding decides
        return
    both = (here.status == 1) & (there.status.cpu() == 1)
    torch.testing.assert_close(there.value.cpu()[both], here.value[both], rtol=1e-8, atol=1e-10)
    assert int(both.sum()) >= 0.5 * len(starts)


@long_without_card
def test_critical_points_are_the_same_kinds(loss):
    problem = Problem(loss, K=3, d=4, n=2, decay_W=5e-3, decay_H=2e-3, decay_b=0.01)
    kinds = []
    for device in ("cpu", DEVICE):
        ends = find_critical_points(problem, saddle_starts(problem, 0, 64, torch.device(device)))
        found = classify(problem, problem.normalised(ends.x[ends.is_converged]))
        kinds.append({kind[:4] for kind in found.kinds()})
        assert found.value.device.type == device
        assert len(found._repr_html_()) > 0
    assert kinds[0] == kinds[1]


def test_certificates_are_the_same(problem):
    x = predicted_point(problem, predict(problem))[None]
    x = torch.cat([x, x + 1e-9 * normal_starts(problem.size, 0, 0, 3)])
    if problem.loss.has_conjugate:
        here, there = certify(problem, x), certify(problem, x.to(DEVICE))
        for name in ("spectral_norm", "lower_bound", "gap"):
            equal(getattr(here, name), getattr(there, name))
    orbit = known_orbit(problem, x[0])
    if orbit is not None:
        near, moved = orbit.near(x), orbit.near(x.to(DEVICE))
        for field in dataclasses.fields(near):
            equal(getattr(near, field.name), getattr(moved, field.name), rtol=1e-6, atol=1e-9)
    pair, other = smallest_eigenpair(problem, x), smallest_eigenpair(problem, x.to(DEVICE))
    equal(pair.value, other.value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["focal", "ufm.example_losses.Poly1"])
def test_losses_whose_parameters_differ_by_start(name):
    """As a scan makes them, in the units in which it minimises."""
    loss, found = loss_of({"name": name}), []
    (parameter,) = stackable(loss)
    for device in ("cpu", DEVICE):
        values = torch.tensor([0.5, 1.0], dtype=torch.float64, device=device)
        each = dataclasses.replace(loss, **{parameter: values})
        units = own_units(Problem(each, 4, 3, 2, 5e-3 * values, values, None))
        found.append(minimise(units, normal_starts(units.model.size, 0, 0, 2).to(device), 1e-6, 20))
    equal(found[0].value, found[1].value, rtol=1e-7, atol=1e-9)


def test_spheres_and_their_target():
    problem = SphereProblem(LOSSES["ce"], 4, 5, 2, temperature=3.0)
    end = minimise(problem, normal_starts(problem.size, 0, 0, 10).to(DEVICE), 1e-8)
    assert float((end.value - target_of(problem).value).abs().max()) < 1e-9


@pytest.mark.parametrize(("K", "d"), [(4, 6), (10, 3), (6, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_metrics_are_those_of_the_cpu(K, d, dtype, generator):
    labels = torch.arange(K).repeat(9)
    H = (torch.randn(K, d, generator=generator).repeat(9, 1) + 0.1 * torch.randn(9 * K, d, generator=generator)).to(
        dtype
    )
    W, b = torch.randn(K, d, generator=generator), torch.randn(K, generator=generator)
    here = FeatureStats.from_features(H, labels, W, b)
    there = FeatureStats.from_features(H.to(DEVICE), labels.to(DEVICE), W.to(DEVICE), b.to(DEVICE))
    for metrics in (collapse_metrics, all_metrics):
        one, two = metrics(here), metrics(there)
        assert one.keys() == two.keys()
        for name in one:
            torch.testing.assert_close(
                torch.as_tensor(two[name]).cpu(), torch.as_tensor(one[name]), rtol=1e-6, atol=1e-9
            )


def test_the_metric_and_its_twin(generator):
    labels, H = torch.arange(5).repeat(20), torch.randn(100, 7, generator=generator)
    results = []
    for device in ("cpu", DEVICE):
        metric = deepnet.NeuralCollapse(5).to(device)
        for part in range(4):
            rows = slice(25 * part, 25 * part + 25)
            metric.update(H[rows].to(device), labels[rows].to(device))
        results.append({name: float(value) for name, value in metric.compute().items()})
    assert results[0] == pytest.approx(results[1], rel=1e-6, nan_ok=True)


def net_and_loader(device):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)).to(device)
    data = torch.utils.data.TensorDataset(torch.randn(40, 6), torch.arange(4).repeat(10))
    return net, torch.utils.data.DataLoader(data, 8)


def test_models_of_ones_own_are_evaluated_and_watched():
    (net, loader), (moved, _) = net_and_loader("cpu"), net_and_loader(DEVICE)
    here, there = (deepnet.evaluate(each, loader, test=loader, outside=loader, layers=["0"]) for each in (net, moved))
    for name, metrics in here.layers.items():
        for key, value in metrics.items():
            assert there.layers[name][key] == pytest.approx(value, rel=1e-3, abs=1e-4, nan_ok=True)
    with deepnet.watch(moved, loader) as watched:
        assert watched.epoch().keys() == deepnet.watch(net, loader).epoch().keys()


def test_features_on_the_device_are_compared():
    problem = Problem(LOSSES["ce"], K=4, d=6, n=5, decay_W=5e-3, decay_H=2e-3)
    W, H, b = problem.unpack(predicted_point(problem, predict(problem)).to(DEVICE))
    found = deepnet.compare(H, problem.labels(DEVICE), W, b, loss="ce", decay=5e-3, decay_b=0.0)
    assert max(found.residuals.values()) < 1e-6


@pytest.mark.parametrize("criterion", [CrossEntropy(), Focal(2.0), SquaredError()])
def test_modules_train_there(criterion, generator):
    H, labels = (
        torch.randn(30, 8, generator=generator).to(DEVICE).requires_grad_(),
        torch.arange(5).repeat(6).to(DEVICE),
    )
    layer = deepnet.nn.ETFClassifier(8, 5, normalize=True).to(DEVICE)
    for loss in (deepnet.nn.Criterion(criterion), deepnet.nn.DotRegressionLoss()):
        loss(layer(H), labels).backward()
    assert H.grad.isfinite().all()


@long_without_card
def test_verify_says_the_same(tmp_path):
    given = ("verify", "--starts", 300, "--saddle-starts", 64)
    run(*given, "--json", "cpu.json", "--out", "cpu", folder=tmp_path)
    run(*given, "--json", "gpu.json", "--out", "gpu", "--device", DEVICE, "--profile", "true", folder=tmp_path)
    cpu, gpu = (record(tmp_path / f"{name}.json") for name in ("cpu", "gpu"))
    for one, two in zip(cpu["verdicts"], gpu["verdicts"], strict=True):
        assert one["statuses"] == two["statuses"]
        assert {name: claim["holds"] for name, claim in one["claims"].items()} == {
            name: claim["holds"] for name, claim in two["claims"].items()
        }
        assert one["target"]["value"] == pytest.approx(two["target"]["value"], rel=1e-12)
        assert {tuple(row[key] for key in ("morse_index", "nullity", "rank")) for row in one["saddles"]} == {
            tuple(row[key] for key in ("morse_index", "nullity", "rank")) for row in two["saddles"]
        }


@long_without_card
@pytest.mark.parametrize(
    "model",
    [
        "imbalance --model.sizes [4,2,1,1] --classes 4",
        "spheres --classes 4",
        "deep --model.factors 3 --loss mse --classes 4",
        "multilabel --classes 4",
    ],
)
def test_other_models_hold(model, tmp_path):
    small = ("--starts", 60, "--saddle-starts", 0, "--dim", 6, "--per-class", 2)
    given = model.split()
    run("verify", "--model", *given, *small, "--out", "gpu", "--device", DEVICE, folder=tmp_path)


@long_without_card
def test_scans_agree(tmp_path):
    given = (
        "scan",
        "--loss",
        "focal",
        "--grid.gamma",
        "1,3",
        "--grid.decay",
        "1e-3,1e-1",
        "--starts",
        8,
        "--classes",
        3,
    )
    tables = []
    for device in ("cpu", DEVICE):
        run(*given, "--out", device, "--device", device, folder=tmp_path)
        tables.append(record(tmp_path / device / "record.json"))
    here, there = (table["cells"] for table in tables)
    for name in ("converged", "etf", "zero", "partial", "other", "best_state", "best_active"):
        assert here[name] == there[name]
    assert there["best_minus_predicted"] == pytest.approx([0.0] * 4, abs=1e-12)


@long_without_card
@pytest.mark.parametrize("command", ["report-card --loss focal", "report-card --loss ufm.example_losses.Poly1"])
def test_other_commands_take_the_device(command, tmp_path):
    run(*command.split(), "--device", DEVICE, "--out", "gpu", folder=tmp_path)


SMALL = ("--data", "digits", "--net", "resnet18", "--width", 0.125, "--per-class", 10, "--batch-size", 50, "--lr", 0.05)


@long_without_card
@pytest.mark.parametrize("loss", ["ce", "ls", "focal", "mse --loss.rescale 15 --loss.convention mean"])
def test_a_run_trains_ends_in_the_terminal_phase_and_is_compared(loss, tmp_path):
    given = (*SMALL, "--decay", 0.01, "--schedule", "cosine", "--clip", 5, "--epochs", 6, "--terminal", 3)
    run("train", *given, "--loss", *loss.split(), "--device", DEVICE, "--out", "run", module="deepnet", folder=tmp_path)
    run("measure", "--run", "run", "--device", DEVICE, "--out", "measured", module="deepnet", folder=tmp_path)
    run("compare", "--runs", "run", "--device", DEVICE, "--out", "compared", module="deepnet", folder=tmp_path)
    run("compare", "--runs", "run", "--out", "compared-cpu", module="deepnet", folder=tmp_path)
    assert record(tmp_path / "run" / "record.json")["device"].startswith("NVIDIA") or not HAS_CARD


def trained(count, **changes):
    """Losses of the steps of so many epochs, and final parameters."""
    options = {"data": "digits", "net": "resnet18", "width": 0.125, "per_class": 40, "batch_size": 48, "lr": 0.02}
    training = begin(TrainSetting(**options | {"device": DEVICE, "augment": True} | changes))
    losses = []
    for _ in range(count):
        losses += train_epoch(training, lambda _: None)[0]
        training.epoch += 1
    return losses, [parameter.detach().cpu() for parameter in training.net.parameters()], training


@needs_card
@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"name": "focal"}, "clip": 1.0, "schedule": "cosine", "epochs": 3},
        {"optimiser": "adam", "lr": 1e-2, "net": "mlp"},
        {"multilabel": 2, "augment": False, "nesterov": True},
        {"head": {"name": "normalised"}},
    ],
    ids="-".join,
)
def test_a_recorded_step_is_the_step(changes, monkeypatch):
    """16 steps an epoch of 384 images, a batch of 16 at its end: three as they are, one recorded, the others played."""
    recorded, parameters, training = trained(3, **changes)
    assert training.recorded is not None
    assert training.recorded._recorded._graph is not None
    monkeypatch.setattr("deepnet.training.epoch.can_record", lambda *_: False)
    plain, others, training = trained(3, **changes)
    assert training.recorded is None
    assert recorded == pytest.approx(plain, rel=2e-3, abs=2e-3)
    assert any(later != pytest.approx(plain[0], rel=0.05) for later in plain)  # a step that stands still is seen
    for one, two in zip(parameters, others, strict=True):
        assert float((one - two).norm()) < 0.02 * float(two.norm()) + 1e-3  # sums in another order, over 48 steps


@needs_card
@pytest.mark.parametrize("loss", [{"name": "ce"}, {"name": "mse", "rescale": 15, "convention": "mean"}])
def test_a_recorded_terminal_block_is_the_block(loss, monkeypatch):
    ends, played = [], []

    class Counted(Recorded):
        def __call__(self):
            played.append(self)
            return super().__call__()

    for may_record in (True, False):
        *_, training = trained(4, loss=loss)
        monkeypatch.setattr("deepnet.training.terminal.Recorded", Counted)
        if not may_record:
            monkeypatch.setattr("deepnet.training.terminal.can_record", lambda *_: False)
        losses, end = terminal_block(training, lambda _: None)
        assert (len(played) > 20 and played[0]._graph is not None) == may_record
        played.clear()
        ends.append((losses, end))
    (recorded, one), (plain, two) = ends
    assert recorded[:5] == pytest.approx(plain[:5], rel=0.02)
    assert recorded[-1] < recorded[0] / 2
    assert one["objective"] == pytest.approx(two["objective"], rel=0.02)


@long_without_card
@pytest.mark.parametrize(
    "more",
    [
        pytest.param("--precision bf16 --augment true", marks=needs_card),
        pytest.param("--net wide_resnet --precision bf16", marks=needs_card),
        "--net mlp --optimiser adam",
        "--head.name normalised",
        "--multilabel 2",
    ],
)
def test_every_kind_of_run_trains_and_resumes(more, tmp_path):
    given = [*SMALL, "--epochs", 2, "--device", DEVICE, "--out", "run"]
    options = dict(zip(given[::2], given[1::2], strict=True)) | dict(
        zip(more.split()[::2], more.split()[1::2], strict=True)
    )
    run("train", *[str(part) for pair in options.items() for part in pair], module="deepnet", folder=tmp_path)
    run("train", "--resume", "run", "--epochs", 3, "--device", DEVICE, module="deepnet", folder=tmp_path)
    run("measure", "--run", "run", "--device", DEVICE, "--out", "measured", module="deepnet", folder=tmp_path)
