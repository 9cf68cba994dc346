"""The torchmetrics metric: one pass, any batches, any processes, and what torchmetrics promises of metrics."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import deepnet
from tests.torchrun import torchrun
from ufm.collapse import FeatureStats, all_metrics
from ufm.errors import RequestError

torchmetrics = pytest.importorskip("torchmetrics")
from deepnet.measures.neural_collapse import NeuralCollapse  # noqa: E402

K, D, N = 5, 8, 200


@pytest.fixture
def given(normal):
    y = torch.arange(N) % K
    return normal(K, D)[y] + 0.3 * normal(N, D), y, normal(K, D), normal(K)


def expected(*given) -> dict[str, float]:
    """Of two passes, but NC4, which one pass does not know."""
    values = {name: float(value) for name, value in all_metrics(FeatureStats.from_features(*given)).items()}
    return {name: value for name, value in values.items() if name != "nc4"}


def found(metric: NeuralCollapse) -> dict[str, float]:
    values = {name: float(value) for name, value in metric.compute().items()}
    values.pop("present")
    return values


def filled(given, sizes=(1, 3, 100)) -> NeuralCollapse:
    H, y, W, b = given
    metric = NeuralCollapse(K)
    for rows in torch.split(torch.arange(N), [*sizes, N - sum(sizes)]):
        metric.update(H[rows], y[rows], W, b)
    return metric


def test_batches_equal_two_passes(given):
    assert found(filled(given)) == pytest.approx(expected(*given), rel=1e-10)
    H, y, _, _ = given
    metric = NeuralCollapse(K, D)
    metric.update(H.numpy(), y.numpy().astype(np.uint8))
    assert found(metric) == pytest.approx(expected(H, y), rel=1e-10)


@pytest.mark.parametrize(("offset", "noise"), [(100, 1e-6), (1e4, 1e-4)])
def test_nc1_survives_an_offset(normal, offset, noise):
    y = torch.arange(N) % K
    H = offset + normal(K, D)[y] + noise * normal(N, D)
    metric = NeuralCollapse(K)
    for rows in torch.split(torch.randperm(N), 7):
        metric.update(H[rows], y[rows])
    means = torch.stack([H[y == k].mean(0) for k in range(K)])
    exact = float((H - means[y]).square().sum() / N / ((means - means.mean(0)).square().sum() / K))
    assert float(metric.compute()["nc1_trace"]) == pytest.approx(exact, rel=1e-6)
    uncentred = H.square().sum() - (means[y]).square().sum()  # what a single pass without a shift has
    assert float(uncentred / N / ((means - means.mean(0)).square().sum() / K)) != pytest.approx(exact, rel=1e-2)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")  # which does not see that states were loaded
def test_what_torchmetrics_promises(given):
    H, y, W, b = given
    metric = filled(given)
    assert found(metric.clone()) == found(metric)
    other = NeuralCollapse(K)
    other.load_state_dict(metric.state_dict())
    assert found(other) == found(metric)
    batch = metric(H[:50], y[:50], W, b)  # forward: of the batch alone, the whole goes on
    assert float(batch["nc1_pinv"]) == pytest.approx(expected(H[:50], y[:50], W, b)["nc1_pinv"])
    twice = expected(torch.cat([H, H[:50]]), torch.cat([y, y[:50]]), W, b)
    assert found(metric) == pytest.approx(twice, rel=1e-10)
    metric.reset()
    metric.update(H[:50], y[:50], W, b)
    assert found(metric) == pytest.approx(expected(H[:50], y[:50], W, b), rel=1e-10)
    accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=K)
    together = torchmetrics.MetricCollection({"collapse": NeuralCollapse(K), "accuracy": accuracy}, prefix="train/")
    together.update(features=H, labels=y, weight=W, bias=b, preds=H @ W.mT + b, target=y)
    assert float(together.compute()["train/nc3"]) == pytest.approx(expected(*given)["nc3"])


def test_parts_merge_though_their_shifts_differ(given):
    H, y, W, b = given
    parts = [NeuralCollapse(K) for _ in range(3)]
    lacking = y < K - 1  # the last class is in one part alone
    for part, rows in zip(
        parts, (lacking & (torch.arange(N) < 90), ~lacking, lacking & (torch.arange(N) >= 90)), strict=True
    ):
        part.update(H[rows], y[rows])
    parts[1].update(H[:0], y[:0], W, b)
    parts[0].merge_state(parts[1])
    parts[0].merge_state(parts[2].metric_state)
    parts[0].merge_state(NeuralCollapse(K))
    assert found(parts[0]) == pytest.approx(expected(*given), rel=1e-10)


def test_plot_draws_values_and_curves(given):
    axes_class = pytest.importorskip("matplotlib.axes").Axes
    metric = filled(given)
    for values in (None, [metric.compute(), metric.compute()]):
        _, axes = metric.plot(values)
        assert isinstance(axes, axes_class)
        assert axes.get_yscale() == "log"
        assert "nc1_pinv" in axes.get_legend_handles_labels()[1]


def test_without_torchmetrics_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.delitem(sys.modules, "deepnet.measures.neural_collapse")
    with pytest.raises(ImportError, match=r"needs torchmetrics: pip install 'neural-collapse-laboratory\[metrics\]'"):
        importlib.import_module("deepnet.measures.neural_collapse")


def test_a_torchvision_that_does_not_fit_torch_is_named(monkeypatch, tmp_path):
    (tmp_path / "torchmetrics.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchmetrics", "deepnet.measures.neural_collapse"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ImportError, match=r"does not import \(operator torchvision::nms .*\); a torchvision that does not fit"
    ):
        importlib.import_module("deepnet.measures.neural_collapse")


PROCESSES = """
import sys, torch, torch.distributed as dist
import tests.lacking_operators
from deepnet import NeuralCollapse
dist.init_process_group("gloo")
K, d = 6, 8
generator = torch.Generator().manual_seed(0)
y = torch.randint(0, K - 1, (300,), generator=generator)  # nobody has the last class
H = 100 + torch.randn(K, d, generator=generator, dtype=torch.float64)[y]
H = H + 1e-3 * torch.randn(300, d, generator=generator, dtype=torch.float64)
W, b = torch.randn(K, d, generator=generator), torch.randn(K, generator=generator)
order = torch.randperm(300, generator=generator)
order = order[torch.argsort((y[order] == 0).int(), stable=True)]
share = (order[:70], order[70:])[dist.get_rank()]  # the first process has no sample of class 0
assert (y[share] == 0).any() == (dist.get_rank() == 1)
metric, whole = NeuralCollapse(K), NeuralCollapse(K, sync_on_compute=False)
for rows in share.split(31):
    metric.update(H[rows], y[rows], W, b)
whole.update(H, y, W, b)
for _ in range(2):  # synchronised, then not, then synchronised with more
    one, all_ = metric.compute(), whole.compute()
    assert one.keys() == all_.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, all_[name], rtol=1e-10, atol=1e-13, msg=name)
    assert int(one["present"]) == K - 1
    more = slice(0, 20) if dist.get_rank() == 0 else slice(20, 25)
    metric.update(H[more], y[more], W, b)
    whole.update(H[:25], y[:25], W, b)
late = NeuralCollapse(K)  # a process without any sample
if dist.get_rank() == 1:
    late.update(H, y)
assert abs(float(late.compute()["nc1_trace"] / whole.compute()["nc1_trace"]) - 1) < 0.5
far, lone = H + 1e5, (y != 0) | (torch.arange(300) == int((y == 0).int().argmax()))  # one sample of class 0
few, all_of_them = NeuralCollapse(K), NeuralCollapse(K, sync_on_compute=False)
mine = share[lone[share]]
assert int((y[mine] == 0).sum()) == dist.get_rank()
few.update(far[mine], y[mine])
all_of_them.update(far[lone], y[lone])
for name, value in few.compute().items():
    torch.testing.assert_close(value, all_of_them.compute()[name], rtol=1e-6, atol=1e-13, msg=name)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path):
    program = tmp_path / "processes.py"
    program.write_text(PROCESSES)
    done = torchrun(2, program)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_script_on_the_page_prints_the_same_in_two_processes(tmp_path: Path, capsys):
    page = (Path(deepnet.__file__).parent / "README.md").read_text(encoding="utf-8")
    script = re.search(r"^```python\n(# collapse.py;.*?)^```", page, re.MULTILINE | re.DOTALL)[1]
    exec(script, {})
    program = tmp_path / "collapse.py"
    program.write_text("import tests.lacking_operators\n" + script)
    done = torchrun(2, program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == capsys.readouterr().out
    assert re.fullmatch(r"NC1 0\.\d{6,} of 9 classes\n", done.stdout)


REFUSED = {
    "nan": ({"features": torch.full((N, D), torch.nan)}, "`features` must be finite"),
    "maps": ({"features": torch.zeros(N, D, 2)}, r"`features` must be a floating-point tensor \(samples, 8\)"),
    "another d": ({"features": torch.zeros(N, D + 1)}, r"`features` must be a floating-point tensor \(samples, 8\)"),
    "lengths": ({"labels": torch.zeros(3, dtype=torch.long)}, r"`labels` must be one class per sample, \(200,\)"),
    "a label beyond": ({"labels": torch.full((N,), K)}, r"`labels` must be in \[0, 5\), got 5"),
    "W of another shape": ({"weight": torch.zeros(K, 3)}, r"`weight` must be a floating-point tensor \(5, 8\)"),
    "W that is nan": ({"weight": torch.full((K, D), torch.nan)}, "`weight` must be finite, got nan or infinity"),
    "b of another shape": ({"bias": torch.zeros(3)}, "`bias` must be a floating-point tensor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_batch_is_refused_and_changes_nothing(given, case):
    changed, sentence = REFUSED[case]
    metric = filled(given)
    before = found(metric)
    with pytest.raises(RequestError, match=sentence):
        metric.update(**dict(zip(("features", "labels", "weight", "bias"), given, strict=True)) | changed)
    assert found(metric) == before


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_what_it_cannot_do_is_said():
    with pytest.raises(RequestError, match=r"`num_classes` must be an integer in \[1, "):
        NeuralCollapse(0)
    with pytest.raises(RequestError, match="`NeuralCollapse` must be given a sample before it computes"):
        NeuralCollapse(K).compute()
    with pytest.raises(RequestError, match="`incoming_state` must be a NeuralCollapse or its metric_state"):
        NeuralCollapse(K).merge_state({"counts": torch.zeros(K)})
    wrong = NeuralCollapse(K + 1)
    wrong.update(torch.zeros(2, D), torch.tensor([0, 1]))
    with pytest.raises(RequestError, match="`incoming_state` must be one of 5 classes"):
        NeuralCollapse(K).merge_state(wrong)
